"""Validates a JSON or TOML document against a JSON Schema: exit 0 when it is valid, 1 with the reasons when not."""

import json
import sys
import tomllib

import jsonschema

schema = json.load(open(sys.argv[1], encoding="utf-8"))
with open(sys.argv[2], "rb") as file:
    document = tomllib.load(file) if sys.argv[2].endswith(".toml") else json.load(file)
jsonschema.Draft202012Validator.check_schema(schema)
errors = list(jsonschema.Draft202012Validator(schema).iter_errors(document))
for error in errors:
    print(error.json_path, error.message)
sys.exit(1 if errors else 0)
