"""From one format to the other, nothing lost: the text, and a ledger of what became of everything."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pettingllms.documents.arrange import Note, arrange
from pettingllms.documents.literals import same
from pettingllms.documents.outline import Entry, Scalar, Table, children, comments_in, data_of
from pettingllms.documents.outline_toml import outline_toml
from pettingllms.documents.outline_yaml import outline_yaml
from pettingllms.documents.read import parse_document
from pettingllms.documents.source import (
    Document,
    DocumentError,
    Finding,
    KeyPath,
    Lines,
    Place,
    Source,
    Span,
    dotted,
)
from pettingllms.documents.write_toml import toml_scalar, write_toml
from pettingllms.documents.write_yaml import write_yaml, yaml_scalar

Format = Literal["toml", "yaml"]
Amend = Callable[[Table], None]

_NOT_IN_YAML_COMMENTS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_MARKER = re.compile(r"^(?:---|\.\.\.)(?=\s|$)", re.MULTILINE)


@dataclass(slots=True)
class Ledger:
    """What became of a document: kept (counted), normalised (line and what), refused."""

    values: int = 0
    comments: int = 0
    references: int = 0
    nulls: int = 0
    normalised: list[tuple[int, str]] = field(default_factory=list)
    refused: list[Finding] = field(default_factory=list)

    def note(self, line: int, what: str) -> None:
        """Record that something is written in another way than on `line`."""
        self.normalised.append((line, what))


@dataclass(frozen=True, slots=True)
class Conversion:
    """A converted document. `text` has its line ends and byte order mark; None where it was refused.

    `data`, `comments`: what the text says, counted per comment.
    """

    document: Document
    format: Format
    text: str | None
    ledger: Ledger
    data: Any
    comments: Counter[str]


def convert(document: Document, target: Format, amend: Amend | None = None) -> Conversion:
    """Write `document` as `target`, the other format. `amend` may change the outline before."""
    ledger = Ledger(refused=[*_unwritable(document, target)])
    root = outline(document, ledger.note)
    if amend is not None:
        amend(root)
    data, comments = data_of(root), Counter(comments_in(root))
    _count(root, ledger)
    if document.format == "yaml":
        _note_yaml(document, ledger)
    arrange(root, ledger.note)
    _note_spelling(root, target, ledger)
    ledger.normalised.sort(key=lambda entry: entry[0])
    if ledger.refused:
        return Conversion(document, target, None, ledger, data, comments)
    text = write_toml(root) if target == "toml" else write_yaml(root)
    fault = _difference(text, data, comments, target)
    if fault is not None:
        # No input is known that leads here; what cannot be proved is not written.
        ledger.refused.append(_finding(document, f"cannot be written as {target.upper()}: {fault}"))
        return Conversion(document, target, None, ledger, data, comments)
    first_end = document.text.find("\n")
    if first_end > 0 and document.text[first_end - 1] == "\r":
        text = text.replace("\n", "\r\n")
    text = ("\ufeff" if document.bom else "") + text
    return Conversion(document, target, text, ledger, data, comments)


def outline(document: Document, note: Note | None = None) -> Table:
    """Return the outline of `document`; `note` is told what it leaves out."""
    if document.format == "toml":
        return outline_toml(document)
    return outline_yaml(document, note or (lambda _line, _what: None))


def prove(conversion: Conversion) -> list[str]:
    """Convert the result back and forth again; return what is not the same, nothing where all is."""
    if conversion.text is None:
        return [finding.message for finding in conversion.ledger.refused]
    source = conversion.document
    names = {"toml": Path("converted.toml"), "yaml": Path("converted.yaml")}
    text = conversion.text.removeprefix("\ufeff")
    there = parse_document(text, names[conversion.format], source.bom)
    back = convert(there, source.format)
    if back.text is None:
        return [f"on the way back: {finding.message}" for finding in back.ledger.refused]
    returned = parse_document(back.text.removeprefix("\ufeff"), names[source.format], source.bom)
    again, final = convert(returned, conversion.format), outline(returned)
    faults = []
    if not same(conversion.data, data_of(final)):
        faults.append("the values differ after the way back")
    if conversion.comments != Counter(comments_in(final)):
        faults.append("the comments differ after the way back")
    if again.text != conversion.text:
        faults.append("the second conversion differs from the first")
    return faults


def _difference(text: str, data: Any, comments: Counter[str], target: Format) -> str | None:
    """What a reader of `text` would find changed."""
    try:
        found = outline(parse_document(text, Path(f"converted.{target}")))
    except DocumentError as error:
        return f"the result would not be read ({error})"
    if not same(data_of(found), data):
        return "its values would change"
    if Counter(comments_in(found)) != comments:
        return "its comments would change"
    return None


def _unwritable(document: Document, target: Format) -> Iterator[Finding]:
    """What the target format has no way to say, each with its place."""
    source = Source(str(document.path), document.text)
    for path, value in _leaves(document.data, ()):
        place = Place(source, document.spans[path][1]) if path in document.spans else None
        if isinstance(value, (datetime.date, datetime.time)) and target == "yaml":
            kind = "time" if isinstance(value, datetime.time) else "date"
            message = f"{dotted(path)} is a {kind}, which YAML is read without"
            yield Finding(path, message, "write it as text, in quotes", place=place)
    if _NOT_IN_YAML_COMMENTS.search(document.text.replace("\r\n", "\n")):
        yield from _comment_characters(document, source)


def _comment_characters(document: Document, source: Source) -> Iterator[Finding]:
    lines = Lines(document.text)
    for comment in comments_in(outline(document)):
        found = _NOT_IN_YAML_COMMENTS.search(comment)
        if found is not None:
            start = document.text.find(comment) + found.start()
            character = f"U+{ord(found.group()):04X}"
            message = f"a comment holds the character {character}, which not every reader takes there"
            place = Place(source, lines.span(start, start + 1))
            yield Finding((), message, "remove it", place=place)


def _leaves(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path, value


def _finding(document: Document, message: str) -> Finding:
    place = Place(Source(str(document.path), document.text), Span(1, 1, 1, 1))
    return Finding((), message, place=place)


def _entries(table: Table) -> Iterator[Entry]:
    waiting = [Entry(None, table)]
    while waiting:
        entry = waiting.pop()
        yield entry
        waiting += reversed(children(entry.value))


def _count(root: Table, ledger: Ledger) -> None:
    ledger.comments = sum(1 for _ in comments_in(root))
    for entry in _entries(root):
        if isinstance(entry.value, Scalar):
            value = entry.value.value
            ledger.values += 1
            ledger.nulls += value is None
            ledger.references += isinstance(value, str) and "${" in value
    # { null = true } counts as one null.
    data = data_of(root)
    ledger.nulls = sum(1 for _, value in _leaves(data, ()) if value is None)


def _note_yaml(document: Document, ledger: Ledger) -> None:
    for note in document.notes:
        if note.code == "PLM603" and note.place is not None:
            ledger.note(note.place.span.line, note.message)
    for marker in _MARKER.finditer(document.text):
        line = document.text.count("\n", 0, marker.start()) + 1
        ledger.note(line, f"the marker {marker.group()} is left out")


def _note_spelling(root: Table, target: Format, ledger: Ledger) -> None:
    spell = toml_scalar if target == "toml" else yaml_scalar
    for entry in _entries(root):
        scalar = entry.value
        if isinstance(scalar, Scalar) and scalar.text is not None and scalar.value is not None:
            written = spell(scalar)
            if written != scalar.text:
                ledger.note(entry.line, f"{scalar.text} is written {written}")
