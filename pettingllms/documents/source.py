"""Where a value stands: positions in a text, paths of keys, and what was found there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from pettingllms.errors import PettingLLMsError

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text: 1-based lines and columns in characters; the end column is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


START = Span(1, 1, 1, 1)


@lru_cache(maxsize=8)
def _lines(text: str) -> list[str]:
    """Split once: a text with many faults is asked for a line at each of them."""
    return text.split("\n")


@dataclass(frozen=True, slots=True)
class Source:
    """A text and the name under which diagnostics show it."""

    name: str
    text: str

    def line(self, number: int) -> str:
        """Return line `number` (1-based) without its line end; empty where there is none."""
        lines = _lines(self.text)
        return lines[number - 1].rstrip("\r") if 0 < number <= len(lines) else ""


@dataclass(frozen=True, slots=True)
class Place:
    """A span of one source."""

    source: Source
    span: Span

    def __str__(self) -> str:
        return f"{self.source.name}:{self.span.line}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong at a key path.

    `at_key` shows the key instead of its value. `place` is set where no key path leads to the
    text, as in a syntax error. `code` is filled by the rule that found it.
    """

    path: KeyPath
    message: str
    help: str | None = None
    at_key: bool = False
    place: Place | None = None
    code: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A text that was read: its data, and for every key path the spans of key and value."""

    path: Path
    text: str
    data: dict[str, Any]
    spans: Mapping[KeyPath, tuple[Span, Span]] = field(repr=False)


class DocumentError(PettingLLMsError):
    """A file could not be read, or its text is not a document; `finding` has the place."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message, help=finding.help)
        self.finding = finding


def dotted(path: KeyPath) -> str:
    """Return `path` as it is written in overrides and references: `a.b."odd key".0`."""
    return ".".join(_part(part) for part in path)


def _part(part: str | int) -> str:
    plain = isinstance(part, int) or re.fullmatch(r"[A-Za-z0-9_-]+", part)
    return str(part) if plain else '"' + str(part).replace("\\", "\\\\").replace('"', '\\"') + '"'
