"""A document with its comments: what both formats can say, in the one shape from which either is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Scalar:
    """A single value. `text`: a number, boolean, null or date as the source spells it."""

    value: Any
    text: str | None = None


@dataclass(slots=True)
class Table:
    """A mapping. `end`: comments below its last entry. `flow`: written on one line."""

    entries: list[Entry] = field(default_factory=list)
    end: list[str] = field(default_factory=list)
    flow: bool = False


@dataclass(slots=True)
class Listing:
    """A list. `end`: comments below its last item. `flow`: written on one line.

    `tables`: TOML writes each item below a `[[header]]` of its own; decided by `arrange`.
    """

    items: list[Entry] = field(default_factory=list)
    end: list[str] = field(default_factory=list)
    flow: bool = False
    tables: bool = False


Value = Scalar | Table | Listing


@dataclass(slots=True)
class Entry:
    """A key and its value, or an item of a list, whose key is None.

    `above`: the comments above it, with "" for a blank line between or below them. `blank`: a
    blank line above those. `trailing`: the comment behind it. `line`: where it stood.
    """

    key: str | None
    value: Value
    line: int = 0
    blank: bool = False
    above: list[str] = field(default_factory=list)
    trailing: str | None = None


def is_header(entry: Entry) -> bool:
    """True where TOML writes `entry` below a header of its own."""
    value = entry.value
    return value.tables if isinstance(value, Listing) else isinstance(value, Table) and not value.flow


def needs_header(entry: Entry, table: Table) -> bool:
    """True where the header of `entry` says something that those of the tables inside do not."""
    own = entry.above or entry.trailing is not None
    return bool(own) or not all(is_header(child) for child in table.entries)


def children(value: Value) -> list[Entry]:
    """The entries of a table, the items of a list."""
    if isinstance(value, Table):
        return value.entries
    return value.items if isinstance(value, Listing) else []


def comments_in(value: Value) -> Iterator[str]:
    """Every comment inside `value`, in order."""
    for child in children(value):
        yield from (line for line in child.above if line)
        if not isinstance(child.value, Scalar) and child.trailing is not None:
            yield child.trailing
        yield from comments_in(child.value)
        if isinstance(child.value, Scalar) and child.trailing is not None:
            yield child.trailing
    if not isinstance(value, Scalar):
        yield from (line for line in value.end if line)


def data_of(value: Value) -> Any:
    """The plain data of `value`; `{ null = true }` is None, as everywhere."""
    if isinstance(value, Scalar):
        return value.value
    if isinstance(value, Listing):
        return [data_of(item.value) for item in value.items]
    data = {str(entry.key): data_of(entry.value) for entry in value.entries}
    return None if is_null(value) else data


def is_null(table: Table) -> bool:
    """True for `{ null = true }`."""
    if len(table.entries) != 1 or table.entries[0].key != "null":
        return False
    value = table.entries[0].value
    return isinstance(value, Scalar) and value.value is True


def add_gap(entry: Entry, lines: list[str]) -> None:
    """Give `entry` the comments and blank lines ("") that stand above it."""
    before = next((index for index, line in enumerate(lines) if line), len(lines))
    entry.blank = before > 0
    above: list[str] = []
    for line in lines[before:]:
        if line or above[-1]:
            above.append(line)
    entry.above = above


def add_trailing(entry: Entry, comment: str) -> None:
    """Give `entry` the comment behind it; a second one stays near."""
    if entry.trailing is None:
        entry.trailing = comment
    elif isinstance(entry.value, Scalar):
        entry.above.append(comment)
    else:
        entry.value.end.append(comment)
