"""The JSON Schemas of experiment files, generated from the configuration types."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.fields import alternatives, is_section
from pettingllms.config.model import ConfigModel

DRAFT = "http://json-schema.org/draft-07/schema#"
REFERENCE = {"$ref": "#/definitions/reference"}
NULL = {"$ref": "#/definitions/null"}
SWEEP = {"$ref": "#/definitions/sweep"}
SPECIAL: dict[str, Any] = {
    "reference": {
        "type": "string",
        "pattern": "^.*\\$\\{",
        "description": "A reference such as ${training.seed}, alone or inside a longer text.",
    },
    "null": {
        "type": "object",
        "description": "The absent value.",
        "properties": {"null": {"const": True}},
        "required": ["null"],
        "additionalProperties": False,
    },
    "sweep": {
        "type": "object",
        "description": "A swept value: every value of `values` is tried; `default` is what a plain run uses.",
        "properties": {
            "sweep": {"const": "choice", "description": "Kind of axis."},
            "values": {"type": "array", "minItems": 1, "description": "The values tried."},
            "default": {"description": "The value that a plain `train` uses; one of `values`."},
        },
        "required": ["sweep", "values", "default"],
        "additionalProperties": False,
    },
}


def experiment_schema() -> dict[str, Any]:
    """The schema of files as written: each value is itself, a reference, null where allowed, or swept."""
    plain = resolved_schema()
    definitions = {name: _with_special(model) for name, model in plain["definitions"].items()}
    root = _with_special({key: value for key, value in plain.items() if key != "definitions"})
    title = {"$schema": DRAFT, "title": "PettingLLMs experiment"}
    return {**root, **title, "definitions": {**dict(sorted(definitions.items())), **SPECIAL}}


def resolved_schema() -> dict[str, Any]:
    """The strict schema of a resolved tree: values only."""
    generated = ExperimentConfig.model_json_schema(ref_template="#/definitions/{model}")
    models = {model.__name__: model for model in models_of(ExperimentConfig)}
    definitions = {
        name: _described(_cleaned(schema), models[name]) for name, schema in generated.pop("$defs").items()
    }
    root = _described(_cleaned(generated), ExperimentConfig)
    title = {"$schema": DRAFT, "title": "PettingLLMs resolved experiment"}
    return {**title, **root, "definitions": dict(sorted(definitions.items()))}


SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {
    "experiment": experiment_schema,
    "resolved": resolved_schema,
}


def as_text(schema: dict[str, Any]) -> str:
    """Return `schema` as the file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def models_of(annotation: Any) -> Iterator[type[ConfigModel]]:
    """Every section type at or below `annotation`."""
    for option in alternatives(annotation):
        if is_section(option):
            yield option
            for field in option.model_fields.values():
                yield from models_of(field.annotation)
        else:
            for part in getattr(option, "__args__", ()):
                yield from models_of(part)


def attribute_docstrings(model: type[ConfigModel]) -> dict[str, str]:
    """The text under each field of `model`, read from its source."""
    body = ast.parse(inspect.getsource(model)).body[0]
    found: dict[str, str] = {}
    statements = body.body if isinstance(body, ast.ClassDef) else []
    for field, text in pairwise(statements):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        ):
            found[field.target.id] = inspect.cleandoc(text.value.value)
    return found


def _described(schema: dict[str, Any], model: type[ConfigModel]) -> dict[str, Any]:
    texts = attribute_docstrings(model)
    properties = {
        key: {"description": texts[key], **_beside(value)} for key, value in schema["properties"].items()
    }
    return {**schema, "description": inspect.cleandoc(model.__doc__ or ""), "properties": properties}


def _beside(schema: dict[str, Any]) -> dict[str, Any]:
    """In draft-07 everything beside a `$ref` is ignored, so that the reference moves inside `allOf`."""
    if "$ref" not in schema:
        return schema
    rest = {key: value for key, value in schema.items() if key != "$ref"}
    return {**rest, "allOf": [{"$ref": schema["$ref"]}]}


def _cleaned(node: Any) -> Any:
    """Leave out the generated titles, and the defaults of whole sections."""
    if isinstance(node, list):
        return [_cleaned(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if not (key == "title" and isinstance(value, str))}
    if isinstance(kept.get("default"), dict) or ("default" in kept and kept["default"] is None):
        del kept["default"]
    return {key: _cleaned(value) for key, value in kept.items()}


def _with_special(model: dict[str, Any]) -> dict[str, Any]:
    properties = {key: _special(value) for key, value in model["properties"].items()}
    return {**model, "properties": properties}


def _special(schema: dict[str, Any]) -> dict[str, Any]:
    """Let a value also be a reference, a null where it may be absent, or swept."""
    around: dict[str, Any] = {key: schema[key] for key in ("description", "default") if key in schema}
    value = {key: item for key, item in schema.items() if key not in around}
    options = value.pop("anyOf", None) or [value]
    nullable = {"type": "null"} in options
    plain = [_inside(option) for option in options if option != {"type": "null"}]
    return {**around, "anyOf": [*plain, REFERENCE, *([NULL] if nullable else []), SWEEP]}


def _inside(schema: dict[str, Any]) -> dict[str, Any]:
    """Items of lists and entries of freely named tables may be special too."""
    changed = dict(schema)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict) and schema[key]:
            changed[key] = _special(schema[key])
    return changed


def main(arguments: list[str]) -> None:
    """Write every schema into the folder named by the first argument."""
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for name, build in SCHEMAS.items():
        (folder / f"{name}.schema.json").write_text(as_text(build()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
