"""Validates JSON or TOML documents against a JSON Schema: exit 0 when all are valid, 1 with the reasons when not."""

import json
import sys
import tomllib

import jsonschema

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
found = False
for name in sys.argv[2:]:
    with open(name, "rb") as file:
        document = tomllib.load(file) if name.endswith(".toml") else json.load(file)
    for error in validator.iter_errors(document):
        found = True
        print(name, error.json_path, error.message)
sys.exit(1 if found or len(sys.argv) < 3 else 0)
