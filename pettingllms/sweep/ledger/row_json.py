"""Rows of a study as JSON, for its storages."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, get_args

from pettingllms.sweep.ledger.rows import Row, State

FORMAT = 1
"""The layout of headers and rows that this version writes and reads."""

_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("attempt", "failures", "step", "total_steps"), int),
    **dict.fromkeys(("lease_until", "not_before", "seconds", "gpu_seconds"), (int, float)),
    **dict.fromkeys(("worker", "folder", "reason", "cause"), (str, type(None))),
    **dict.fromkeys(("active", "objectives"), (tuple, type(None))),
    "advice": (int, type(None)),
    "metrics": Mapping,
}


def dumped(value: Any) -> str:
    """`value` on one line; what JSON does not know is written as its text."""
    return json.dumps(value, separators=(",", ":"), default=str)


def row_data(row: Row) -> dict[str, Any]:
    """The fields of `row` that are not at their default, and its number and values."""
    found = {}
    for field in dataclasses.fields(row):
        value = getattr(row, field.name)
        if field.name == "metrics":
            value = dict(value)
        if value != _default(field):
            found[field.name] = value
    return found


def row_of(data: Any) -> Row:
    """The row that `row_data` gave, read back from JSON. Raises ValueError where it is none."""
    if not isinstance(data, dict):
        raise ValueError("a row is a table")
    fields = dict(data)
    for name in ("active", "objectives"):
        if isinstance(fields.get(name), list):
            fields[name] = tuple(fields[name])
    try:
        row = Row(**fields)
    except TypeError as cause:
        raise ValueError(str(cause)) from None
    known = isinstance(row.number, int) and isinstance(row.values, Mapping) and row.state in get_args(State)
    if not known:
        raise ValueError(f"it has number {row.number!r} and state {row.state!r}")
    for name, kinds in _KINDS.items():
        value = getattr(row, name)
        if not isinstance(value, kinds):
            raise ValueError(f"it has {name} {value!r}")
    if row.number < 0 or not all(isinstance(value, int | float) for value in row.objectives or ()):
        raise ValueError(f"it has number {row.number!r} and objectives {row.objectives!r}")
    return row


def parsed_row(text: str) -> Row:
    """The row of a JSON text. Raises ValueError where it is none."""
    return row_of(json.loads(text))


def parsed_table(text: str) -> dict[str, Any]:
    """The table of a JSON text. Raises ValueError where it is none."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("it is no table")
    return found


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
