"""An experiment's text with other values in place, edited until it means what it shall mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pettingllms.documents.edit import edit
from pettingllms.documents.source import Document, DocumentError, KeyPath
from pettingllms.errors import RefusedError

MOST_CHANGES = 200
"""Values that overrides and a sweep may have set; a file with more of them is written anew."""
NOT_COMPARED = ("defaults", "sweep")
"""Root keys that say how an experiment is composed and searched, not what a trial of it is."""
_MISSING = object()


def rewritten(
    source: Document,
    data: dict[str, Any],
    wanted: Mapping[str, Any],
    meaning: Callable[[str], Mapping[str, Any] | None],
) -> str | None:
    """The text of `source` changed so that its data are `data`, and then what else makes it mean `wanted`.

    `meaning`: what a text in the place of `source` says, None where that is no experiment. Comments and all
    other lines stay as they are. None where the text cannot say it alone: it builds on files that are not
    found from where it lies, or it cannot be edited there without changing something else.
    """
    try:
        for _ in range(MOST_CHANGES):
            text = edit(source, data)
            found = meaning(text)
            change = None if found is None else _first_difference(found, wanted)
            if found is None or change is None:
                return None if found is None else text
            path, value = change
            if value is _MISSING:
                _drop(data, path)
            else:
                put(data, path, _on_axis(data, path, value))
    except (DocumentError, RefusedError, LookupError, TypeError, AttributeError):
        return None
    return None


def put(data: Any, path: KeyPath, value: Any) -> None:
    """Put `value` at `path` of `data`, making the sections above it."""
    for part in path[:-1]:
        data = data.setdefault(part, {}) if isinstance(data, dict) else data[part]
    data[path[-1]] = value


def _first_difference(
    found: Mapping[str, Any], wanted: Mapping[str, Any], path: KeyPath = ()
) -> tuple[KeyPath, Any] | None:
    """The first place where `found` is not as `wanted`, and what belongs there."""
    for key in dict.fromkeys([*found, *wanted]):
        one, other = found.get(key, _MISSING), wanted.get(key, _MISSING)
        if not path and key in NOT_COMPARED:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            below = _first_difference(one, other, (*path, key))
            if below is not None:
                return below
        elif type(one) is not type(other) or one != other:
            return (*path, key), other
    return None


def _on_axis(data: Mapping[str, Any], path: KeyPath, value: Any) -> Any:
    """`value` as the default of the axis at `path`; itself where there is none, or it is not on it."""
    there: Any = data
    for part in path:
        there = there.get(part) if isinstance(there, dict) else None
    if not isinstance(there, dict) or next(iter(there), None) != "sweep":
        return value
    return {**there, "default": value} if value in there.get("values", [value]) else value


def _drop(data: Any, path: KeyPath) -> None:
    for part in path[:-1]:
        data = data[part]
    del data[path[-1]]
