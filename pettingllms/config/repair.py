"""How faults of shape are mended: the value that was meant, the key that was meant, where a key belongs."""

from __future__ import annotations

import datetime
import math
import re
import types
from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin

from pettingllms.compose.tree import MISSING, get
from pettingllms.config.fields import (
    FREELY_NAMED,
    alternatives,
    annotation_at,
    homes_of,
    is_section,
    known_keys,
)
from pettingllms.documents.literals import toml_value
from pettingllms.documents.source import Change, Fix, KeyPath, dotted
from pettingllms.registry import closest

_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]*(?:_[0-9]+)*)")
_NUMBER = re.compile(_WHOLE.pattern + r"(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_EXACT = 2**53
"""Up to here every whole number is a float of its own."""
_MAX_DIGITS = 18
"""A whole number of so many digits fits in 64 bits."""


def retyped(path: KeyPath, value: Any, annotation: Any) -> Fix | None:
    """The fix of a value whose type is wrong and whose meaning is certain."""
    wanted = {_plain(option) for option in alternatives(annotation)} - {types.NoneType}
    if isinstance(value, str) and wanted and wanted <= {int, float}:
        number = _number(value.strip(), whole=wanted == {int})
        return None if number is None else _set("remove the quotes", path, number)
    if isinstance(value, str) and wanted == {bool} and value.lower() in ("true", "false"):
        return _set("remove the quotes", path, value.lower() == "true")
    if wanted == {str} and isinstance(value, (bool, int, float, datetime.date, datetime.time)):
        return _set("put the value in quotes", path, toml_value(value))
    if wanted == {int} and isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return _set("write the whole number", path, int(value))
    if wanted == {list} and not isinstance(value, (dict, list)) and _is_one_item(value, annotation):
        return _set("write a list of this one value", path, [value])
    return None


def counted(path: KeyPath, data: dict[str, Any]) -> Fix | None:
    """The fix of a missing number that says how many entries another section has."""
    entries = get(data, ("agent_policy_configs", "agent_configs"))
    if path != ("agent_policy_configs", "num_agents") or not isinstance(entries, dict) or not entries:
        return None
    return _set(f"write num_agents = {len(entries)}", path, len(entries))


def reworded(path: KeyPath, near: str) -> Fix:
    """The fix of a word that is none of those allowed, where `near` was meant."""
    return _set(f'write "{near}"', path, near, safe=False)


def renamed(path: KeyPath, key: str) -> Fix:
    """The fix of a misspelt key."""
    change = Change("rename", path, to=(*path[:-1], key))
    return Fix(f"rename {dotted(path[-1:])} to {key}", (change,), safe=False)


def known_as(path: KeyPath, data: dict[str, Any]) -> Fix | None:
    """The fix of a key that the schema does not have: another name, or the one section it belongs in."""
    siblings = known_keys(path[:-1])
    if closest(str(path[-1]), siblings) is not None:
        near = nearest(str(path[-1]), siblings)
        is_free = near is not None and get(data, (*path[:-1], near)) is MISSING
        return renamed(path, near) if near is not None and is_free else None
    homes = homes_of(path[-1], data)
    if len(homes) != 1 or not _is_home(homes[0], path, data):
        return None
    where = f"[{dotted(homes[0][:-1])}]" if homes[0][:-1] else "the root of the file"
    return Fix(f"move {dotted(path[-1:])} to {where}", (Change("move", path, to=homes[0]),), safe=False)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one known word that `word` is a misspelling or a shorter form of; None where two are near."""
    words = list(known)
    limit = min(2, (len(word) - 1) // 2)
    distances = {one: _distance(word.lower(), one.lower(), limit) for one in words}
    least = min(distances.values(), default=limit + 1)
    if least <= limit:
        near = [one for one in words if distances[one] == least]
    else:
        parts = set(word.split("_"))
        near = [one for one in words if len(parts) > 1 and parts < set(one.split("_"))]
    return near[0] if len(near) == 1 else None


def _distance(one: str, other: str, limit: int) -> int:
    """How many characters are put in, taken out or swapped; one that is another counts twice.

    Above `limit`, it is any larger number. Another letter is another word (gpu, cpu) sooner than one
    too many or too few is.
    """
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    above: list[int] = []
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, start=1):
        before, above, row = above, row, [i]
        for j, right in enumerate(other, start=1):
            least = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + 2 * (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                least = min(least, before[j - 2] + 1)
            row.append(least)
    return row[-1]


def _is_home(home: KeyPath, path: KeyPath, data: dict[str, Any]) -> bool:
    """True where the value at `path` may be put at `home`: nothing is there, and its section is known."""
    if get(data, home) is not MISSING or home == path or any(isinstance(part, int) for part in path):
        return False
    for section in FREELY_NAMED:
        depth = len(section) + 1
        if home[: len(section)] == section and not isinstance(get(data, home[:depth]), dict):
            return False
    wants_table = any(
        is_section(option) or get_origin(option) is dict for option in alternatives(annotation_at(home))
    )
    return wants_table == isinstance(get(data, path), dict)


def _set(title: str, path: KeyPath, value: Any, *, safe: bool = True) -> Fix:
    return Fix(title, (Change("set", path, value),), safe)


def _plain(option: Any) -> Any:
    origin = get_origin(option)
    return origin if origin in (list, dict) else option


def _number(text: str, *, whole: bool) -> int | float | None:
    if len(text) > _MAX_DIGITS or not _NUMBER.fullmatch(text):
        return None
    if _WHOLE.fullmatch(text):
        return int(text)
    number = float(text)
    if not math.isfinite(number) or not whole:
        return number if math.isfinite(number) else None
    return int(number) if number.is_integer() and abs(number) <= _EXACT else None


def _is_one_item(value: Any, annotation: Any) -> bool:
    """True where `value` surely is one item of such a list; a text with a comma may be several."""
    lists = [option for option in alternatives(annotation) if get_origin(option) is list]
    if value is None or (isinstance(value, str) and (not value.strip() or re.search(r"[,;\[\]]", value))):
        return False
    for option in alternatives(get_args(lists[0])[0]):
        if get_origin(option) is Literal:
            accepted = value in get_args(option)
        else:
            accepted = option is Any or type(value) is option or (option is float and type(value) is int)
        if accepted:
            return True
    return False
