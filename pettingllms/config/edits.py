"""Trees with keys left out and others put in, and how the tree that is written to files follows."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from typing import Any

from pettingllms.compose.reference_grammar import GrammarError, parse_text
from pettingllms.compose.referred import referred
from pettingllms.compose.resolution import Resolution
from pettingllms.compose.tree import MISSING, get
from pettingllms.documents.source import KeyPath, dotted

MAX_STEPS = 64


def edited(data: dict[str, Any], removed: Collection[KeyPath], put: Mapping[KeyPath, Any]) -> dict[str, Any]:
    """A copy of `data` without the keys at `removed` and with the values of `put`; the rest is shared.

    Nothing is put below a value that is no section.
    """
    copies: dict[KeyPath, dict[str, Any]] = {(): dict(data)}

    def own(path: KeyPath) -> dict[str, Any]:
        if path not in copies:
            parent = own(path[:-1])
            below = parent.get(str(path[-1]))
            copies[path] = parent[str(path[-1])] = dict(below) if isinstance(below, dict) else {}
        return copies[path]

    for path in removed:
        if get(data, path) is not MISSING and not is_in(path[:-1], removed):
            own(path[:-1]).pop(str(path[-1]), None)
    for path, value in put.items():
        if can_hold(copies[()], path):
            own(path[:-1])[str(path[-1])] = value
    return copies[()]


def can_hold(data: dict[str, Any], path: KeyPath) -> bool:
    """True where a value can be put at `path`: all that stands above it are sections."""
    above = (get(data, path[:length]) for length in range(1, len(path)))
    return all(value is MISSING or isinstance(value, dict) for value in above)


def is_in(path: KeyPath, paths: Collection[KeyPath]) -> bool:
    """True where `path`, or something above it, is one of `paths`."""
    return any(path[:length] in paths for length in range(1, len(path) + 1))


def redirected(
    resolution: Resolution, removed: Collection[KeyPath], moved: Mapping[KeyPath, KeyPath]
) -> Resolution:
    """The resolution whose texts for files name no key that is removed.

    `moved`: new path → old path. A reference to a key that is gone becomes what that key is: a text of
    the same kind, or its value.
    """
    new_paths = {old: new for new, old in moved.items()}
    texts = {
        path: _redirected(text, path, resolution, removed, new_paths)
        for path, text in resolution.from_environment.items()
        if path in new_paths or not is_in(path, removed)
    }
    return dataclasses.replace(resolution, from_environment=texts)


def _redirected(
    text: str,
    path: KeyPath,
    resolution: Resolution,
    removed: Collection[KeyPath],
    new_paths: Mapping[KeyPath, KeyPath],
) -> str:
    """`text`, which stands at `path`, with other words for each reference that will lead nowhere."""
    for _ in range(MAX_STEPS):
        try:
            names = list(referred(parse_text(text), path))
        except GrammarError:
            break
        for as_written, key in names:
            relative = as_written.startswith("${.") and path in new_paths
            if not isinstance(key, tuple) or not (is_in(key, removed) or relative):
                continue
            if key in new_paths or not is_in(key, removed):
                other = f"${{{dotted(new_paths.get(key, key))}}}"
            else:
                other = _standing_for(key, resolution) or as_written
            text = text.replace(as_written, other)
            break
        else:
            break
    return text


def _standing_for(key: KeyPath, resolution: Resolution) -> str | None:
    """What can be written instead of a reference to `key`; None where values of the environment would be."""
    marks = resolution.from_environment
    if key in marks:
        return marks[key]
    if is_in(key, marks) or any(mark[: len(key)] == key for mark in marks):
        return None
    value = get(resolution.data, key)
    return value if isinstance(value, str) else json.dumps(value)
