"""One change in a TOML text: a value replaced, a key added at its place, lines taken out."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import Any

from pettingllms.documents.layout import Layout, with_item, without_item
from pettingllms.documents.literals import same, toml_key, toml_value
from pettingllms.documents.scan import KEY
from pettingllms.documents.source import Document, KeyPath

_PART = re.compile(rf"[ \t]*({KEY.pattern})[ \t]*")


@dataclass(frozen=True, slots=True)
class _Statement:
    """A header or a `key = value` with its lines; `table` is the path of the header around it."""

    path: KeyPath
    table: KeyPath
    header: bool
    first: int
    last: int


class TomlEdit:
    """Makes one change in one document; the text comes back, to be read again."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.layout = Layout(document.text)
        self.statements = _statements(document)

    def replace(self, path: KeyPath, new: Any, written: str | None) -> str | None:
        """The text with `new` at `path`, which exists; None for a table of headers or dotted keys.

        `written`: how a person wrote the value, taken over where it reads as `new`.
        """
        place = self._slot(path)
        if place is None:
            return None
        quote = "'" if self.layout.text[place[0]] == "'" else '"'
        return self.layout.replaced(*place, _value(new, written, quote))

    def append(self, path: KeyPath, new: list[Any]) -> str | None:
        """The text with the items `new` behind those of the list at `path`; None where it is no one value."""
        if self._slot(path) is None:
            return None
        return self._add_item(path, ", ".join(toml_value(item) for item in new))

    def remove(self, path: KeyPath) -> str:
        """The text without the key at `path`; comments above it stay."""
        around = self._statement_around(path)
        if around is not None and around.path != path:
            parent = self._brackets(path[:-1])
            opening, closing = self.layout.offsets(self.document.spans[parent][1])
            key, value = self.document.spans[path]
            start = self.layout.offsets(key)[0]
            if isinstance(path[-1], str):
                start = self._start_of_key(start, opening)
            return without_item(self.layout, opening, closing - 1, start, self.layout.offsets(value)[1])
        layout = self.layout
        for first, last in reversed(self._runs(path)):
            layout = Layout(layout.without_lines(first, last))
        return layout.text

    def add(self, path: KeyPath, new: Any, written: str | None) -> str:
        """The text with a new key at `path`, with the sections above it."""
        value = _value(new, written)
        known = path[:-1]
        while known and known not in self.document.spans:
            known = known[:-1]
        if self._statement_around(known) is not None:
            parent = self._brackets(known)
            return self._add_item(parent, f"{_key(path[len(parent) :])} = {value}")
        dotted = [
            s for s in self.statements if not s.header and _below(s.path, known) and len(s.table) < len(known)
        ]
        if dotted:
            table = dotted[-1].table
            return self._line_after(dotted[-1], f"{_key(path[len(table) :])} = {value}")
        if len(path) == len(known) + 1:
            return self._add_pair(known, f"{toml_key(str(path[-1]))} = {value}")
        return self._add_table(path[:-1], known, f"{toml_key(str(path[-1]))} = {value}")

    def rekey(self, path: KeyPath, to: KeyPath) -> str | None:
        """The text with `to` for `path` in every header and key that names it; None where none can."""
        around = self._statement_around(path)
        if around is not None and around.path != path:
            start, end = self.layout.offsets(self.document.spans[path][0])
            return self.layout.replaced(start, end, toml_key(str(to[-1]))) if path[:-1] == to[:-1] else None
        text = self.layout.text
        for statement in reversed(self.statements):
            table = () if statement.header else statement.table
            if not _below(statement.path, path) or len(table) >= len(path):
                continue
            if not _below(to, table):
                return None
            # A list of tables is numbered in the path, and not in the text.
            count = sum(isinstance(part, str) for part in path[len(table) :])
            parts = self._parts(statement)
            new = _key(tuple(part for part in to[len(table) :] if isinstance(part, str)))
            text = text[: parts[0][0]] + new + text[parts[count - 1][1] :]
        return text

    def stretch(self, path: KeyPath) -> tuple[int, int, tuple[int, int] | None] | None:
        """Where the value at `path` and what follows it on its line begin and end; None for a section.

        The lines of key and value are there where they hold nothing else.
        """
        around = self._statement_around(path)
        if around is None or isinstance(path[-1], int):
            return None
        start, end = self.layout.offsets(self.document.spans[path][1])
        if around.path != path:
            return start, end, None
        line_end = self.layout.starts[around.last - 1] + len(self.layout.line(around.last))
        return start, line_end, (around.first, around.last)

    def _parts(self, statement: _Statement) -> list[tuple[int, int]]:
        """Where the parts of the statement's key begin and end."""
        text, found = self.layout.text, []
        at = self.layout.starts[statement.first - 1]
        at += len(self.layout.indent(statement.first))
        while text[at] == "[":
            at += 1
        while match := _PART.match(text, at):
            found.append(match.span(1))
            at = match.end()
            if text[at : at + 1] != ".":
                break
            at += 1
        return found

    def _slot(self, path: KeyPath) -> tuple[int, int] | None:
        """Where the value at `path` stands."""
        key, value = self.document.spans[path]
        around = (value.line, value.column) <= (key.line, key.column)
        if around and not (isinstance(path[-1], int) and self._statement_around(path)):
            return None
        return self.layout.offsets(value)

    def _statement_around(self, path: KeyPath) -> _Statement | None:
        """The `key = value` whose value holds `path`."""
        found = (s for s in self.statements if not s.header and path[: len(s.path)] == s.path)
        return next(found, None)

    def _brackets(self, path: KeyPath) -> KeyPath:
        """The nearest table or list in brackets at or above `path`."""
        while not self.layout.cut(self.document.spans[path][1]).startswith(("{", "[")):
            path = path[:-1]
        return path

    def _start_of_key(self, start: int, opening: int) -> int:
        """Where the dotted key begins whose last part begins at `start`."""
        before = self.layout.text[opening + 1 : start]
        key = before[max(before.rfind(","), before.rfind("\n"), -1) + 1 :]
        return start - len(key.lstrip())

    def _add_item(self, parent: KeyPath, new: str) -> str:
        spans, layout = self.document.spans, self.layout
        opening, closing = layout.offsets(spans[parent][1])
        ends = [
            layout.offsets(spans[path][1])[1] for path in spans if _below(path, parent) and path != parent
        ]
        return with_item(layout, opening, closing - 1, max(ends, default=None), new)

    def _runs(self, path: KeyPath) -> list[tuple[int, int]]:
        """The lines of everything at or below `path`, neighbours joined."""
        runs: list[tuple[int, int]] = []
        joined = False
        for statement in self.statements:
            if not _below(statement.path, path):
                joined = False
            elif joined:
                runs[-1] = (runs[-1][0], statement.last)
            else:
                runs.append((statement.first, statement.last))
                joined = True
        return runs

    def _line_after(self, statement: _Statement, line: str) -> str:
        return self.layout.with_lines(statement.last, [self.layout.indent(statement.first) + line])

    def _add_pair(self, table: KeyPath, line: str) -> str:
        pairs = [s for s in self.statements if not s.header and s.table == table]
        if pairs:
            return self._line_after(pairs[-1], line)
        header = next((s for s in self.statements if s.header and s.path == table), None)
        if header is not None:
            return self._line_after(header, line)
        below = next((s for s in self.statements if _below(s.path, table)), None)
        if below is None:
            return self.layout.with_lines(len(self.layout.starts), [line])
        if table:
            return self._before(below, [f"[{_key(table)}]", line])
        return self._before(below, [line])

    def _before(self, statement: _Statement, lines: list[str]) -> str:
        """Put `lines` above a statement and the comments attached to it, a blank line between."""
        first = statement.first
        while self.layout.is_comment(first - 1):
            first -= 1
        if first == 1:
            # What opens the file stays on top of it.
            first = statement.first
        return self.layout.with_lines(first - 1, [*lines, ""])

    def _add_table(self, table: KeyPath, known: KeyPath, line: str) -> str:
        """A new table behind everything that stands at or below `known`."""
        lines = [f"[{_key(table)}]", line]
        related = [s for s in self.statements if _below(s.path, known)]
        if not related:
            return self.layout.with_lines(len(self.layout.starts), lines)
        after, layout = related[-1].last, self.layout
        while layout.is_comment(after + 1):
            after += 1
        if not layout.is_blank(after + 1):
            # Those comments belong to what follows them.
            after = related[-1].last
        header = next((s for s in reversed(related) if s.header), None)
        indent = layout.indent(header.first) if header else ""
        lines = ["", *(indent + line for line in lines)]
        return layout.with_lines(after, lines if layout.is_blank(after + 1) else [*lines, ""])


