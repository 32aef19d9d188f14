"""A tree of plain data under construction: nested dicts and lists, and where each value was written."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from pettingllms.documents.source import START, Document, KeyPath, Place, Source, Span

MISSING = object()


@dataclass(slots=True)
class Tree:
    """Data, and for the key paths that were written somewhere: source, span of key, span of value."""

    source: Source
    data: dict[str, Any]
    spans: dict[KeyPath, tuple[Source, Span, Span]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, document: Document) -> Tree:
        """The tree of one document."""
        source = Source(str(document.path), document.text)
        spans = {path: (source, key, value) for path, (key, value) in document.spans.items()}
        return cls(source, document.data, spans)

    def copy(self) -> Tree:
        """A tree that can be changed without touching this one."""
        return Tree(self.source, copy.deepcopy(self.data), dict(self.spans))

    def place(self, path: KeyPath, *, at_key: bool = False) -> Place:
        """Where `path` was written, else the nearest section or value around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.spans:
                source, key, value = self.spans[path[:length]]
                return Place(source, key if at_key else value)
        return Place(self.source, START)

    def set(self, path: KeyPath, value: Any, source: Source, key: Span, span: Span) -> None:
        """Put `value` at `path`, making the sections above it; what was below it is forgotten."""
        parent = self.data
        for length, part in enumerate(path[:-1], start=1):
            parent = parent.setdefault(str(part), {})
            self.spans.setdefault(path[:length], (source, key, span))
        parent[str(path[-1])] = value
        self.forget(path)
        self.spans[path] = (source, key, span)

    def delete(self, path: KeyPath) -> None:
        """Remove the value at `path`, which exists."""
        del get(self.data, path[:-1])[path[-1]]
        self.forget(path)

    def forget(self, path: KeyPath) -> None:
        """Drop the spans at and below `path`."""
        for known in [known for known in self.spans if known[: len(path)] == path]:
            del self.spans[known]


def get(data: Any, path: KeyPath) -> Any:
    """Return the value at `path`, or `MISSING`."""
    for part in path:
        in_table = isinstance(data, dict) and part in data
        in_list = isinstance(data, list) and isinstance(part, int) and 0 <= part < len(data)
        if not in_table and not in_list:
            return MISSING
        data = data[part]
    return data
