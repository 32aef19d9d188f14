"""TOML text to data with positions; every fault of the text is a finding, never a traceback."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pettingllms.documents.files import SYNTAX, check_characters, fault
from pettingllms.documents.scan import MAX_DEPTH, DuplicateKeyError, TooDeepError, scan
from pettingllms.documents.source import Document, DocumentError, KeyPath, Lines, Source, Span, dotted

_WHERE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_AGAIN = re.compile(r"cannot (?:declare|mutate immutable namespace) (\(.*\))(?: twice)?")
_TOKENS = re.compile(
    r"""
    \"{3}(?:[^\\]|\\.)*?\"{3} | '{3}.*?'{3} | "(?:[^"\\\n]|\\.)*" | '[^'\n]*' | \#[^\n]* | [\[\]]
    """,
    re.DOTALL | re.VERBOSE,
)
"""Brackets, and the texts and comments in which a bracket is none."""
_SPELLINGS = {
    "True": "true",
    "False": "false",
    "None": "{ null = true }",
    "null": "{ null = true }",
    "NaN": "nan",
}


def parse_toml(text: str, path: Path, bom: bool = False) -> Document:
    """Return the document of `text`; `path` names it in diagnostics. Raises DocumentError.

    `bom`: a byte order mark stood before the text.
    """
    check_characters(text, path)
    try:
        data = tomllib.loads(text)
        spans = scan(text)
    except RecursionError:
        raise fault(SYNTAX, path, f"values are nested more than {MAX_DEPTH} levels deep", None) from None
    except TooDeepError as cause:
        message = f"values are nested more than {MAX_DEPTH} levels deep"
        raise fault(SYNTAX, path, message, None, text, cause.span) from None
    except ValueError as cause:
        raise _syntax_error(str(cause), text, path) from None
    for where in too_large(data):
        message = f"the whole number {dotted(where)} does not fit in 64 bits"
        raise fault(SYNTAX, path, message, None, text, spans[where][1])
    return Document(path, text, data, spans, "toml", bom)


def too_large(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Paths of the whole numbers that TOML does not have: those outside 64 bits."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from too_large(item, (*path, key))


def _syntax_error(words: str, text: str, path: Path) -> DocumentError:
    where = _WHERE.search(words)
    message = _WHERE.sub("", words)
    message = message[:1].lower() + message[1:]
    duplicate = _duplicate(text)
    if message.startswith("exceeds the limit"):
        return fault(SYNTAX, path, "a whole number has more than 4300 digits", None, text)
    if message.startswith(("cannot", "duplicate")) and duplicate is not None:
        message = f"{dotted(duplicate.path)} is set twice, first on line {duplicate.first.line}"
        return fault(SYNTAX, path, message, "keep one of the two", text, duplicate.second)
    if where is None:
        return fault(SYNTAX, path, message, None, text)
    if where.group(1) is None:
        lines = text.split("\n")
        span = Span(len(lines), len(lines[-1]) + 1, len(lines), len(lines[-1]) + 2)
        return fault(SYNTAX, path, f"{message}, at the end of the file", None, text, span)
    line, column = int(where.group(1)), int(where.group(2))
    span = Span(line, column, line, column + 1)
    if message.startswith("illegal character '\\n'"):
        message = "the text is not closed on this line"
    if message == "unclosed array":
        message, span = f"{message}: there is no ] before line {line}", _opening(text, span)
    again = _AGAIN.fullmatch(message)
    if again is not None:
        return _written_before(ast.literal_eval(again.group(1)), text, path, line)
    return fault(SYNTAX, path, message, _advice(message, text, span), text, span)


def _opening(text: str, place: Span) -> Span:
    """The innermost `[` that is still open at a place: what is missing is missing behind it."""
    end = sum(len(row) + 1 for row in text.split("\n")[: place.line - 1]) + place.column - 1
    opened: list[int] = []
    for match in _TOKENS.finditer(text, 0, end):
        if match.group() == "[":
            opened.append(match.start())
        elif match.group() == "]" and opened:
            opened.pop()
    return Lines(text).span(opened[-1], opened[-1] + 1) if opened else place


def _written_before(key: KeyPath, text: str, path: Path, line: int) -> DocumentError:
    """The table `key`, which `line` opens or adds to, stands in `text` already, in another way."""
    before = "".join(row + "\n" for row in text.split("\n")[: line - 1])
    try:
        spans = scan(before)
    except (ValueError, IndexError, DuplicateKeyError, TooDeepError):
        spans = {}
    key = next((key[:n] for n in range(len(key), 0, -1) if key[:n] in spans), key)
    first = f", first on line {spans[key][0].line}" if key in spans else ""
    words = Source("", text).line(line)
    span = Span(line, len(words) - len(words.lstrip()) + 1, line, len(words.rstrip()) + 1)
    message = f"{dotted(key)} is set twice{first}: a table is written in one place and one way"
    return fault(SYNTAX, path, message, "put the keys where the table stands first", text, span)


def _duplicate(text: str) -> DuplicateKeyError | None:
    """The first key that `text` sets twice, if that is how far it can be read."""
    try:
        scan(text)
    except DuplicateKeyError as found:
        return found
    except (ValueError, IndexError, RecursionError, TooDeepError):
        pass
    return None


def _advice(message: str, text: str, span: Span) -> str | None:
    """What a person who knows YAML or Python most likely meant by an invalid value."""
    if message.startswith("expected '='") and re.match(r"[^=]*:", Source("", text).line(span.line)):
        return "write = instead of :"
    if message != "invalid value":
        return None
    rest = Source("", text).line(span.line)[span.column - 1 :]
    word = re.match(r"[^\s,\]}#]+", rest)
    if word is None:
        return "write a value after the equals sign"
    if word.group() in _SPELLINGS:
        return f"write {_SPELLINGS[word.group()]}"
    return f'text stands in quotes: "{word.group()}"' if word.group()[0] not in "\"'" else None
