"""The documented schema as a tree of keys: what may stand at a path, and which key was meant."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic_core import PydanticUndefined

from pettingllms.compose.tree import get
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.model import ConfigModel
from pettingllms.documents.source import KeyPath, dotted
from pettingllms.registry import closest

_KINDS: dict[Any, frozenset[str]] = {
    str: frozenset({"text"}),
    int: frozenset({"integer", "number"}),
    float: frozenset({"number"}),
    bool: frozenset({"boolean"}),
    list: frozenset({"list"}),
    dict: frozenset({"table"}),
    types.NoneType: frozenset(),
    Any: frozenset({"text", "integer", "number", "boolean", "list", "table"}),
}
MANY = 12
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "a table"}


@lru_cache(maxsize=1024)
def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The plain types that `annotation` allows, unions taken apart and marks removed."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return alternatives(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return tuple(found for part in get_args(annotation) for found in alternatives(part))
    return (annotation,)


def is_section(annotation: Any) -> bool:
    """True for a type whose keys the schema lists."""
    return isinstance(annotation, type) and issubclass(annotation, ConfigModel)


@lru_cache(maxsize=4096)
def step(annotation: Any, key: str | int) -> Any:
    """The type at `key` of a value of type `annotation`; None where there is no such key."""
    for option in alternatives(annotation):
        origin = get_origin(option)
        if option is Any:
            return Any
        if is_section(option) and key in option.model_fields:
            return option.model_fields[key].annotation
        if (origin is dict and isinstance(key, str)) or (origin is list and isinstance(key, int)):
            return get_args(option)[-1]
    return None


def annotation_at(path: KeyPath, model: Any = ExperimentConfig) -> Any:
    """The type at `path`; None where the schema has no such key."""
    found: Any = model
    for key in path:
        found = step(found, key)
        if found is None:
            return None
    return found


def describe(annotation: Any) -> str:
    """What a value of `annotation` is, in words."""
    return " or ".join(_word(option) for option in alternatives(annotation) if option is not types.NoneType)


def _word(option: Any) -> str:
    if get_origin(option) is Literal:
        return "one of " + ", ".join(
            f'"{value}"' if isinstance(value, str) else str(value) for value in get_args(option)
        )
    if get_origin(option) is list:
        return (
            "a list" if get_args(option)[0] is Any else f"a list, each item {describe(get_args(option)[0])}"
        )
    if is_section(option) or get_origin(option) is dict:
        return "a table"
    return str(_WORDS[option]) if option in _WORDS else "any value"


class ExperimentSchema:
    """The schema as overrides see it."""

    def kinds(self, path: KeyPath) -> frozenset[str] | None:
        """Kinds of value that may stand at `path`; None: no such key."""
        annotation = annotation_at(path)
        if annotation is None:
            return None
        return frozenset().union(*(_kinds(option) for option in alternatives(annotation)))

    def default(self, path: KeyPath) -> Any:
        """The default of the key at `path`, or None."""
        section = annotation_at(path[:-1])
        for option in alternatives(section):
            if is_section(option) and path[-1] in option.model_fields:
                default = option.model_fields[path[-1]].get_default(call_default_factory=True)
                return None if default is PydanticUndefined else default
        return None

    def advice(self, path: KeyPath, data: dict[str, Any]) -> str | None:
        """A question that names the key that was most likely meant."""
        return did_you_mean(path, data)


def _kinds(option: Any) -> frozenset[str]:
    origin = get_origin(option)
    if origin is Literal:
        return frozenset().union(*(_KINDS[type(value)] for value in get_args(option)))
    if is_section(option):
        return _KINDS[dict]
    return _KINDS[origin if origin in (list, dict) else option]


def did_you_mean(path: KeyPath, data: dict[str, Any]) -> str | None:
    """Name the key meant by the unknown `path`: a sibling, else where that key belongs."""
    depth = next(n for n in range(1, len(path) + 1) if n == len(path) or annotation_at(path[:n]) is None)
    siblings = known_keys(path[: depth - 1])
    near = closest(str(path[depth - 1]), siblings)
    if near is not None:
        corrected = (*path[: depth - 1], near, *path[depth:])
        shown = corrected if annotation_at(corrected) is not None else corrected[:depth]
        return f"did you mean {dotted(shown)}?"
    everywhere = _by_last_key(_freely_named(data))
    same = homes_of(path[-1], data)
    if same:
        return (
            f"{path[-1]} belongs in [{dotted(same[0][:-1])}]" if same[0][:-1] else f"{path[-1]} is a root key"
        )
    leaf = closest(str(path[-1]), everywhere, cutoff=0.8)
    if leaf is not None:
        return f"did you mean {dotted(everywhere[leaf][0])}?"
    return listing(siblings) if siblings else None


FREELY_NAMED: tuple[KeyPath, ...] = (("base_models",), ("agent_policy_configs", "agent_configs"), ("models",))


def homes_of(key: str | int, data: dict[str, Any]) -> list[KeyPath]:
    """Every path of the schema that ends in `key`, under the names that `data` uses."""
    return _by_last_key(_freely_named(data)).get(str(key), [])


def _freely_named(data: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    """The names that `data` gives to the entries of each freely named section."""
    sections = (get(data, path) for path in FREELY_NAMED)
    return tuple(tuple(map(str, section)) if isinstance(section, dict) else () for section in sections)


@lru_cache(maxsize=8)
def _by_last_key(names: tuple[tuple[str, ...], ...]) -> dict[str, list[KeyPath]]:
    """Every key path of the schema by its last key; made once for a file with many unknown keys."""
    bases, agents, models = (dict.fromkeys(section) for section in names)
    data = {"base_models": bases, "agent_policy_configs": {"agent_configs": agents}, "models": models}
    found: dict[str, dict[KeyPath, None]] = {}
    for path in all_keys(data):
        found.setdefault(str(path[-1]), {})[path] = None
    return {key: list(paths) for key, paths in found.items()}


def listing(keys: list[str]) -> str:
    """Help that names the keys of a section, cut where there are many."""
    return f"keys here: {', '.join(keys[:MANY])}" + (", …" if len(keys) > MANY else "")


def known_keys(path: KeyPath) -> list[str]:
    """The keys that the schema lists for the section at `path`."""
    options = alternatives(annotation_at(path))
    return [key for option in options if is_section(option) for key in option.model_fields]


def all_keys(data: dict[str, Any]) -> Iterator[KeyPath]:
    """Every key path of the schema; freely named entries appear under the names that `data` uses."""
    yield from _keys(ExperimentConfig, (), data)


def _keys(annotation: Any, path: KeyPath, data: Any) -> Iterator[KeyPath]:
    for option in alternatives(annotation):
        if is_section(option):
            for key, field in option.model_fields.items():
                yield (*path, key)
                yield from _keys(field.annotation, (*path, key), _below(data, key))
        elif get_origin(option) is dict and get_args(option)[-1] is not Any:
            entry = re.sub(r"s$", "", re.sub(r"^(base|agent)_|_config", "", str(path[-1])))
            names = list(data) if isinstance(data, dict) and data else [f"{entry}_0"]
            for name in names:
                yield from _keys(get_args(option)[-1], (*path, name), _below(data, name))


def _below(data: Any, key: str) -> Any:
    return data[key] if isinstance(data, dict) and key in data else None
