"""What differs between two resolved experiments, value by value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pettingllms.compose.resolution import Resolution
from pettingllms.compose.secrets import redacted
from pettingllms.compose.tree import MISSING, Tree, get
from pettingllms.documents.literals import same
from pettingllms.documents.source import KeyPath, Place


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that only one side has, or that is not the same on both; values as they may be shown."""

    kind: Literal["added", "removed", "changed"]
    path: KeyPath
    old: Any = None
    new: Any = None
    old_place: Place | None = None
    new_place: Place | None = None


def differences(left: tuple[Tree, Resolution], right: tuple[Tree, Resolution]) -> list[Difference]:
    """What must change in `left` to make it `right`, in the order of its keys.

    Lists are compared whole. Values of other types differ: `1`, `1.0` and `"1"` are three values.
    Each side is a composed tree and the same resolved.
    """
    old, new = left[1].data, right[1].data
    old_shown, new_shown = redacted(old, left[1]), redacted(new, right[1])
    found = []
    for path in _paths(old, new, ()):
        before, after = get(old, path), get(new, path)
        kind: Literal["added", "removed", "changed"] = "changed"
        if before is MISSING or after is MISSING:
            kind = "added" if before is MISSING else "removed"
        elif same(before, after):
            continue
        found.append(
            Difference(
                kind,
                path,
                None if before is MISSING else _shown(old_shown, path),
                None if after is MISSING else _shown(new_shown, path),
                None if before is MISSING else left[0].place(path),
                None if after is MISSING else right[0].place(path),
            )
        )
    return found


def _shown(data: Any, path: KeyPath) -> Any:
    """The value at `path` as it may be shown: where a section came from the environment, its reference."""
    return next(value for n in range(len(path), -1, -1) if (value := get(data, path[:n])) is not MISSING)


def _paths(old: Any, new: Any, path: KeyPath) -> Iterator[KeyPath]:
    """Every path at which one side or both have a value, sections of both taken apart."""
    sides = [side for side in (old, new) if side is not MISSING]
    if not all(isinstance(side, dict) for side in sides) or (path and any(not side for side in sides)):
        yield path
        return
    for key in dict.fromkeys(key for side in sides for key in side):
        yield from _paths(get(old, (key,)), get(new, (key,)), (*path, key))
