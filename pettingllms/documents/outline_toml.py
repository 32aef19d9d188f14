"""TOML text to an outline: one pass over a text that was read before, comments included."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from pettingllms.documents.outline import Entry, Listing, Scalar, Table, Value, add_gap, add_trailing
from pettingllms.documents.scan import BLANK, KEY, SCALAR, STRING
from pettingllms.documents.source import Document, KeyPath

_GAP = re.compile(r"(?:[ \t\n]+|#[^\n]*)*")


def outline_toml(document: Document) -> Table:
    """Return the outline of a TOML document."""
    return _Reader(document).run()


class _Reader:
    def __init__(self, document: Document) -> None:
        self.text = document.text.replace("\r\n", "\n")
        self.data = document.data
        self.position = 0
        self.line = 1
        self.counted = 0
        self.root = Table()
        self.index: dict[int, dict[str, Entry]] = {}
        self.alive: list[Table] = []
        """Keeps tables in `index`, which knows them by identity, from being freed."""

    def run(self) -> Table:
        table, values = self.root, self.data
        path: KeyPath = ()
        last: Entry | None = None
        while True:
            lines = self.gap(last)
            if self.position >= len(self.text):
                self.end_of_file(table, lines)
                return self.root
            if self.text[self.position] == "[":
                keys, double = self.header()
                inside = keys[: len(path)] == path and not (double and keys == path)
                last, values = self.open(keys, double, lines if inside else _split(table, lines))
                table, path = _inside(last), keys
            else:
                last = self.pair(table, values, lines)

    def gap(self, last: Entry | None) -> list[str]:
        """Skip to what comes next; return the comments and blank lines between.

        A comment on the line of `last` becomes its trailing comment.
        """
        match = _GAP.match(self.text, self.position)
        end = match.end() if match else self.position
        lines = self.text[self.position : end].split("\n")
        self.position = end
        first = lines[0].strip()
        if last is not None:
            if first:
                add_trailing(last, first)
        elif first:
            lines.insert(1, first)
        # The piece behind the last line feed is the beginning of the line that comes next.
        whole = lines[1:] if end >= len(self.text) else lines[1:-1]
        return [line.strip() for line in whole]

    def end_of_file(self, table: Table, lines: list[str]) -> None:
        cut = next((index for index, line in enumerate(lines) if not line), len(lines))
        table.end += lines[:cut]
        self.root.end += lines[cut:]

    def here(self) -> int:
        """The line of the current position."""
        self.line += self.text.count("\n", self.counted, self.position)
        self.counted = self.position
        return self.line

    def header(self) -> tuple[KeyPath, bool]:
        double = self.text.startswith("[[", self.position)
        self.here()
        self.position += 2 if double else 1
        keys = self.keys()
        self.position += 2 if double else 1
        return tuple(keys), double

    def keys(self) -> list[str]:
        """Read a dotted key, up to what follows it."""
        found: list[str] = []
        while True:
            self.skip_blank()
            match = KEY.match(self.text, self.position)
            if match is None:
                raise ValueError("not a key")
            word = match.group()
            self.position = match.end()
            found.append(next(iter(tomllib.loads(f"{word}=0"))) if word[0] in "\"'" else word)
            self.skip_blank()
            if self.text[self.position : self.position + 1] != ".":
                return found
            self.position += 1

    def skip_blank(self) -> None:
        match = BLANK.match(self.text, self.position)
        self.position = match.end() if match else self.position

    def entries(self, table: Table) -> dict[str, Entry]:
        if id(table) not in self.index:
            self.alive.append(table)
        return self.index.setdefault(id(table), {})

    def child(self, table: Table, key: str) -> tuple[Entry, bool]:
        """The entry `key` of `table`, and whether it is new."""
        known = self.entries(table)
        if key in known:
            return known[key], False
        entry = Entry(key, Table(), self.line)
        known[key] = entry
        table.entries.append(entry)
        return entry, True

    def open(self, keys: KeyPath, double: bool, lines: list[str]) -> tuple[Entry, Any]:
        """Find or make the table of a header; return its entry, or that of the list item, and its data."""
        gap = Entry(None, Table())
        _header_gap(gap, lines)
        table, values, outermost = self.root, self.data, None
        for key in keys[:-1]:
            entry, new = self.child(table, str(key))
            outermost = outermost or (entry if new else None)
            table, values = _inside(entry), _data_inside(entry, values)
        entry, new = self.child(table, str(keys[-1]))
        if not double:
            entry.above += gap.above
            (outermost or entry).blank |= gap.blank
            return entry, _data_inside(entry, values)
        item = Entry(None, Table(), self.line, above=gap.above)
        if new:
            entry.value = Listing(items=[item])
            (outermost or entry).blank |= gap.blank
        elif isinstance(entry.value, Listing):
            item.blank = gap.blank
            entry.value.items.append(item)
        return item, _data_inside(entry, values)

    def pair(self, table: Table, values: Any, lines: list[str]) -> Entry:
        self.here()
        keys = self.keys()
        outermost = None
        for key in keys[:-1]:
            entry, new = self.child(table, key)
            outermost = outermost or (entry if new else None)
            table, values = _inside(entry), values[key]
        entry, _ = self.child(table, keys[-1])
        add_gap(entry, lines)
        if outermost is not None:
            outermost.blank, entry.blank = entry.blank, False
        self.position += 1  # the equals sign
        self.skip_blank()
        entry.value = self.value(entry, values[keys[-1]])
        return entry

    def value(self, entry: Entry, data: Any) -> Value:
        """Read one value. Comments behind an opening bracket become those of `entry`."""
        opening = self.text[self.position]
        if opening == "[":
            return self.array(entry, data)
        if opening == "{":
            return self.inline_table(data)
        match = (STRING if opening in "\"'" else SCALAR).match(self.text, self.position)
        if match is None:
            raise ValueError("not a value")
        self.position = match.end()
        return Scalar(data, None if isinstance(data, str) else match.group())

    def array(self, entry: Entry, data: list[Any]) -> Listing:
        self.position += 1
        listing = Listing()
        start = self.position
        lines = self.gap(entry)
        item: Entry | None = None
        while self.text[self.position] != "]":
            self.here()
            item = Entry(None, Scalar(None), self.line)
            add_gap(item, lines)
            item.value = self.value(item, data[len(listing.items)])
            listing.items.append(item)
            lines = self.separator(item)
        listing.end += lines
        listing.flow = "\n" not in self.text[start : self.position]
        self.position += 1
        return listing

    def separator(self, item: Entry) -> list[str]:
        lines = self.gap(item)
        if self.text[self.position] == ",":
            self.position += 1
            lines += self.gap(item if not lines else None)
        return lines

    def inline_table(self, data: dict[str, Any]) -> Table:
        self.position += 1
        table = Table(flow=True)
        self.skip_blank()
        while self.text[self.position] != "}":
            self.pair(table, data, [])
            self.skip_blank()
            if self.text[self.position] == ",":
                self.position += 1
                self.skip_blank()
        self.position += 1
        return table


def _header_gap(entry: Entry, lines: list[str]) -> None:
    """One blank line above a header is how headers are written; a second one is the author's."""
    before = next((index for index, line in enumerate(lines) if line), len(lines))
    add_gap(entry, lines)
    entry.blank = before > 1


def _split(table: Table, lines: list[str]) -> list[str]:
    """Give the comments directly below the last key of `table` to it; return the others."""
    if not lines or not lines[0] or "" not in lines:
        return lines
    cut = lines.index("")
    table.end += lines[:cut]
    return lines[cut:]


def _inside(entry: Entry) -> Table:
    """The table of `entry`; of a list of tables, its last one."""
    value = entry.value
    if isinstance(value, Listing):
        value = value.items[-1].value
    assert isinstance(value, Table)
    return value


def _data_inside(entry: Entry, values: Any) -> Any:
    """The data of `entry` in those of the table around it; of a list of tables, its last one so far."""
    data = values[entry.key]
    return data[len(entry.value.items) - 1] if isinstance(entry.value, Listing) else data
