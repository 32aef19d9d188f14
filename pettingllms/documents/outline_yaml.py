"""YAML text to an outline: a walk along the spans of keys and values, with the comments between them."""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable
from typing import Any

from pettingllms.documents.outline import Entry, Listing, Scalar, Table, Value, add_gap, add_trailing
from pettingllms.documents.source import Document, KeyPath, Span

# What stands between keys and values holds no text in quotes: a # there begins a comment,
# except inside the name of an anchor, alias or tag.
_COMMENT = re.compile(r"[&*!][^\s,\[\]{}]+|#.*")

Line = tuple[int, str]
"""A comment and its column from 0; "" for a blank line."""


def outline_yaml(document: Document, note: Callable[[int, str], None]) -> Table:
    """Return the outline of a YAML document.

    `note` is told the line of each anchor and tag, which an outline does not hold.
    """
    return _Reader(document, note).run()


class _Reader:
    def __init__(self, document: Document, note: Callable[[int, str], None]) -> None:
        self.document = document
        self.note = note
        self.text = document.text
        self.starts = [0, *(match.end() for match in re.finditer("\n", self.text))]
        self.position = 0
        self.last: Entry | None = None
        self.closing: list[tuple[int, Table | Listing]] = []
        """The collections that ended since the last key, innermost first, each with its indentation."""

    def run(self) -> Table:
        root, end = Table(), Entry(None, Scalar(None))
        self.mapping((), self.document.data, root, flow=False)
        self.distribute(self.gap(len(self.text)), -1, end)
        root.end += end.above
        return root

    def span(self, path: KeyPath) -> tuple[Span, Span]:
        return self.document.spans[path]

    def index(self, line: int, column: int) -> int:
        return self.starts[line - 1] + column - 1

    def stretch(self, span: Span) -> tuple[int, int]:
        return self.index(span.line, span.column), self.index(span.end_line, span.end_column)

    def gap(self, end: int) -> list[Line]:
        """Move on to `end`; return the comments and blank lines before it.

        A comment on the line of the last key or value becomes its trailing comment.
        """
        pieces = self.text[self.position : end].split("\n")
        lines: list[Line] = []
        for number, piece in enumerate(pieces):
            found = None
            for match in _COMMENT.finditer(piece):
                if match.group()[0] == "#":
                    found = match
                elif match.group()[0] in "&!":
                    kind = "anchor" if match.group()[0] == "&" else "tag"
                    line = bisect.bisect_right(self.starts, self.position) + number
                    self.note(line, f"the {kind} {match.group()} is left out")
            if found is None:
                if 0 < number < len(pieces) - 1 and not piece.strip():
                    lines.append((0, ""))
            elif number == 0 and self.last is not None:
                add_trailing(self.last, found.group().rstrip())
            else:
                lines.append((found.start(), found.group().rstrip()))
        self.position = end
        return lines

    def distribute(self, lines: list[Line], column: int, entry: Entry) -> None:
        """Give the comments above `entry`, which begins at `column`, to it or to what ended before it.

        A comment that is indented like the entries of a collection that ended belongs to its end.
        """
        level = waiting = 0
        for number, (indent, comment) in enumerate(lines):
            if not comment:
                continue
            while level < len(self.closing) and self.closing[level][0] > indent:
                level += 1
            if indent <= column or level == len(self.closing):
                break
            self.closing[level][1].end += [text for _, text in lines[waiting : number + 1]]
            waiting = number + 1
        add_gap(entry, [text for _, text in lines[waiting:]])
        self.closing.clear()

    def mapping(self, path: KeyPath, data: dict[str, Any], table: Table, *, flow: bool) -> None:
        indent: int | None = None
        # Merged keys come first in the data, wherever they are merged.
        keys = sorted(data, key=lambda key: self.stretch(self.span((*path, key))[0]))
        for key in keys:
            span, _ = self.span((*path, key))
            start, end = self.stretch(span)
            entry = Entry(key, Scalar(None), span.line)
            table.entries.append(entry)
            if start < self.position or (self.text[start:end] == "<<" and key != "<<"):
                entry.value = _copied(data[key])
                continue
            column = span.column - 1
            indent = column if indent is None else indent
            self.above(entry, self.gap(start), column, flow=flow)
            self.position, self.last = end, entry
            entry.value = self.value((*path, key), data[key], entry, column, flow=flow)
        if not flow:
            self.closing.append((indent or 0, table))

    def above(self, entry: Entry, lines: list[Line], column: int, *, flow: bool) -> None:
        if flow:
            add_gap(entry, [text for _, text in lines])
        else:
            self.distribute(lines, column, entry)

    def value(self, path: KeyPath, data: Any, entry: Entry, column: int, *, flow: bool) -> Value:
        """Read the value of `entry`, whose key or dash stands at `column`."""
        start, end = self.stretch(self.span(path)[1])
        if start < self.position or self.text.startswith("*", start):
            if end > self.position:
                entry.above += [text for _, text in self.gap(start) if text]
                self.position, self.last = end, entry
            return _copied(data)
        opening = self.text[start : start + 1]
        if data == {"null": True}:
            self.note(self.span(path)[0].line, "{ null: true } is read as null")
        if isinstance(data, dict):
            table = Table(flow=flow or opening == "{")
            if opening == "{":
                self.collection(path, data, table, entry, (start, end))
            else:
                self.mapping(path, data, table, flow=flow)
            return table
        if isinstance(data, list):
            listing = Listing(flow=opening == "[")
            if opening == "[":
                self.collection(path, data, listing, entry, (start, end))
            else:
                self.items(path, data, listing, column)
            return listing
        return self.scalar(data, entry, start, end)

    def scalar(self, data: Any, entry: Entry, start: int, end: int) -> Scalar:
        if end > start:
            entry.above += [text for _, text in self.gap(start) if text]
            self.position = end
        written = self.text[start:end]
        if not isinstance(data, str):
            return Scalar(data, written)
        if written[:1] in ("|", ">"):
            header = written.partition("\n")[0]
            if "#" in header:
                add_trailing(entry, header[header.index("#") :].rstrip())
        return Scalar(data)

    def collection(
        self, path: KeyPath, data: Any, value: Table | Listing, entry: Entry, stretch: tuple[int, int]
    ) -> None:
        """Read what stands in brackets."""
        entry.above += [text for _, text in self.gap(stretch[0]) if text]
        self.position += 1
        if isinstance(value, Table):
            self.mapping(path, data, value, flow=True)
        else:
            for index, item_data in enumerate(data):
                span, _ = self.span((*path, index))
                item = Entry(None, Scalar(None), span.line)
                value.items.append(item)
                start = self.stretch(span)[0]
                if start >= self.position:
                    add_gap(item, [text for _, text in self.gap(start)])
                    self.last = item
                item.value = self.value((*path, index), item_data, item, 0, flow=True)
        if stretch[1] > self.position:
            value.end += [text for _, text in self.gap(stretch[1] - 1) if text]
        self.position, self.last = stretch[1], entry

    def items(self, path: KeyPath, data: list[Any], listing: Listing, parent: int) -> None:
        """Read what stands behind dashes, below a key or dash at column `parent`."""
        indent = parent + 1
        for index, item_data in enumerate(data):
            span, _ = self.span((*path, index))
            item = Entry(None, Scalar(None), span.line)
            listing.items.append(item)
            dash = self.dash()
            column = dash - self.text.rfind("\n", 0, dash) - 1
            # A list may stand as deep as the key above it; its comments are told by their deeper place.
            indent = max(column, parent + 1)
            self.distribute(self.gap(dash), column, item)
            self.position, self.last = dash + 1, item
            item.value = self.value((*path, index), item_data, item, column, flow=False)
        self.closing.append((indent, listing))

    def dash(self) -> int:
        """Where the next item of a list begins."""
        index = self.position
        while (character := self.text[index : index + 1]) not in ("-", ""):
            if character == "#":
                index = self.text.find("\n", index)
                if index < 0:
                    break
            elif character in "&!":
                while not self.text[index].isspace():
                    index += 1
            else:
                index += 1
        return index


def _copied(data: Any) -> Value:
    """The outline of data that an alias or a merge key stands for."""
    if isinstance(data, dict):
        return Table([Entry(key, _copied(value)) for key, value in data.items()])
    if isinstance(data, list):
        return Listing([Entry(None, _copied(value)) for value in data])
    return Scalar(data)
