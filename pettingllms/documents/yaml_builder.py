"""Events of a YAML parser to a tree of nodes; aliases stay aliases, merge keys are carried out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from pettingllms.documents.scan import MAX_DEPTH
from pettingllms.documents.source import KeyPath, dotted
from pettingllms.documents.yaml_nodes import (
    AliasNode,
    MappingNode,
    Node,
    Note,
    Pair,
    ScalarNode,
    SequenceNode,
    Stretch,
    Written,
    YamlError,
)
from pettingllms.documents.yaml_scalars import ScalarError, kind_of, plainly, surprise, value_of

MAX_VALUES = 200_000
"""How many values a file may hold; at this number reading takes seconds."""
MAX_EXPANDED = 100_000
"""How many values aliases may stand for, in all: short files can be written that expand without end."""

_CORE = "tag:yaml.org,2002:"
_PROPERTIES = re.compile(r"(?:(?:&[^\s,\[\]{}]+|!<[^>\s]*>|![^\s,\[\]{}]*)(?:\s+|#[^\n]*\n)*)*")
_COLON = re.compile(r"\s*:")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NULLS = ("None", "NONE", "nil", "Nil", "NIL")


class Builder:
    """Builds the tree of one document; `notes` gathers what is worth knowing on the way."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.notes: list[Note] = []
        self.root: Node | None = None
        self.values = self.merged = 0
        self.open: list[SequenceNode | MappingNode] = []
        self.keys: list[tuple[str | None, Stretch] | None] = []
        self.flow: list[bool] = []
        self.anchors: dict[str, Written] = {}

    def build(self, events: Iterable[Any]) -> Node | None:
        """Return the root node of the only document; None where there is none. Raises YamlError."""
        documents = 0
        for event in events:
            anchor = getattr(event, "anchor", None)
            if anchor is not None and not _NAME.fullmatch(anchor):
                message = "letters, digits, - and _ make the name of an anchor"
                raise YamlError(message, "put it in quotes if text is meant", _first(event))
            name = type(event).__name__
            if name == "ScalarEvent":
                self._add(self._scalar(event), event.anchor)
            elif name in ("MappingStartEvent", "SequenceStartEvent"):
                self._begin(event, mapping=name == "MappingStartEvent")
            elif name in ("MappingEndEvent", "SequenceEndEvent"):
                self._end(event)
            elif name == "AliasEvent":
                self._add(self._alias(event), None)
            elif name == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    message = "a second document begins here; a file holds one"
                    raise YamlError(message, "put it into a file of its own", _stretch(event))
        return self.root

    def _scalar(self, event: Any) -> ScalarNode:
        stretch = self._own_stretch(event)
        tag = _tag(event)
        plain = event.style is None
        if plain and self.flow and self.flow[-1] and _colon_without_space(self.text, event, stretch):
            # YAML reads a key here, and the parser a word that ends with a colon.
            end = stretch[1]
            raise YamlError(
                "a colon between brackets wants a space behind it", "write key: value", (end - 1, end)
            )
        kind = kind_of(event.value) if plain and tag is None else "str"
        if tag is not None:
            kind = tag.removeprefix(_CORE)
            if kind not in ("str", "int", "float", "bool", "null"):
                raise self._bad_tag(tag, event, "a plain value")
        if event.style == '"' and _SURROGATE.search(event.value):
            message = "this text has an escape that is no character (U+D800 to U+DFFF)"
            raise YamlError(message, "write the character itself", stretch)
        try:
            value = event.value if kind in ("merge", "value") else value_of(event.value, kind)
        except ScalarError as cause:
            raise YamlError(f"{cause}: {_short(event.value)}", None, stretch) from None
        if plain and tag is None:
            found = surprise(event.value, kind, value)
            if found is not None:
                self.notes.append(Note("PLM602", *found, stretch, plainly(kind, value)))
        return ScalarNode(stretch, kind, value)

    def _own_stretch(self, event: Any) -> Stretch:
        """The stretch of a value without its anchor and tag."""
        start, end = _stretch(event)
        if getattr(event, "anchor", None) or _tag(event) is not None:
            found = _PROPERTIES.match(self.text, start, end)
            start = found.end() if found else start
        if getattr(event, "style", None) in ("|", ">"):
            end = start + len(self.text[start:end].rstrip())
        return start, end

    def _empty_stretch(self, key: Stretch, event: Stretch) -> Stretch:
        """Where an empty value stands: behind the colon, not where the parser saw that nothing came."""
        found = _COLON.match(self.text, key[1], event[0])
        return (found.end(), found.end()) if found else event

    def _bad_tag(self, tag: str, event: Any, what: str) -> YamlError:
        name = "!!" + tag.removeprefix(_CORE) if tag.startswith(_CORE) else tag
        message = f"the tag {_short(name)} has no meaning on {what} here"
        help_text = "remove the tag; !!str, !!int, !!float, !!bool, !!null, !!map and !!seq are known"
        return YamlError(message, help_text, _first(event))

    def _alias(self, event: Any) -> AliasNode:
        target = self.anchors.get(event.anchor)
        if target is None:
            message = f"no anchor &{event.anchor} stands above this"
            raise YamlError(message, "put it in quotes if text is meant", _stretch(event))
        if isinstance(target, (SequenceNode, MappingNode)) and any(target is node for node in self.open):
            raise YamlError(f"*{event.anchor} stands inside of &{event.anchor}", None, _stretch(event))
        message = f"*{event.anchor} is read as a copy of what &{event.anchor} marks"
        help_text = "${a.b} refers to another value and stays a reference"
        self.notes.append(Note("PLM603", message, help_text, _stretch(event)))
        return AliasNode(_stretch(event), event.anchor, target)

    def _begin(self, event: Any, *, mapping: bool) -> None:
        tag = _tag(event)
        if tag is not None and tag != _CORE + ("map" if mapping else "seq"):
            raise self._bad_tag(tag, event, "a mapping" if mapping else "a list")
        node = MappingNode(self._own_stretch(event)) if mapping else SequenceNode(self._own_stretch(event))
        if self.open and isinstance(self.open[-1], MappingNode) and self.keys[-1] is None:
            raise YamlError("a key is text, no list or mapping", "quote it if text is meant", node.stretch)
        if event.anchor:
            self.anchors[event.anchor] = node
        self._count(node.stretch)
        self.open.append(node)
        self.keys.append(None)
        self.flow.append(bool(event.flow_style))

    def _count(self, stretch: Stretch) -> None:
        self.values += 1
        if self.values > MAX_VALUES:
            raise YamlError(f"the file holds more than {MAX_VALUES:,} values", None, stretch)
        if len(self.open) > MAX_DEPTH:
            raise YamlError(f"values are nested more than {MAX_DEPTH} levels deep", None, stretch)

    def _end(self, event: Any) -> None:
        node = self.open.pop()
        self.keys.pop()
        if self.flow.pop():
            end = event.end_mark.index
        else:
            # The parser ends a block where the next one begins, below blank lines and comments.
            last = list(node.pairs.values()) + node.merges if isinstance(node, MappingNode) else node.items
            ends = [(pair.value if isinstance(pair, Pair) else pair).stretch[1] for pair in last]
            end = max(ends, default=node.stretch[0])
        node.stretch = (node.stretch[0], end)
        if isinstance(node, MappingNode):
            self._merge(node)
        self._attach(node)

    def _add(self, node: ScalarNode | AliasNode, anchor: str | None) -> None:
        if anchor and isinstance(node, ScalarNode):
            self.anchors[anchor] = node
        self._count(node.stretch)
        self._attach(node)

    def _attach(self, node: Node) -> None:
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        if isinstance(parent, SequenceNode):
            self._check_value(node)
            parent.items.append(node)
        elif self.keys[-1] is None:
            self.keys[-1] = self._key(parent, node)
        else:
            key, stretch = self.keys[-1]
            self.keys[-1] = None
            if node.stretch[0] == node.stretch[1]:
                node.stretch = self._empty_stretch(stretch, node.stretch)
            self._check_value(node)
            if key is None:
                parent.merges.append(Pair(stretch, node))
            else:
                parent.pairs[key] = Pair(stretch, node)

    def _check_value(self, node: Node) -> None:
        if isinstance(node, ScalarNode):
            if node.kind in ("merge", "value"):
                help_text = f'write "{node.value}" if text is meant'
                raise YamlError(f"{node.value} stands for no value here", help_text, node.stretch)
            if node.value in _NULLS and self.text[slice(*node.stretch)] == node.value:
                message = f"{node.value} is read as text; did you mean null?"
                help_text = f'write null, or "{node.value}"'
                self.notes.append(Note("PLM601", message, help_text, node.stretch, "null", safe=False))

    def _key(self, parent: MappingNode, node: Node) -> tuple[str | None, Stretch]:
        """The text of a key, None for a merge key, and its stretch."""
        scalar = node.target if isinstance(node, AliasNode) else node
        if not isinstance(scalar, ScalarNode):
            raise YamlError("a key is text, no list or mapping", None, node.stretch)
        if scalar.kind == "merge":
            return None, node.stretch
        written = self.text[slice(*scalar.stretch)]
        if scalar.kind not in ("str", "value"):
            kinds = {"null": "null", "bool": "a boolean", "int": "a number", "float": "a number"}
            message = f"keys are text, and {_short(written) or 'an empty key'} is {kinds[scalar.kind]}"
            raise YamlError(message, f'quote it: "{_short(written)}"', node.stretch)
        text = str(scalar.value)
        if text in parent.pairs:
            line = self.text.count("\n", 0, parent.pairs[text].key[0]) + 1
            message = f"{_short(dotted((*self._path(), text)))} is set twice, first on line {line}"
            raise YamlError(message, "keep one of the two", node.stretch)
        return text, node.stretch

    def _path(self) -> KeyPath:
        """The path of the mapping or list that is being read."""
        path: list[str | int] = []
        for node, key in zip(self.open[:-1], self.keys, strict=False):
            if isinstance(node, SequenceNode):
                path.append(len(node.items))
            else:
                path.append("<<" if key is None or key[0] is None else key[0])
        return tuple(path)

    def _merge(self, node: MappingNode) -> None:
        """Put the pairs that `node` merges before its own, which win; the earlier merge wins, too."""
        if not node.merges:
            return
        pairs: dict[str, Pair] = {}
        for merge in node.merges:
            in_place = False
            for source, via in _sources(merge):
                in_place = in_place or via is None
                self.merged += len(source.pairs)
                if self.merged > MAX_EXPANDED:
                    raise too_many(merge.key)
                for key, pair in source.pairs.items():
                    came = via or pair.via
                    pairs.setdefault(key, Pair(merge.key if came else pair.key, pair.value, came))
            if in_place:
                message = "the mapping that << merges is read as if it were written out here"
                self.notes.append(Note("PLM603", message, None, merge.key))
        node.pairs = {**pairs, **node.pairs}
        node.merges = []


