"""The JSON Schemas of experiment files, generated from the configuration types."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.fields import alternatives, is_section
from pettingllms.config.model import ConfigModel
from pettingllms.config.ppo import PpoTrainerConfig
from pettingllms.config.schema_words import (
    attribute_docstrings,
    class_docstring,
    described,
    meanings,
    title,
)
from pettingllms.config.schema_written import Schema, WrittenForms, with_meanings
from pettingllms.config.sweep import AXES, SweepConfig
from pettingllms.documents.atomic import write_text
from pettingllms.errors import UsageError

DRAFT = "http://json-schema.org/draft-07/schema#"
WIDTH = 110
NEVER_SWEPT = ("format", "defaults", "sweep")


def resolved_schema() -> Schema:
    """The strict schema of a resolved tree: values only."""
    root, definitions = _sections(ExperimentConfig)
    return {**_head("resolved", "PettingLLMs resolved experiment"), **root, "definitions": definitions}


def experiment_schema() -> Schema:
    """The schema of files as written: each value is itself, a reference, null where allowed, or swept.

    No section demands keys: another file of the `defaults` list may give them.
    """
    return _written(ExperimentConfig, "experiment", "PettingLLMs experiment")


def fragment_schema() -> Schema:
    """The schema of trainer fragments, which experiments mount at a `ppo_trainer_config`."""
    own = _written(PpoTrainerConfig, "fragment", "PettingLLMs trainer fragment")
    experiment = experiment_schema()
    files = {key: experiment["properties"][key] for key in ("format", "defaults")}
    return {**own, "properties": {**files, **own["properties"]}}


SCHEMAS: dict[str, Callable[[], Schema]] = {
    "experiment": experiment_schema,
    "fragment": fragment_schema,
    "resolved": resolved_schema,
}


def as_text(schema: Schema) -> str:
    """Return `schema` as the file holds it: what fits on a line is one."""
    return _text(schema, "", 0) + "\n"


def write_schemas(
    folder: Path, names: Iterable[str] = tuple(SCHEMAS), *, check: bool = False
) -> Iterator[tuple[Path, bool]]:
    """Write the schemas `names` into `folder`, which is made if need be; yield each file, and if it differed.

    `check`: nothing is written. Raises UsageError where nothing can be read or written.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder", help="name a folder for the schemas")
    if not check:
        _make(folder)
    for name in names:
        path, raw = folder / f"{name}.schema.json", as_text(SCHEMAS[name]()).encode()
        differs = _current(path) != raw
        if differs and not check:
            write_text(path, raw, force=True)
        yield path, differs


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


def _head(name: str, words: str) -> Schema:
    return {"$schema": DRAFT, "$id": f"urn:pettingllms:schema:{name}", "title": words}


def _sections(root: type[ConfigModel]) -> tuple[Schema, dict[str, Schema]]:
    """The schema of a resolved `root`, and those of the sections below it, by the names of their types."""
    generated = root.model_json_schema(ref_template="#/definitions/{model}")
    models = {model.__name__: model for model in models_of(root)}
    below = generated.pop("$defs", {})
    definitions = {name: _described(_cleaned(schema), models[name]) for name, schema in sorted(below.items())}
    return _described(_cleaned(generated), root), definitions


def _described(schema: Schema, model: type[ConfigModel]) -> Schema:
    texts = attribute_docstrings(model)
    properties = {
        key: _key(key, value, texts[key], model.model_fields[key])
        for key, value in schema["properties"].items()
    }
    return {"description": class_docstring(model), **schema, "properties": properties}


def _key(key: str, schema: Schema, text: str, field: FieldInfo) -> Schema:
    words = {"title": title(key), "description": described(text, field)}
    return {**words, **_beside(_explained(schema, text, field))}


