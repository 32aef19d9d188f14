"""Values that cross the border to a program: JSON with tags, of exact builtin types only.

None, bool, int, float, str and list are what they are in JSON. A tuple is `{"tuple": […]}`, a dict is
`{"dict": [[key, value], …]}`, and an int that may be too long for decimal digits is `{"int": "0x…"}`.
An object of any other type, subclasses of these among them, has methods of its own, which could say that
it equals everything: it is refused.
"""

from __future__ import annotations

import json
from typing import Any

_PLAIN = (str, bool, float, type(None))
_DECIMAL = 1 << 63
"""Longer integers are written in hexadecimal: Python refuses to read very long decimal ones."""


def encode(value: Any) -> str:
    """The text of `value`. Raises TypeError where part of it is not of an exact builtin type."""
    return json.dumps(_tagged(value))


def decode(text: str | bytes) -> Any:
    """The value of a text, whoever wrote it. Raises ValueError where `encode` would not write it."""
    try:
        return _untagged(json.loads(text))
    except RecursionError:
        raise ValueError("the value is nested too deeply") from None


def _tagged(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is int:
        return value if -_DECIMAL <= value < _DECIMAL else {"int": hex(value)}
    if kind is list:
        return [_tagged(item) for item in value]
    if kind is tuple:
        return {"tuple": [_tagged(item) for item in value]}
    if kind is dict:
        return {"dict": [[_tagged(key), _tagged(item)] for key, item in value.items()]}
    raise TypeError(f"{kind.__name__} is not among None, bool, int, float, str, list, tuple and dict")


def _untagged(data: Any) -> Any:
    if type(data) is list:
        return [_untagged(item) for item in data]
    if type(data) is not dict:
        return data
    match data:
        case {"int": str(digits), **rest} if not rest:
            return int(digits, 16)
        case {"tuple": list(items), **rest} if not rest:
            return tuple(_untagged(item) for item in items)
        case {"dict": list(pairs), **rest} if not rest:
            return _dict(pairs)
    raise ValueError("an object without a tag that is known")


def _dict(pairs: list[Any]) -> dict[Any, Any]:
    found = {}
    for pair in pairs:
        if type(pair) is not list or len(pair) != 2:
            raise ValueError("a dict is written as pairs")
        try:
            found[_untagged(pair[0])] = _untagged(pair[1])
        except TypeError:
            raise ValueError("a key that cannot be one") from None
    return found
