"""Lists of actions in texts: where one stands, and what it is made of."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

_MARK = re.compile(r"####|\*\*Actions List\*\*:")
_FENCE = re.compile(r"(?:```\w*|[`*]*)\s*")
"""What Markdown puts before a list that is code, or in bold print."""
_PLAIN = str.maketrans({"'": '"', "(": "[", ")": "]"})
"""Python writes quotes and tuples where JSON has others."""
LONGEST = 65_536
"""Characters of a list; a longer one is none."""
DEEPEST = 3
"""Brackets within brackets of a list; the deepest form of an action has as many."""


class Plan(NamedTuple):
    """The items of a list of actions, or None and the reason code why there is none."""

    items: list[Any] | None
    missing: str = "no_actions"


def plan_in(text: str, most: int) -> Plan:
    """The list that stands directly behind the last `####` or `**Actions List**:`, with nothing after it.

    What follows on later lines does not count. `most`: how many items a list may have; a longer one is none.
    """
    marks = list(_MARK.finditer(text))
    if not marks:
        return Plan(None)
    rest = text[marks[-1].end() :].lstrip()
    fence = _FENCE.match(rest)
    rest = rest[fence.end() :] if fence else rest
    end = _end(rest)
    if end is None or rest[end:].partition("\n")[0].strip(" \t\r.`*"):
        return Plan(None, "bad_list")
    try:
        items = json.loads(rest[:end].translate(_PLAIN))
    except (ValueError, RecursionError):
        return Plan(None, "bad_list")
    return Plan(items) if len(items) <= most else Plan(None, "too_many_actions")


def _end(text: str) -> int | None:
    """Where the list ends that `text` begins with; None where it is none, never ends, or is too deep."""
    if not text.startswith(("[", "(")):
        return None
    depth = 0
    for place, letter in enumerate(text[:LONGEST]):
        depth += (letter in "[({") - (letter in "])}")
        if depth > DEEPEST:
            return None
        if depth == 0:
            return place + 1
    return None
