"""Plain data as an outline, to be written in either format."""

from __future__ import annotations

from typing import Any

from pettingllms.documents.outline import Entry, Listing, Scalar, Table, Value

SPECIAL = ("null", "sweep")
"""First keys of tables that stand for one value: they stay on one line."""


class Spelled(float):
    """A number that keeps the way in which it was written."""

    __slots__ = ("text",)

    text: str

    def __new__(cls, value: float, text: str) -> Spelled:
        """The number `value`, written `text`."""
        made = super().__new__(cls, value)
        made.text = text
        return made


def outline_of(data: dict[str, Any]) -> Table:
    """Return `data` as the outline of a whole document, without comments."""
    return Table([Entry(str(key), value_of(item)) for key, item in data.items()])


def value_of(value: Any) -> Value:
    """Return `value` as what stands behind a key. A list of tables has a line for each."""
    if isinstance(value, dict):
        entries = [Entry(str(key), value_of(item)) for key, item in value.items()]
        return Table(entries, flow=next(iter(value), "null") in SPECIAL)
    if isinstance(value, list):
        return Listing([Entry(None, _item(item)) for item in value], flow=dict not in map(type, value))
    return Scalar(float(value), value.text) if isinstance(value, Spelled) else Scalar(value)


def _item(value: Any) -> Value:
    made = value_of(value)
    if isinstance(made, Table):
        made.flow = True
    return made
