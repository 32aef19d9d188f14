"""What resolving references gives: the plain tree, where its values came from, and what is secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pettingllms.compose.reference_grammar import is_key
from pettingllms.compose.tree import MISSING, get
from pettingllms.documents.source import Finding, KeyPath


@dataclass(frozen=True, slots=True)
class Fallback:
    """An `oc.select` in the string at `path` found nothing at the absolute path `key`.

    `relative`: the key was written as a relative one, `${oc.select:.x,1}`.
    """

    path: KeyPath
    key: KeyPath
    relative: bool


@dataclass(slots=True)
class Resolution:
    """A tree without references, and what is known about them.

    `origins`: path of each value that is one whole reference → path of what it refers to.
    `broken`: paths whose reference failed; their text is still in `data`.
    `from_environment`: path of each value that depends on an environment variable → the text with
    references that stands for it in files.
    `secrets`: each text that comes from the environment → what is shown in its place.
    `fallbacks`: each `oc.select` that took its default, in order. `absolute_misses`: path of each
    string with an absolute reference to a key that does not exist → that key. Keys that depend on the
    environment are in neither.
    """

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, KeyPath] = field(default_factory=dict)
    broken: set[KeyPath] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    from_environment: dict[KeyPath, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    fallbacks: list[Fallback] = field(default_factory=list)
    absolute_misses: list[tuple[KeyPath, KeyPath]] = field(default_factory=list)


def spread(
    data: Mapping[str, Any],
    resolution: Resolution,
    targets: Mapping[KeyPath, KeyPath],
    environment: set[KeyPath],
) -> None:
    """Carry the marks of strings to where references copied them: `broken`, `from_environment`.

    `targets`: path of each string that is one whole reference → the path whose value it takes.
    `environment`: paths of the strings that depend on the environment.
    """
    written = set(resolution.broken)
    # Where a value lies in the resolved tree, where it was written, and the reference that copied it.
    waiting: list[tuple[KeyPath, KeyPath, Any, KeyPath | None]] = [((), (), data, None)]
    while waiting:
        path, home, raw, copied_by = waiting.pop()
        if isinstance(raw, dict | list):
            items = list(raw.items() if isinstance(raw, dict) else enumerate(raw))
            waiting += [((*path, k), (*home, k), v, copied_by) for k, v in reversed(items)]
        elif home in written:
            resolution.broken.add(path)
        elif home in environment:
            _mark(data, resolution, (path, home, raw), copied_by)
        elif home in targets:
            below = get(data, targets[home])
            if isinstance(below, dict | list):
                waiting.append((path, targets[home], below, path if copied_by is None else copied_by))
    marked = resolution.from_environment
    for path in [p for p in marked if any(p[:n] in marked for n in range(1, len(p)))]:
        del marked[path]


def _mark(
    data: Mapping[str, Any],
    resolution: Resolution,
    found: tuple[KeyPath, KeyPath, str],
    copied_by: KeyPath | None,
) -> None:
    path, home, raw = found
    if copied_by is None:
        resolution.from_environment[path] = raw
    elif all(map(is_key, home)):
        resolution.from_environment[path] = f"${{{'.'.join(map(str, home))}}}"
    else:
        # No reference can name this key, so that the reference to the whole section must stay.
        resolution.from_environment[copied_by] = get(data, copied_by)


def source_of(path: KeyPath, origins: Mapping[KeyPath, KeyPath]) -> KeyPath:
    """Follow references at or above `path` to where its value was written; `path` itself without any."""
    for _ in range(len(origins)):
        above = next((path[:n] for n in range(len(path), 0, -1) if path[:n] in origins), None)
        if above is None:
            break
        path = (*origins[above], *path[len(above) :])
    return path


def get_through(data: Any, keys: KeyPath) -> Any:
    """Return the raw value at `keys`, where list items are named by their digits."""
    for key in keys:
        index = isinstance(data, list) and str(key).isdecimal()
        data = get(data, (int(key) if index else key,))
        if data is MISSING:
            break
    return data
