"""A tree of plain data under construction: nested dicts and lists, and where each value was written."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pettingllms.compose.special_values import plain_nulls, special_kind
from pettingllms.documents.source import START, Document, KeyPath, Place, Source, Span

MISSING = object()
COMMAND_LINE = "<command line>"
_SECTION_REFERENCE = re.compile(r"\$\{([\w-]+(?:\.[\w-]+)*)\}")


@dataclass(frozen=True, slots=True)
class Layer:
    """Where values come from: a file at its place in the composition, or one override.

    `name`: the file's path, or the override as written. `package`: where a file's root lies in
    the tree. `included`: the entries of `defaults` lists that led to the file, outermost first.
    `note`: what is worth knowing about how it was placed.
    """

    kind: Literal["file", "override"]
    name: str
    package: KeyPath = ()
    included: tuple[Place, ...] = ()
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """One layer gave a value to a path; `value` is as written there, `MISSING` where it was deleted.

    `order`: its number among all writes of the tree.
    """

    layer: Layer
    place: Place
    value: Any
    order: int = 0


@dataclass(slots=True)
class Tree:
    """Data, and for the key paths that were written somewhere: source, span of key, span of value.

    `history`: for each path that ever held a value that is no section, who wrote it, lowest
    precedence first.
    """

    source: Source
    data: dict[str, Any]
    spans: dict[KeyPath, tuple[Source, Span, Span]] = field(default_factory=dict, repr=False)
    history: dict[KeyPath, list[Write]] = field(default_factory=dict, repr=False)
    writes: int = 0

    @classmethod
    def of(cls, document: Document) -> Tree:
        """The tree of one document."""
        tree = cls(Source(str(document.path), document.text), {})
        tree.merge(document, Layer("file", str(document.path)))
        return tree

    def place(self, path: KeyPath, *, at_key: bool = False) -> Place:
        """Where `path` was written, else the nearest section or value around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.spans:
                source, key, value = self.spans[path[:length]]
                return Place(source, key if at_key else value)
        return Place(self.source, START)

    def layer(self, path: KeyPath) -> Layer | None:
        """The layer that gave `path`, or the value around it, what it holds; of a section, its first key."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.history:
                return self.history[path[:length]][-1].layer
        below = (writes for known, writes in self.history.items() if known[: len(path)] == path)
        first = next(below, None)
        return first[-1].layer if first else None

    def merge(self, document: Document, layer: Layer, leave_out: frozenset[str] = frozenset()) -> None:
        """Put `document` at the layer's package: sections merge key by key, everything else replaces.

        `leave_out`: root keys of the document that are no values of the experiment.
        """
        merger = _Merger(self, document, layer)
        node = self.data
        for length, part in enumerate(layer.package, start=1):
            node = merger.section(node, layer.package[:length], str(part), ())
        for key, value in document.data.items():
            if key not in leave_out:
                merger.merge(node, (*layer.package, key), value, (key,))

    def set(self, path: KeyPath, value: Any, source: Source, key: Span, span: Span) -> None:
        """Put `value`, which an override gives, at `path`, making the sections above it."""
        parent = self.data
        for length, part in enumerate(path[:-1], start=1):
            if parent.get(str(part)) is None:
                parent[str(part)] = {}
            parent = parent[str(part)]
            self.spans.setdefault(path[:length], (source, key, span))
        value = plain_nulls(value)
        parent[str(path[-1])] = value
        self.forget(path)
        self.spans[path] = (source, key, span)
        self.record(path, Layer("override", source.text), Place(source, span), value)

    def delete(self, path: KeyPath, source: Source, span: Span) -> None:
        """Remove the value at `path`, which exists, as an override asks."""
        del get(self.data, path[:-1])[path[-1]]
        self.forget(path)
        self.record(path, Layer("override", source.text), Place(source, span), MISSING)

    def record(self, path: KeyPath, layer: Layer, place: Place, value: Any) -> None:
        """Note that `layer` gave `path` its value."""
        self.writes += 1
        write = Write(layer, place, copy.deepcopy(value) if value is not MISSING else value, self.writes)
        self.history.setdefault(path, []).append(write)

    def forget(self, path: KeyPath) -> None:
        """Drop the spans at and below `path`."""
        for known in [known for known in self.spans if known[: len(path)] == path]:
            del self.spans[known]

    def expand_reference(self, path: KeyPath, text: Any) -> Any:
        """Replace a string at `path` that is a reference to a whole section by a copy of that section.

        A key can then be set in it; what the copy stood for stays as it is.
        """
        match = _SECTION_REFERENCE.fullmatch(text) if isinstance(text, str) else None
        target = tuple(match.group(1).split(".")) if match else ()
        section = get(self.data, target) if target else MISSING
        if not is_section(section) or target == path[: len(target)]:
            return text
        copied = copy.deepcopy(section)
        get(self.data, path[:-1])[path[-1]] = copied
        below = [(known, spans) for known, spans in self.spans.items() if known[: len(target)] == target]
        self.spans.update({(*path, *known[len(target) :]): spans for known, spans in below})
        for known in [known for known in self.history if known[: len(target)] == target]:
            last = self.history[known][-1]
            self.record((*path, *known[len(target) :]), last.layer, last.place, last.value)
        return copied


class _Merger:
    """Merges one document into a tree."""

    def __init__(self, tree: Tree, document: Document, layer: Layer) -> None:
        self.tree, self.document, self.layer = tree, document, layer
        self.source = Source(str(document.path), document.text)

    def section(self, parent: dict[str, Any], path: KeyPath, key: str, where: KeyPath) -> dict[str, Any]:
        """The section at `path` in `parent`; made where there is none, in the place of any other value."""
        current = parent.get(key, MISSING)
        if isinstance(current, str):
            current = self.tree.expand_reference(path, current)
        if not is_section(current):
            if current is not MISSING:
                self.tree.forget(path)
            current = parent[key] = {}
        self.span(path, where)
        section: dict[str, Any] = current
        return section

    def merge(self, parent: dict[str, Any], path: KeyPath, value: Any, where: KeyPath) -> None:
        """Put `value`, which stands at `where` in the document, at `path`."""
        key = str(path[-1])
        if is_section(value):
            before = parent.get(key, MISSING)
            section = self.section(parent, path, key, where)
            if not value and before is not section:
                self.write(path, {}, where)
            for name, item in value.items():
                self.merge(section, (*path, name), item, (*where, name))
            return
        if isinstance(parent.get(key), (dict, list)):
            self.tree.forget(path)
        parent[key] = plain_nulls(copy.deepcopy(value))
        self.spans(path, value, where)
        self.write(path, parent[key], where)

    def spans(self, path: KeyPath, value: Any, where: KeyPath) -> None:
        self.span(path, where)
        items: Any = ()
        if isinstance(value, (dict, list)):
            items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            self.spans((*path, key), item, (*where, key))

    def span(self, path: KeyPath, where: KeyPath) -> None:
        found = self.document.spans.get(where)
        if found is not None:
            self.tree.spans[path] = (self.source, *found)

    def write(self, path: KeyPath, value: Any, where: KeyPath) -> None:
        found = self.document.spans.get(where)
        place = Place(self.source, found[1] if found else START)
        self.tree.record(path, self.layer, place, value)


def is_section(value: Any) -> bool:
    """True for a table of keys; a null or a swept value, though written as a table, is one value."""
    return isinstance(value, dict) and special_kind(value) is None


def get(data: Any, path: KeyPath) -> Any:
    """Return the value at `path`, or `MISSING`."""
    for part in path:
        in_table = isinstance(data, dict) and part in data
        in_list = isinstance(data, list) and isinstance(part, int) and 0 <= part < len(data)
        if not in_table and not in_list:
            return MISSING
        data = data[part]
    return data


def keys_in(data: Any) -> set[str]:
    """Every key of `data`, at any depth."""
    found: set[str] = set()
    for key, value in data.items() if isinstance(data, dict) else ((None, item) for item in data):
        found |= {key} if key is not None else set()
        if isinstance(value, (dict, list)):
            found |= keys_in(value)
    return found


def with_values(data: Any, values: Mapping[KeyPath, Any]) -> Any:
    """Return `data` with `values` in the place of what stands at their paths."""
    return _with_values(data, (), values) if values else data


def _with_values(node: Any, path: KeyPath, values: Mapping[KeyPath, Any]) -> Any:
    if path in values:
        return values[path]
    if isinstance(node, dict):
        return {key: _with_values(value, (*path, key), values) for key, value in node.items()}
    if isinstance(node, list):
        return [_with_values(value, (*path, index), values) for index, value in enumerate(node)]
    return node
