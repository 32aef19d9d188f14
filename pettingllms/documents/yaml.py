"""YAML text to data with positions: values as OmegaConf reads them, aliases and merge keys expanded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pettingllms.documents.files import SYNTAX, check_characters, fault
from pettingllms.documents.scan import MAX_DEPTH
from pettingllms.documents.source import (
    Change,
    Document,
    Finding,
    Fix,
    KeyPath,
    Lines,
    Place,
    Source,
    Span,
)
from pettingllms.documents.yaml_builder import MAX_EXPANDED, Builder, too_many
from pettingllms.documents.yaml_nodes import (
    AliasNode,
    MappingNode,
    Node,
    Note,
    Pair,
    ScalarNode,
    SequenceNode,
    Stretch,
    YamlError,
)
from pettingllms.documents.yaml_syntax import explain

Spans = dict[KeyPath, tuple[Span, Span]]
_Open = tuple[KeyPath, Any, Node, Stretch | None]

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_BREAKS = re.compile(r"\r(?!\n)|[\x85\u2028\u2029]")
_DIRECTIVE = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\r?\n)*(%[^\r\n]*)")


def parse_yaml(text: str, path: Path, bom: bool = False) -> Document:
    """Return the document of `text`; `path` names it in diagnostics. Raises DocumentError.

    `bom`: a byte order mark stood before the text.
    """
    check_characters(text, path, _CONTROL)
    lines = Lines(text)
    builder = Builder(text)
    try:
        _refuse_what_readers_disagree_on(text)
        root = builder.build(_events(text))
        data, spans = _Expansion(lines).run(root)
    except YamlError as found:
        raise fault(SYNTAX, path, found.message, found.help, text, lines.span(*found.stretch)) from None
    source = Source(str(path), text)
    notes = tuple(_finding(note, source, lines.span(*note.stretch)) for note in builder.notes)
    return Document(path, text, data, spans, "yaml", bom, notes)


def _finding(note: Note, source: Source, span: Span) -> Finding:
    fix = None
    if note.instead is not None:
        title = "write the value as it is read" if note.safe else f"write {note.instead}"
        fix = Fix(title, (Change("text", value=note.instead, span=span),), note.safe)
    return Finding((), note.message, note.help, place=Place(source, span), code=note.code, fix=fix)


def _refuse_what_readers_disagree_on(text: str) -> None:
    breaking = _BREAKS.search(text)
    if breaking is not None:
        code = ord(breaking.group())
        message = f"U+{code:04X} ends a line in some YAML readers and not in others"
        help_text = "end lines with a line feed" if code == 13 else f'write "\\u{code:04x}" in double quotes'
        raise YamlError(message, help_text, breaking.span())
    directive = _DIRECTIVE.match(text)
    if directive is not None:
        message = "lines that begin with % are directives, and a file holds none"
        raise YamlError(message, "remove the line", directive.span(1))


def _events(text: str) -> Iterator[Any]:
    """The parser's events; whatever it raises becomes a YamlError."""
    from ruamel.yaml import YAML

    last = 0
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            last = event.end_mark.index
            yield event
    except Exception as cause:
        # Besides its own errors the parser lets a ValueError or an IndexError through.
        raise explain(cause, text, last) from None


class _Expansion:
    """Nodes to plain data and spans; what an alias stands for is copied to where the alias is."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.spans: Spans = {}
        self.copied = 0

    def run(self, root: Node | None) -> tuple[dict[str, Any], Spans]:
        if root is None or (isinstance(root, ScalarNode) and root.value is None):
            return {}, {}
        if not isinstance(root, MappingNode):
            kind = "a single value" if isinstance(root, ScalarNode) else "a list"
            raise YamlError(f"the file holds {kind} and no keys", "write it as key: value", root.stretch)
        data: dict[str, Any] = {}
        waiting: list[_Open] = [((), data, root, None)]
        while waiting:
            waiting += reversed(list(self.fill(*waiting.pop())))
        return data, self.spans

    def fill(self, path: KeyPath, container: Any, node: Node, via: Stretch | None) -> Iterator[_Open]:
        """Put what `node` holds into `container`; yield what is to be filled in turn.

        `via`: the alias through which `node` came here.
        """
        for key, pair in _entries(node):
            value, came = pair.value, via or pair.via
            spans = (self.span(via or pair.key), self.span(came or value.stretch))
            if isinstance(value, AliasNode):
                value, came = value.target, came or value.stretch
            inner = (*path, key)
            self.count(inner, came)
            self.spans[inner] = spans
            plain: Any = (
                value.value if isinstance(value, ScalarNode) else {} if isinstance(value, MappingNode) else []
            )
            if isinstance(container, dict):
                container[key] = plain
            else:
                container.append(plain)
            if not isinstance(value, ScalarNode):
                yield inner, plain, value, came

    def span(self, stretch: Stretch) -> Span:
        return self.lines.span(*stretch)

    def count(self, path: KeyPath, via: Stretch | None) -> None:
        if via is None:
            return
        self.copied += 1
        if self.copied > MAX_EXPANDED:
            raise too_many(via)
        if len(path) > MAX_DEPTH:
            raise YamlError(f"aliases nest values more than {MAX_DEPTH} levels deep", None, via)


def _entries(node: Node) -> Iterator[tuple[str | int, Pair]]:
    if isinstance(node, MappingNode):
        yield from node.pairs.items()
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.items):
            yield index, Pair(item.stretch, item)