def _explained(schema: Any, text: str, field: FieldInfo) -> Any:
    """Add what each value of an enumeration means."""
    if isinstance(schema, list):
        return [_explained(item, text, field) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "enum" in schema:
        return with_meanings(schema, meanings(text, schema["enum"], field))
    return {key: _explained(item, text, field) for key, item in schema.items()}


def _beside(schema: Schema) -> Schema:
    """In draft-07 everything beside a `$ref` is ignored, so that the reference moves inside `allOf`."""
    if "$ref" not in schema:
        return schema
    rest = {key: value for key, value in schema.items() if key != "$ref"}
    return {**rest, "allOf": [{"$ref": schema["$ref"]}]}


def _cleaned(schema: Any) -> Any:
    """Leave out the generated titles, and the defaults of whole sections; a single choice is one of one."""
    if isinstance(schema, list):
        return [_cleaned(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key != "title"}
    if "default" in kept and (kept["default"] is None or isinstance(kept["default"], dict)):
        del kept["default"]
    if "const" in kept:
        kept["enum"] = [kept.pop("const")]
    properties = {key: _cleaned(value) for key, value in kept.pop("properties", {}).items()}
    cleaned = {key: _cleaned(value) for key, value in kept.items()}
    return {**cleaned, "properties": properties} if properties or kept.get("type") == "object" else cleaned


def _written(root: type[ConfigModel], name: str, words: str) -> Schema:
    """The schema of files that hold the keys of `root`."""
    forms = WrittenForms({kind: _axis(kind) for kind in AXES})
    own, sections = _sections(root)
    study = {model.__name__ for model in models_of(SweepConfig)}
    nullable = set(_nullable(root))
    definitions: dict[str, Schema] = {}
    for key, schema in sections.items():
        kinds = () if key in study else forms.kinds
        keys = {name: forms.value(value, kinds) for name, value in schema["properties"].items()}
        definitions[key] = forms.section({**schema, "properties": keys}, kinds, nullable=key in nullable)
    if SweepConfig.__name__ in definitions:
        space = definitions[SweepConfig.__name__]["properties"]["space"]
        space["additionalProperties"] = forms.swept()
    own.pop("required", None)
    own["properties"] = {
        key: forms.value(schema, () if key in NEVER_SWEPT else forms.kinds)
        for key, schema in own["properties"].items()
    }
    return {**_head(name, words), **own, "definitions": {**definitions, **forms.definitions()}}


def _axis(kind: str) -> Schema:
    return {"title": AXES[kind].__name__, **_sections(AXES[kind])[0]}


def _nullable(root: type[ConfigModel]) -> Iterator[str]:
    """Names of the sections that may be absent by a null."""
    for model in models_of(root):
        for field in model.model_fields.values():
            annotation: Any = field.annotation
            options = alternatives(annotation)
            if type(None) in options:
                yield from (option.__name__ for option in options if is_section(option))


def _text(node: Any, indent: str, before: int) -> str:
    flat = json.dumps(node, ensure_ascii=False)
    if len(indent) + before + len(flat) < WIDTH or not isinstance(node, (dict, list)) or not node:
        return flat
    deeper = indent + "  "
    if isinstance(node, list):
        lines = [deeper + _text(item, deeper, 0) for item in node]
        return "[\n" + ",\n".join(lines) + f"\n{indent}]"
    pairs = ((json.dumps(key, ensure_ascii=False), value) for key, value in node.items())
    lines = [f"{deeper}{key}: {_text(value, deeper, len(key) + 2)}" for key, value in pairs]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as cause:
        raise UsageError(f"{folder} cannot be made: {cause.strerror}", help="name another folder") from None


def _current(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as cause:
        raise UsageError(f"{path} cannot be read: {cause.strerror}", help="name another folder") from None


def main(arguments: list[str]) -> None:
    """Write every schema into the folder named by the first argument."""
    for _ in write_schemas(Path(arguments[0])):
        pass


if __name__ == "__main__":
    main(sys.argv[1:])
