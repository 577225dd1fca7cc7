"""Parses the YAML of a Markdown file and of the YAML files that follow, and prints the shell commands of its jobs and steps, as JSON."""

import json
import re
import sys

import yaml

with open(sys.argv[1], encoding="utf-8") as file:
    blocks = re.findall(r"```yaml\n(.*?)```", file.read(), re.S)
for path in sys.argv[2:]:
    with open(path, encoding="utf-8") as file:
        blocks.append(file.read())
documents = [yaml.safe_load(block) for block in blocks]
commands = []
for document in documents:
    for step in document.get("runs", {}).get("steps", []):
        if "run" in step:
            assert step["shell"] == "bash", "a composite action must name the shell"
            commands.append(step["run"])
    for job in document.values():
        if isinstance(job, dict):
            commands.extend(job.get("script", []))
print(json.dumps({"documents": len(documents), "commands": commands}))
