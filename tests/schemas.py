"""The JSON Schemas of the documents that Edgewright writes, as docs/schemas has them."""

import json
from pathlib import Path

import jsonschema

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "schemas"


def problems(name, document):
    """Return where a document does not keep to schema `name`: [] if it does everywhere."""
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    read_back = json.loads(json.dumps(document))  # tuples are lists in a file
    errors = jsonschema.Draft202012Validator(schema).iter_errors(read_back)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in errors]
