"""Words of a shell script: quotes, escapes and expansions taken apart; nothing of it is run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pettingllms.errors import PettingLLMsError

MAX_NESTING = 40
BREAKS = " \t\n;&|<>()"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")
_ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "\\": "\\",
    "'": "'",
    '"': '"',
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
}


class ScriptError(PettingLLMsError):
    """The text is no shell script; `line` is where that shows."""

    def __init__(self, message: str, line: int, *, help: str | None = None) -> None:  # noqa: A002
        super().__init__(message, help=help)
        self.line = line


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a word: plain text, the inside of `${…}`, of `$((…))`, or of `$(…)`."""

    kind: Literal["text", "variable", "arithmetic", "command"]
    text: str
    quoted: bool
    line: int


Word = tuple[Piece, ...]


def plain(word: Word) -> str | None:
    """The text of a word without expansions, or None."""
    return "".join(p.text for p in word) if all(p.kind == "text" for p in word) else None


def read_inside(text: str, line: int, *, quoted: bool) -> Word:
    """The pieces of the word inside `${NAME:-…}`."""
    reader = WordReader(text, line)
    pieces: list[Piece] = []
    while reader.at < len(text):
        pieces += reader.double(closing="") if quoted else reader.pieces(stops="")
    return tuple(pieces)


class WordReader:
    """Reads words from a position in a text on."""

    def __init__(self, text: str, first_line: int = 1) -> None:
        self.text = text
        self.at = 0
        self.counted, self.line_there = 0, first_line

    def line(self) -> int:
        """The line of the reading position, which only moves forward."""
        self.line_there += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        return self.line_there

    def error(self, message: str, line: int | None = None) -> ScriptError:
        """An error here, or at `line`."""
        return ScriptError(message, self.line() if line is None else line)

    def pieces(self, stops: str = BREAKS) -> Iterator[Piece]:
        """The pieces of a word, up to one of `stops` outside quotes."""
        while self.at < len(self.text) and self.text[self.at] not in stops:
            yield from self.piece(stops)
            if stops and self.text.startswith("(", self.at) and self.in_value():
                # A value such as `choice(1, 2)`: the shell asks for quotes around it, people forget them.
                line, start = self.line(), self.at
                self.balanced("(", ")")
                yield Piece("text", self.text[start : self.at], quoted=True, line=line)

    def in_value(self) -> bool:
        """True behind `key=…` of the word that is being read."""
        return re.search(r"=[^\s;&|]*$", self.text[max(0, self.at - 200) : self.at]) is not None

    def piece(self, stops: str) -> Iterator[Piece]:
        """The pieces that begin here: a stretch of plain text, or one quoted or expanded part."""
        line, character = self.line(), self.text[self.at]
        if character == "\\":
            escaped = self.text[self.at + 1 : self.at + 2]
            self.at += 2
            if escaped != "\n":
                yield Piece("text", escaped, quoted=True, line=line)
        elif character == "'":
            yield Piece("text", self.until_quote("'"), quoted=True, line=line)
        elif character == '"':
            self.at += 1
            yield from self.double()
        elif character in "$`":
            yield from self.expansion(quoted=False)
        else:
            end = self.at + 1
            while end < len(self.text) and self.text[end] not in stops and self.text[end] not in "\\'\"$`":
                end += 1
            taken, self.at = self.text[self.at : end], end
            yield Piece("text", taken, quoted=False, line=line)

    def until_quote(self, quote: str) -> str:
        """Read a quoted text; return what stands between the quotes."""
        line, end = self.line(), self.text.find(quote, self.at + 1)
        if end < 0:
            raise self.error("a single quote is not closed", line)
        inside, self.at = self.text[self.at + 1 : end], end + 1
        return inside

    def double(self, closing: str = '"') -> list[Piece]:
        """The pieces up to the closing quote; with no closing quote, to the end of the text."""
        line = self.line()
        pieces, start = [Piece("text", "", quoted=True, line=line)], self.at
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == closing or character in "\\$`":
                pieces.append(Piece("text", self.text[start : self.at], quoted=True, line=line))
                if character == closing:
                    self.at += 1
                    return pieces
                if character == "\\":
                    escaped = self.text[self.at + 1 : self.at + 2]
                    kept = {"\n": ""}.get(escaped, escaped if escaped in '$`"\\' else "\\" + escaped)
                    pieces.append(Piece("text", kept, quoted=True, line=line))
                    self.at += 2
                else:
                    pieces += self.expansion(quoted=True)
                start = self.at
            else:
                self.at += 1
        if closing:
            raise self.error("a double quote is not closed", line)
        return [*pieces, Piece("text", self.text[start:], quoted=True, line=line)]

    def expansion(self, *, quoted: bool) -> list[Piece]:
        """Read what begins with a dollar sign or a backquote."""
        line, start = self.line(), self.at
        if self.text[start] == "`":
            return [Piece("command", self.until_quote("`"), quoted=quoted, line=line)]
        self.at += 1
        following = self.text[self.at : self.at + 2]
        if following == "((":
            return [Piece("arithmetic", self.balanced("(", ")")[1:-1], quoted=quoted, line=line)]
        if following[:1] in ("(", "{"):
            kind: Literal["command", "variable"] = "command" if following[0] == "(" else "variable"
            return [
                Piece(kind, self.balanced(*("()" if following[0] == "(" else "{}")), quoted=quoted, line=line)
            ]
        if following[:1] in ("'", '"') and not quoted:
            ansi = following[0] == "'"
            return [Piece("text", self.ansi_quoted(), quoted=True, line=line)] if ansi else []
        match = _NAME.match(self.text, self.at)
        if match is None:
            return [Piece("text", "$", quoted=quoted, line=line)]
        self.at = match.end()
        return [Piece("variable", match.group(), quoted=quoted, line=line)]

    def ansi_quoted(self) -> str:
        """Read the quoted text of `$'…'`."""
        line = self.line()
        match = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL).match(self.text, self.at)
        if match is None:
            raise self.error("a single quote is not closed", line)
        self.at = match.end()
        return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), match.group(1))

    def balanced(self, opening: str, closing: str) -> str:
        """Read from `opening` to the `closing` that belongs to it; return what stands between."""
        line, start, depth, quote = self.line(), self.at, 0, ""
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == "\\":
                self.at += 1
            elif quote:
                quote = "" if character == quote else quote
            elif character in "'\"":
                quote = character
            elif character in opening + closing:
                depth += 1 if character == opening else -1
                if depth > MAX_NESTING:
                    raise self.error("parentheses or braces are nested too deeply", line)
            self.at += 1
            if depth == 0:
                return self.text[start + 1 : self.at - 1]
        raise self.error(f"{opening} is not closed: {closing} is missing", line)