def _value(value: Any, written: str | None, quote: str = '"') -> str:
    if written is not None and "\n" not in written and "\r" not in written:
        try:
            if same(tomllib.loads(f"v = {written}"), {"v": value}):
                return written
        except (ValueError, RecursionError):
            pass
    return toml_value(value, quote)


def _key(path: KeyPath) -> str:
    return ".".join(toml_key(str(part)) for part in path)


def _below(path: KeyPath, above: KeyPath) -> bool:
    return path[: len(above)] == above


def _statements(document: Document) -> list[_Statement]:
    """The headers and pairs of a text, in order, taken from its spans."""
    headers: dict[tuple[int, int], tuple[KeyPath, int]] = {}
    pairs: list[tuple[int, int, KeyPath, int]] = []
    for path, (key, value) in document.spans.items():
        if key == value:
            continue
        if (value.line, value.column) < (key.line, key.column):
            best = headers.get((value.line, value.column), ((), 0))[0]
            headers[value.line, value.column] = (max(best, path, key=len), value.end_line)
        else:
            pairs.append((key.line, key.column, path, value.end_line))
    ordered = [(line, column, path, last, True) for (line, column), (path, last) in headers.items()]
    ordered += [(*pair, False) for pair in pairs]
    found: list[_Statement] = []
    table: KeyPath = ()
    for line, _, path, last, header in sorted(ordered, key=lambda statement: statement[:2]):
        if found and line <= found[-1].last:
            continue
        table = path if header else table
        found.append(_Statement(path, table, header, line, last))
    return found
