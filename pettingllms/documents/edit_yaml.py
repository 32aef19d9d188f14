"""One change in a YAML text: a value replaced, a key added beside its siblings, lines taken out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pettingllms.documents.layout import Layout, with_item, without_item
from pettingllms.documents.literals import same, yaml_key, yaml_value
from pettingllms.documents.source import Document, DocumentError, KeyPath

_COLON = re.compile(r"\s*:")


class YamlEdit:
    """Makes one change in one document; the text comes back, to be read again."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.layout = Layout(document.text)
        self.children: dict[KeyPath, list[KeyPath]] = {}
        for path in document.spans:
            self.children.setdefault(path[:-1], []).append(path)

    def replace(self, path: KeyPath, new: Any, written: str | None) -> str | None:
        """The text with `new` at `path`, which exists.

        `written`: how a person wrote the value, taken over where it reads as `new`.
        """
        start, end = self._offsets(path)
        old = self.layout.text[start:end]
        flow = self._flow_above(path) is not None
        if not self._is_block(path):
            quote = old[:1] if old[:1] in ("'", '"') else ""
            value = _value(new, written, quote, flow=flow)
            return (
                self.layout.replaced(start, end, value)
                if old
                else self._behind_colon(self.layout, path, value)
            )
        if isinstance(new, list) and new and old.startswith("-"):
            indent = self.layout.eol + " " * (self.document.spans[path][1].column - 1)
            return self.layout.replaced(start, end, indent.join(_item(item) for item in new))
        first, last = self.layout.line_at(start), self.layout.line_at(end)
        shorter = Layout(self.layout.without_lines(first, last))
        return self._behind_colon(shorter, path, _value(new, written, "", flow=False))

    def append(self, path: KeyPath, new: list[Any]) -> str | None:
        """The text with the items `new` behind those of the list at `path`; None where that cannot be."""
        start, end = self._offsets(path)
        if self._is_block(path):
            indent = " " * (self.document.spans[path][1].column - 1)
            return self.layout.with_lines(self.layout.line_at(end), [indent + _item(item) for item in new])
        if not self.layout.text[start:end].startswith("["):
            return None
        return self._add_item(path, ", ".join(yaml_value(item, flow=True) for item in new))

    def remove(self, path: KeyPath) -> str:
        """The text without the key at `path`; comments above it stay."""
        parent = self._flow_above(path)
        start = self.layout.offsets(self.document.spans[path][0])[0]
        end = self._offsets(path)[1]
        if parent is not None:
            opening, closing = self._offsets(parent)
            return without_item(self.layout, opening, closing - 1, start, end)
        above = path[:-1]
        if above and len(self.children[above]) == 1:
            # A mapping without keys would read as null.
            return self.replace(above, {}, None) or self.layout.text
        return self.layout.without_lines(self.layout.line_at(start), self.layout.line_at(end))

    def add(self, path: KeyPath, new: Any, written: str | None) -> str:
        """The text with a new key at `path`, with the sections above it."""
        known = path[:-1]
        while known and known not in self.document.spans:
            known = known[:-1]
        names = [str(part) for part in path[len(known) :]]
        if known and not self._is_block(known):
            value = yaml_value(new, flow=True) if len(names) > 1 else _value(new, written, "", flow=True)
            for name in reversed(names[1:]):
                value = f"{{{yaml_key(name)}: {value}}}"
            return self._add_item(known, f"{yaml_key(names[0])}: {value}")
        siblings = self.children.get(known, [])
        indent, step = self._indent(siblings), self._step()
        lines = [f"{indent}{' ' * step * depth}{yaml_key(name)}:" for depth, name in enumerate(names)]
        lines[-1] += " " + _value(new, written, "", flow=False)
        if not siblings:
            return self.layout.with_lines(len(self.layout.starts), lines)
        plain = [sibling for sibling in siblings if not self._is_section(sibling)]
        behind = plain[-1] if plain and len(names) == 1 else siblings[-1]
        last = self.layout.line_at(self._offsets(behind)[1])
        first_of_last = self.document.spans[siblings[-1]][0].line
        if not known and len(names) > 1 and len(siblings) > 1 and self._is_set_apart(first_of_last):
            lines.insert(0, "")
        return self.layout.with_lines(last, lines)

    def rekey(self, path: KeyPath, to: KeyPath) -> str | None:
        """The text with the last key of `to` for that of `path`; None where that is not all."""
        start, end = self.layout.offsets(self.document.spans[path][0])
        return self.layout.replaced(start, end, yaml_key(str(to[-1]))) if path[:-1] == to[:-1] else None

    def stretch(self, path: KeyPath) -> tuple[int, int, tuple[int, int] | None] | None:
        """Where what stands behind the colon of `path` begins and ends; None where that is no stretch.

        The lines of key and value are there where they hold nothing else; comments below a section that
        are indented as its keys are belong to it.
        """
        layout, key = self.layout, self.document.spans[path][0]
        key_start, key_end = layout.offsets(key)
        colon = _COLON.match(layout.text, key_end)
        start, end = colon.end() if colon else key_end, self._offsets(path)[1]
        if self._flow_above(path) is not None:
            return start, end, None
        if isinstance(path[-1], int) or layout.text[layout.starts[key.line - 1] : key_start].strip():
            return None
        last = layout.line_at(end)
        while layout.is_comment(last + 1) and len(layout.indent(last + 1)) >= key.column:
            last += 1
        return start, layout.starts[last - 1] + len(layout.line(last)), (key.line, last)

    def _offsets(self, path: KeyPath) -> tuple[int, int]:
        return self.layout.offsets(self.document.spans[path][1])

    def _is_block(self, path: KeyPath) -> bool:
        """True for a list or mapping without brackets; what stands behind an alias is no such thing."""
        start, end = self._offsets(path)
        below = self.children.get(path)
        return below is not None and self.layout.text[start:end][:1] not in ("{", "[", "*")

    def _is_section(self, path: KeyPath) -> bool:
        return self._is_block(path) and isinstance(self.children[path][0][-1], str)

    def _flow_above(self, path: KeyPath) -> KeyPath | None:
        """The collection in brackets that holds the key or item at `path`."""
        above = path[:-1]
        return above if above and not self._is_block(above) else None

    def _behind_colon(self, layout: Layout, path: KeyPath, value: str) -> str:
        key_end = layout.offsets(self.document.spans[path][0])[1]
        colon = _COLON.match(layout.text, key_end)
        at = colon.end() if colon else key_end
        return layout.replaced(at, at, " " + value)

    def _add_item(self, parent: KeyPath, new: str) -> str:
        opening, closing = self._offsets(parent)
        ends = [self._offsets(path)[1] for path in self.children.get(parent, ())]
        return with_item(self.layout, opening, closing - 1, max(ends, default=None), new)

    def _indent(self, siblings: list[KeyPath]) -> str:
        if not siblings:
            return ""
        return " " * (min(self.document.spans[path][0].column for path in siblings) - 1)

    def _step(self) -> int:
        """How far a mapping is indented in its parent: as the first one of this text, else by two."""
        for path, below in self.children.items():
            if path and self._is_section(path):
                key = self.document.spans[path][0]
                step = self.document.spans[below[0]][0].column - key.column
                if step > 0:
                    return step
        return 2

    def _is_set_apart(self, line: int) -> bool:
        """True where a blank line stands above `line` and the comments that belong to it."""
        while self.layout.is_comment(line - 1):
            line -= 1
        return line > 1 and self.layout.is_blank(line - 1)


def _item(value: Any) -> str:
    if isinstance(value, dict) and len(value) == 1:
        key, item = next(iter(value.items()))
        return f"- {yaml_key(str(key))}: {yaml_value(item)}"
    return f"- {yaml_value(value)}"


def _value(value: Any, written: str | None, quote: str, *, flow: bool) -> str:
    from pettingllms.documents.read import parse_document

    if written and "\n" not in written and "\r" not in written and not (quote and isinstance(value, str)):
        text = f"k: {{k: {written}}}\n" if flow else f"k: {written}\n"
        try:
            if same(parse_document(text, Path("value.yaml")).data, {"k": {"k": value} if flow else value}):
                return written
        except DocumentError:
            pass
    return yaml_value(value, quote, flow=flow)
