"""A text that takes one fix after another: each whole or not at all, and nothing else changes."""

from __future__ import annotations

import copy
import datetime
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pettingllms.documents.edit import edit, refusal, reread, verified
from pettingllms.documents.edit_keys import comments, moved, renamed
from pettingllms.documents.layout import Layout
from pettingllms.documents.literals import same, toml_value
from pettingllms.documents.source import Change, Document, Fix, KeyPath, Span
from pettingllms.errors import RefusedError

_GONE = object()


@dataclass(frozen=True, slots=True)
class Text:
    """A document on its way through fixes, whose spans are those of the document before them all.

    `edits`: what became of the characters: start and end of those that went, and how many came.
    `touched`: key paths that fixes have changed.
    """

    document: Document
    first: Document | None = None
    edits: tuple[tuple[int, int, int], ...] = ()
    touched: tuple[KeyPath, ...] = ()

    def after(self, fix: Fix) -> Text | None:
        """Return the text with `fix`; None where it cannot take it, or not now, or has it already."""
        text = self
        try:
            for change in fix.changes:
                if any(_meet(path, known) for path in _paths(change) for known in self.touched):
                    return None
                text = text.changed(change, self.touched)
        except RefusedError:
            return None
        return text if text.document.text != self.document.text else None

    def changed(self, change: Change, touched: tuple[KeyPath, ...]) -> Text:
        """Return the text with `change`. Raises RefusedError where something else would change, too.

        `touched`: what no change of a stretch may meet.
        """
        before, paths = self.document, _paths(change)
        may_lose = change.kind == "remove"
        if change.kind == "text":
            edited, paths = self.replaced(change)
            if any(_meet(path, known) for path in paths for known in touched):
                raise refusal(before, paths[0])
            # Outside of all values there are comments only: it is they that shall change.
            may_lose = not paths
        else:
            edited = _changed(before, change)
        edited = _with_same_end(before, edited)
        if not may_lose and _comments(edited) != _comments(before):
            raise refusal(before, change.path)
        edits = (*self.edits, _difference(before.text, edited.text))
        return Text(edited, self.first or before, edits, (*self.touched, *paths))

    def replaced(self, change: Change) -> tuple[Document, tuple[KeyPath, ...]]:
        """The document with another text in the place of a span, and the paths of the values there."""
        before = self.document
        if change.span is None or not isinstance(change.value, str):
            raise refusal(before, change.path)
        start, end = self.now(change.span)
        layout = Layout(before.text)
        edited = reread(before, layout.replaced(start, end, change.value), change.path)
        above = {path[:-1] for path in before.spans}
        stretches = {p: layout.offsets(value) for p, (_, value) in before.spans.items() if p not in above}
        here = [path for path, (one, other) in stretches.items() if one <= start and end <= other]
        if not here and any(one < end and start < other for one, other in stretches.values()):
            raise refusal(before, change.path)
        intended = copy.deepcopy(before.data)
        for path in here:
            _put(before, intended, path, _at(edited.data, path))
        return verified(before, edited, intended), tuple(here)

    def now(self, span: Span) -> tuple[int, int]:
        """Where the characters of `span` are by now. Raises RefusedError where they were changed."""
        start, end = Layout((self.first or self.document).text).offsets(span)
        for first, last, length in self.edits:
            if first <= end and start <= last:
                raise refusal(self.document, ())
            if start > last:
                shift = length - (last - first)
                start, end = start + shift, end + shift
        return start, end


def _changed(document: Document, change: Change) -> Document:
    path = change.path
    if change.kind == "rename" and change.to[:-1] == path[:-1]:
        return reread(document, renamed(document, path, str(change.to[-1])), path)
    if change.kind == "move":
        return reread(document, moved(document, path, change.to), path)
    old, intended = _at(document.data, path), copy.deepcopy(document.data)
    if change.kind == "remove" and old is not _GONE:
        del _at(intended, path[:-1])[path[-1]]
        return reread(document, edit(document, intended), path)
    if change.kind != "set" or stands_for_more(old, change.value):
        raise refusal(document, path)
    value, written = _spelled(document, path, old, change.value)
    _put(document, intended, path, value)
    text = edit(document, intended, {path: written} if written is not None else {})
    return reread(document, text, path)


def stands_for_more(old: Any, new: Any) -> bool:
    """True for a reference or a swept table, which a fix of one value would put an end to."""
    if isinstance(old, dict) and next(iter(old), None) == "sweep":
        return not (isinstance(new, dict) and next(iter(new), None) == "sweep")
    return isinstance(old, str) and "${" in old and "${" not in repr(new)


def _spelled(document: Document, path: KeyPath, old: Any, new: Any) -> tuple[Any, str | None]:
    """The new value, and how to write it: spelled as the old one, where it is that with another type."""
    if old is _GONE or isinstance(old, (dict, list)):
        return new, None
    spelling = Layout(document.text).cut(document.spans[path][1])
    if isinstance(old, str):
        written = f"[{spelling}]" if same(new, [old]) else None if isinstance(new, str) else old.strip()
        return new, written
    if isinstance(old, (bool, int, float, datetime.date, datetime.time)) and new == toml_value(old):
        return new if spelling.startswith("*") else spelling, None
    return new, f"[{spelling}]" if same(new, [old]) else None


def _paths(change: Change) -> tuple[KeyPath, ...]:
    """What a change is about; an item that goes renumbers its whole list."""
    if change.kind == "text":
        return ()
    if change.kind == "remove" and isinstance(change.path[-1], int):
        return (change.path[:-1],)
    return (change.path, change.to) if change.to else (change.path,)


def _meet(one: KeyPath, other: KeyPath) -> bool:
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def _with_same_end(before: Document, edited: Document) -> Document:
    """The document without a last line end if it had none, and with one if it had one."""
    text, eol = edited.text, Layout(before.text).eol
    if not before.text or text.endswith("\n") == before.text.endswith("\n"):
        return edited
    text = text + eol if before.text.endswith("\n") else text[: -1 - text.endswith("\r\n")]
    return verified(edited, reread(edited, text, ()), edited.data)


def _comments(document: Document) -> Counter[str]:
    return Counter(text for _, text in comments(document))


def _difference(before: str, after: str) -> tuple[int, int, int]:
    """The stretch that went, and the length of what came."""
    start = _shared(before, after)
    rest = _shared(before[start:][::-1], after[start:][::-1])
    return start, len(before) - rest, len(after) - rest - start


def _shared(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (left, right) in pairs if left != right), min(len(one), len(other)))


def _put(document: Document, data: Any, path: KeyPath, value: Any) -> None:
    """Put `value` at `path`. Raises RefusedError where another value is in the way."""
    for part in path[:-1]:
        inner = data.setdefault(part, {}) if isinstance(data, dict) else _at(data, (part,))
        if not isinstance(inner, (dict, list)):
            raise refusal(document, path)
        data = inner
    if isinstance(data, list) and _at(data, path[-1:]) is _GONE:
        raise refusal(document, path)
    data[path[-1]] = value


def _at(data: Any, path: KeyPath) -> Any:
    for part in path:
        in_list = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if not in_list and not (isinstance(data, dict) and part in data):
            return _GONE
        data = data[part]
    return data