def too_many(stretch: Stretch) -> YamlError:
    """The fault of a document whose aliases stand for too much."""
    return YamlError(f"the aliases of this file stand for more than {MAX_EXPANDED:,} values", None, stretch)


def _sources(merge: Pair) -> Iterator[tuple[MappingNode, Stretch | None]]:
    """The mappings that a merge key names, each with the alias that leads there."""
    whole, via = merge.value, None
    if isinstance(whole, AliasNode):
        whole, via = whole.target, whole.stretch
    for item in whole.items if isinstance(whole, SequenceNode) else [whole]:
        target = item.target if isinstance(item, AliasNode) else item
        if not isinstance(target, MappingNode):
            raise YamlError("<< merges a mapping, or a list of mappings", None, item.stretch)
        yield target, via or (item.stretch if isinstance(item, AliasNode) else None)


def _stretch(event: Any) -> Stretch:
    return event.start_mark.index, event.end_mark.index


def _first(event: Any) -> Stretch:
    start = event.start_mark.index
    return start, start + 1


def _tag(event: Any) -> str | None:
    return None if event.ctag is None else str(event.ctag)


def _colon_without_space(text: str, event: Any, stretch: Stretch) -> bool:
    return str(event.value).endswith(":") and text[stretch[1] : stretch[1] + 1] in tuple(",[]{}")


def _short(text: str) -> str:
    line = " ".join(text[:200].split())
    return line if len(line) <= 60 else line[:57] + "…"
