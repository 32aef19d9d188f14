"""An experiment in YAML with `hydra.sweeper.params`: its swept values as tables, the rest as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pettingllms.documents.outline import Entry, Listing, Scalar, Table, comments_in
from pettingllms.documents.outline_yaml import outline_yaml
from pettingllms.documents.source import Document, KeyPath
from pettingllms.foreign.draft import Draft
from pettingllms.foreign.functions import Choice
from pettingllms.foreign.grammar import GrammarFault
from pettingllms.foreign.grammar import Scalar as Node
from pettingllms.foreign.hydra import Hydra, parse_override

_SPACES = ("params", "search_space")


def has_sweeper(data: dict[str, Any]) -> bool:
    """True for the data of a file whose section `hydra.sweeper` lists swept values."""
    sweeper = _below(_below(data, "hydra"), "sweeper")
    return any(isinstance(sweeper.get(name), dict) for name in _SPACES)


def import_sweeper(document: Document, name: str, draft: Draft, folder: Path | None = None) -> None:
    """Fill `draft` from `document`, whose other keys and comments stay."""
    draft.head.append(f"Imported from {name}, with the swept values of its section hydra.sweeper")
    base = draft.base = outline_yaml(document, draft.moved)
    hydra = Hydra(draft, folder, multirun=True)
    for entry in [entry for entry in base.entries if entry.key == "hydra"]:
        base.entries.remove(entry)
        draft.sweep_comments += [*(line for line in entry.above if line), *comments_in(entry.value)]
    _choose_sweeper(base, hydra)
    section = _below(document.data, "hydra")
    sweeper = _below(section, "sweeper")
    for key, value in _flat({key: value for key, value in sweeper.items() if key not in _SPACES}):
        hydra.settings[key] = (value, _line(document, ("hydra", "sweeper", *key.split("."))))
    for key in [key for key in section if key not in ("mode", "sweeper")]:
        line = _line(document, ("hydra", key))
        draft.say(f"hydra.{key}: how Hydra runs is not part of an experiment", line)
    _params(document, sweeper, hydra)
    hydra.finish()


def _below(data: Any, key: str) -> dict[str, Any]:
    found = data.get(key) if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}


def _line(document: Document, path: KeyPath) -> int:
    return document.spans[path][0].line if path in document.spans else 0


def _flat(data: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in data.items():
        below = isinstance(value, dict)
        found += _flat(value, f"{prefix}{key}.") if below else [(f"{prefix}{key}", value)]
    return found


def _choose_sweeper(base: Table, hydra: Hydra) -> None:
    """Take entries such as `override hydra/sweeper: optuna` out of the defaults list."""
    for entry in base.entries:
        if entry.key != "defaults" or not isinstance(entry.value, Listing):
            continue
        for item in list(entry.value.items):
            pair = _pair(item)
            if pair is None:
                continue
            entry.value.items.remove(item)
            comments = (*item.above, item.trailing, *comments_in(item.value))
            entry.above += [line for line in comments if line]
            hydra.setting(parse_override(f"{pair[0]}={pair[1]}", item.line))
        if not entry.value.items:
            entry.value.flow = True


def _pair(item: Entry) -> tuple[str, str] | None:
    """Group and option of an entry that configures Hydra itself."""
    table = item.value
    if not isinstance(table, Table) or len(table.entries) != 1:
        return None
    only = table.entries[0]
    group = (only.key or "").split()[-1:] or [""]
    name = group[0].lstrip("/")
    if not name.startswith("hydra/") or not isinstance(only.value, Scalar):
        return None
    return name, str(only.value.value)


def _params(document: Document, sweeper: dict[str, Any], hydra: Hydra) -> None:
    for key, value in _below(sweeper, "params").items():
        line = _line(document, ("hydra", "sweeper", "params", key))
        if isinstance(value, str):
            hydra.override(parse_override(f"{key}={value}", line))
        else:
            path = hydra.path(parse_override(f"{key}=${{}}", line))
            if path is not None:
                hydra.draft.put(path, hydra.draft.value(path, _node(value)), line)
    for key, spec in _below(sweeper, "search_space").items():
        line = _line(document, ("hydra", "sweeper", "search_space", key))
        path = hydra.path(parse_override(f"{key}=${{}}", line))
        if path is None:
            continue
        try:
            hydra.draft.put(path, _space(path, spec, hydra.draft), line)
        except (GrammarFault, KeyError, TypeError, ValueError, OverflowError):
            hydra.draft.leave_out(key, f"{spec} is not understood"[:120], line)


def _space(path: KeyPath, spec: dict[str, Any], draft: Draft) -> dict[str, Any]:
    """The table of an entry of `search_space`, the older form of the Optuna sweeper."""
    if spec["type"] == "categorical":
        return draft.axis(path, Choice(tuple(_node(value) for value in spec["choices"])))
    convert = int if spec["type"] == "int" else float
    step = None if spec.get("step") is None else convert(spec["step"])
    log = bool(spec.get("log", False))
    return draft.span(path, convert(spec["low"]), convert(spec["high"]), step=step, log=log)


def _node(value: Any) -> Any:
    if isinstance(value, list):
        return [_node(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _node(item) for key, item in value.items()}
    return Node(value, str(value), quoted=isinstance(value, str))
