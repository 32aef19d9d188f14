"""Where a value stands: positions in a text, paths of keys, and what was found there."""

from __future__ import annotations

import bisect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

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


class Lines:
    """From an index of a text to its line and column; a line ends with a line feed."""

    def __init__(self, text: str) -> None:
        self._newlines = [match.start() for match in re.finditer("\n", text)]

    def point(self, index: int) -> tuple[int, int]:
        """Return the line and column of the character at `index`."""
        line = bisect.bisect_left(self._newlines, index)
        start = self._newlines[line - 1] + 1 if line else 0
        return line + 1, index - start + 1

    def span(self, start: int, end: int) -> Span:
        """Return the span of the characters from `start` to before `end`."""
        return Span(*self.point(start), *self.point(end))


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
class Change:
    """One step of a fix.

    At `path` of the experiment, `set` writes `value`, `remove` takes the key away, `rename` gives it
    the last key of `to`, and `move` puts it at `to`. `text` puts `value` in the place of `span`, in the
    text of the file that the finding is about.
    """

    kind: Literal["set", "remove", "rename", "move", "text"]
    path: KeyPath = ()
    value: Any = None
    to: KeyPath = ()
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Fix:
    """How a finding can be mended. `safe`: the experiment then means what it surely was meant to mean."""

    title: str
    changes: tuple[Change, ...]
    safe: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong at a key path.

    `at_key` shows the key instead of its value. `place` is set where no key path leads to the
    text, as in a syntax error. `code` is filled by the rule that found it. `included`: the entries of
    `defaults` lists that led to the file, innermost first, where `place` is set.
    """

    path: KeyPath
    message: str
    help: str | None = None
    at_key: bool = False
    place: Place | None = None
    code: str = ""
    fix: Fix | None = field(default=None, compare=False)
    included: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Document:
    """A text that was read: its data, and for every key path the spans of key and value.

    `text` has its line ends as written and no byte order mark; `bom` says that the file began
    with one. A null is None in YAML data, and still the table `{"null": True}` in TOML data.
    `notes`: findings that do not stop the reading, each with its place.
    """

    path: Path
    text: str
    data: dict[str, Any]
    spans: Mapping[KeyPath, tuple[Span, Span]] = field(repr=False)
    format: Literal["toml", "yaml"] = "toml"
    bom: bool = False
    notes: tuple[Finding, ...] = ()


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
