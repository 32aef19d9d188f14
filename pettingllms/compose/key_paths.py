"""From the inside of `${…}` to a path in the tree: relative starts, brackets, list items, near misses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from pettingllms.documents.source import KeyPath, dotted
from pettingllms.registry import closest

MAX_NAMES = 2000
MAX_LENGTH = 200
_HEAD = re.compile(r"[^.\[]*")
_NEXT = re.compile(r"\.([^.\[]*)|\[(.*?)\]")


class AbsentError(Exception):
    """A path leads to nothing.

    `asked`: the whole absolute path. `depth`: the index of its first key that does not exist, in
    `container`. `why`: `key`, `index` (a list was given a name) or `missing` (the value is `???`).
    """

    def __init__(self, asked: KeyPath, depth: int, container: Any, why: str) -> None:
        super().__init__()
        self.asked, self.depth, self.container, self.why = asked, depth, container, why


def split_keys(inside: str, path: KeyPath) -> tuple[KeyPath, list[str]] | None:
    """Where the key `inside`, written in the string at `path`, starts, and its keys.

    Without leading dots it starts at the root; one dot is the section or list that holds the
    string, each further dot one level above. None where that is above the root.
    """
    keys = inside.lstrip(".")
    dots = len(inside) - len(keys)
    start: KeyPath = ()
    if dots:
        above = len(path) - dots
        if above < 0:
            return None
        start = path[:above]
    if not keys:
        return start, []
    head = _HEAD.match(keys)
    first = head[0] if head else ""
    rest = [name or bracketed for name, bracketed in _NEXT.findall(keys, len(first))]
    return start, [first, *rest] if first or not rest else rest


def step(container: Any, key: str) -> str | int | None:
    """`key` as a key of `container`: a list item is named by a whole number, else None."""
    if not isinstance(container, list):
        return key
    try:
        return int(key)
    except ValueError:
        return None


class Names:
    """Proposes keys that were probably meant; stops where that would take long."""

    def __init__(self, data: dict[str, Any], limit: int = 20) -> None:
        self.data = data
        self.left = limit
        self.leaves: list[str] | None = None

    def near(self, absent: AbsentError) -> str | None:
        """The dotted path most like the one that was asked for."""
        self.left -= 1
        asked, container = dotted(absent.asked), absent.container
        if self.left < 0 or len(asked) > MAX_LENGTH:
            return None
        key = str(absent.asked[absent.depth])
        if isinstance(container, dict) and len(container) <= MAX_NAMES:
            sibling = closest(key, [str(name) for name in container])
            if sibling is not None:
                return dotted((*absent.asked[: absent.depth], sibling, *absent.asked[absent.depth + 1 :]))
        if self.leaves is None:
            self.leaves = [dotted(leaf) for leaf in islice(_leaves(self.data), MAX_NAMES)]
        return closest(asked, self.leaves)


def _leaves(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    else:
        yield path
