"""Plain data as an outline, to be written in either format."""

from __future__ import annotations

from typing import Any

from pettingllms.documents.outline import Entry, Listing, Scalar, Table, Value

SPECIAL = ("null", "sweep")
"""First keys of tables that stand for one value: they stay on one line."""


def outline_of(data: dict[str, Any]) -> Table:
    """Return `data` as the outline of a whole document, without comments."""
    return Table([Entry(str(key), _value(item)) for key, item in data.items()])


def _value(value: Any) -> Value:
    if isinstance(value, dict):
        entries = [Entry(str(key), _value(item)) for key, item in value.items()]
        return Table(entries, flow=next(iter(value), "null") in SPECIAL)
    if isinstance(value, list):
        # A list of tables has a line for each.
        return Listing([Entry(None, _item(item)) for item in value], flow=dict not in map(type, value))
    return Scalar(value)


def _item(value: Any) -> Value:
    made = _value(value)
    if isinstance(made, Table):
        made.flow = True
    return made
