r"""The grammar of texts with `${…}`: what OmegaConf accepts, read into a small expression tree.

A text is plain characters, references `${a.b}`, `${a[0]}`, `${.x}`, `${..x}` and calls
`${name:argument,argument}`. Arguments are numbers, `true`, `false`, `null`, quoted or unquoted texts,
lists, tables and further references. `\${` is a plain `${`; before a real `${` two backslashes are one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pettingllms.compose.expressions import Call, Expression, Items, Joined, Literal, Pairs, Reference

MAX_NESTING = 24
MAX_DIGITS = 1000
MAX_SHOWN = 100


class GrammarError(Exception):
    """A text cannot be read; the message says why, `help` what to do."""

    def __init__(self, message: str, help_text: str | None = None) -> None:
        super().__init__(message)
        self.help = help_text


PLAIN_DOLLAR = "write \\${ for the plain characters ${"
QUOTE_IT = 'put texts with special characters in quotes: ${oc.env:NAME,"~/a b"}'

_PLAIN = re.compile(r"[^\\$]+")
_BACKSLASHES = re.compile(r"\\+")
_QUOTED = {quote: re.compile(rf"[^\\${quote}]+") for quote in "'\""}
_OPEN = re.compile(r"\$\{[ \t]*")
_CLOSE = re.compile(r"[ \t]*\}")
_KEY = re.compile(r"""[^\\{}()\[\]:. \t'"]+""")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_COLON = re.compile(r"[ \t]*:[ \t]*")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_LIST_OPEN, _LIST_CLOSE = re.compile(r"\[[ \t]*"), re.compile(r"[ \t]*\]")
_TABLE_OPEN = re.compile(r"\{[ \t]*")
_SPACE = re.compile(r"[ \t]+")
_ESCAPES = re.compile(r"(?:\\[\\()\[\]{}:=, \t])+")
_OTHER = re.compile(r"[/\-\\+.$%*@?|]")
_INTEGER = re.compile(r"[+-]?(?:[1-9](?:_?[0-9])*|0)")
_WHOLE = r"(?:[1-9](?:_?[0-9])*|0)"
_DIGITS = r"[0-9](?:_?[0-9])*"
_POINT = rf"(?:{_WHOLE}?\.{_DIGITS}|{_WHOLE}\.)"
_FLOAT = re.compile(rf"[+-]?(?:(?:{_POINT}|{_WHOLE})[eE][+-]?{_DIGITS}|{_POINT}|[Ii][Nn][Ff]|[Nn][Aa][Nn])")
# The longest of these is taken; of equally long ones the first.
_TOKENS = (_FLOAT, _INTEGER, _NAME, _OTHER)
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}


@lru_cache(maxsize=4096)
def parse_text(text: str) -> Expression:
    """Read a whole value: one reference or call by itself, else a joined text. Raises GrammarError."""
    return _Reader(text).text(None)


def parse_element(text: str) -> Expression:
    """Read one argument by itself, as `oc.decode` does. Raises GrammarError."""
    element = (reader := _Reader(text)).element()
    if reader.position < len(text):
        raise reader.unexpected()
    return element


def is_key(part: str | int) -> bool:
    """True for a key that can stand in `${…}` as it is."""
    return isinstance(part, int) or (isinstance(part, str) and _KEY.fullmatch(part) is not None)


class _Reader:
    """Reads from `position` on; each method takes what it names, or raises."""

    def __init__(self, text: str) -> None:
        self.source = text
        self.position = 0
        self.open: list[int] = []

    def match(self, pattern: re.Pattern[str]) -> str | None:
        """Take what `pattern` matches here; None where it does not."""
        if (found := pattern.match(self.source, self.position)) is None:
            return None
        self.position = found.end()
        return found[0]

    def ahead(self, pattern: re.Pattern[str]) -> bool:
        return pattern.match(self.source, self.position) is not None

    def text(self, quote: str | None) -> Expression:
        """Plain characters and references, up to the end or to the closing `quote`."""
        parts: list[Expression] = []
        plain: list[str] = []
        stretch = _PLAIN if quote is None else _QUOTED[quote]
        while self.position < len(self.source):
            if quote is not None and self.source[self.position] == quote:
                break
            if (piece := self.match(stretch)) is not None:
                plain.append(piece)
            elif (slashes := self.match(_BACKSLASHES)) is not None:
                plain.append(self.after_backslashes(len(slashes), quote))
            elif self.source.startswith("${", self.position):
                if plain:
                    parts.append(Literal("".join(plain)))
                    plain = []
                parts.append(self.interpolation())
            else:
                plain.append("$")
                self.position += 1
        if plain or not parts:
            parts.append(Literal("".join(plain)))
        if len(parts) > 1:
            return Joined(tuple(parts))
        return parts[0]

    def after_backslashes(self, count: int, quote: str | None) -> str:
        """What `count` backslashes mean before what follows them; takes an escaped `${` or quote."""
        opening = self.source.startswith("${", self.position)
        closing = quote is not None and self.source.startswith(quote, self.position)
        if not (opening or closing):
            return "\\" * count
        kept = "\\" * (count // 2)
        if count % 2 == 0:
            return kept
        taken = "${" if opening else str(quote)
        self.position += len(taken)
        return kept + taken

    def interpolation(self) -> Expression:
        """`${…}`, a reference or a call."""
        start = self.position
        self.open.append(start)
        if len(self.open) > MAX_NESTING:
            raise GrammarError(f"references are nested more than {MAX_NESTING} levels deep")
        self.match(_OPEN)
        found = self.inside(start)
        self.open.pop()
        return found

    def inside(self, start: int) -> Expression:
        parts: list[str | Expression] = []
        while self.source.startswith(".", self.position):
            parts.append(".")
            self.position += 1
        relative = bool(parts)
        bracketed = self.key(parts, first=True)
        named = not relative and not bracketed
        while not self.ahead(_CLOSE):
            if named and self.match(_COLON) is not None:
                return self.call(start, tuple(parts[::2]))
            if self.source.startswith(".", self.position):
                parts.append(".")
                self.position += 1
                self.key(parts, first=False)
            else:
                named = not self.key(parts, first=False, bracket=True) and named
        self.match(_CLOSE)
        return Reference(tuple(parts), self.shown(start, self.position))

    def key(self, parts: list[str | Expression], *, first: bool, bracket: bool = False) -> bool:
        """One key, plain or in brackets, into `parts`; True for brackets."""
        in_brackets = (first or bracket) and self.source.startswith("[", self.position)
        if bracket and not in_brackets:
            raise self.not_a_path()
        if in_brackets:
            parts.append("[")
            self.position += 1
        if self.source.startswith("${", self.position):
            parts.append(self.interpolation())
        elif (word := self.match(_KEY)) is not None:
            parts.append(word)
        else:
            raise self.not_a_path()
        if in_brackets:
            if not self.source.startswith("]", self.position):
                raise self.not_a_path()
            parts.append("]")
            self.position += 1
        return in_brackets

    def call(self, start: int, name: tuple[str | Expression, ...]) -> Call:
        """The arguments of a call, whose name and colon were taken."""
        if not all(_NAME.fullmatch(part) for part in name if isinstance(part, str)):
            raise GrammarError(f"{self.shown(start)}: what stands before the colon is not a name")
        arguments = () if self.ahead(_CLOSE) else self.sequence(_CLOSE)
        if self.match(_CLOSE) is None:
            raise self.unexpected()
        return Call(name, arguments, self.shown(start, self.position))

    def sequence(self, end: re.Pattern[str]) -> tuple[Expression, ...]:
        """Elements between commas, up to `end`; a missing one is an empty text."""
        items: list[Expression] = []
        expected = True
        while not self.ahead(end):
            if self.match(_COMMA) is not None:
                if expected:
                    items.append(Literal(""))
                expected = True
            elif expected:
                items.append(self.element())
                expected = False
            else:
                raise self.unexpected()
        if expected:
            items.append(Literal(""))
        return tuple(items)

    def element(self) -> Expression:
        """One argument."""
        if self.position >= len(self.source):
            raise self.unexpected()
        first = self.source[self.position]
        if first in "'\"":
            return self.quoted(first)
        if first == "[":
            return self.nested(self.list)
        if first == "{":
            return self.nested(self.table)
        return self.primitive(self.piece)

    def nested(self, read: Callable[[], Expression]) -> Expression:
        self.open.append(self.position)
        if len(self.open) > MAX_NESTING:
            raise GrammarError(f"arguments are nested more than {MAX_NESTING} levels deep")
        found = read()
        self.open.pop()
        return found

    def list(self) -> Expression:
        self.match(_LIST_OPEN)
        items = () if self.ahead(_LIST_CLOSE) else self.sequence(_LIST_CLOSE)
        if self.match(_LIST_CLOSE) is None:
            raise self.unexpected()
        return Items(items)

    def table(self) -> Expression:
        self.match(_TABLE_OPEN)
        pairs: list[tuple[Any, Expression]] = []
        more = not self.ahead(_CLOSE)
        while more:
            key = self.primitive(self.word)
            if self.match(_COLON) is None:
                raise self.unexpected()
            # A key holds no reference, so that it is one literal or several joined ones.
            parts = key.parts if isinstance(key, Joined) else (key,)
            values = [part.value for part in parts if isinstance(part, Literal)]
            pairs.append((values[0] if len(values) == 1 else "".join(values), self.element()))
            more = self.match(_COMMA) is not None
        if self.match(_CLOSE) is None:
            raise self.unexpected()
        return Pairs(tuple(pairs))

    def quoted(self, quote: str) -> Expression:
        start = self.position
        self.position += 1
        found = self.text(quote)
        if self.position >= len(self.source):
            raise GrammarError(f"{self.shown(start)}: the quote {quote} is not closed")
        self.position += 1
        return found if isinstance(found, Literal | Joined) else Joined((found,))

    def primitive(self, read: Callable[[], Expression | None]) -> Expression:
        """A typed value where one token is all of it, else the text of all tokens."""
        start = self.position
        first = read()
        if first is None:
            raise self.unexpected()
        pieces = [first]
        while (piece := read()) is not None:
            pieces.append(piece)
        if len(pieces) == 1:
            if isinstance(first, Literal) and self.source[start : self.position].isspace():
                raise self.unexpected()
            return first
        return Joined(tuple(map(_as_text, pieces)))

    def piece(self) -> Expression | None:
        """One token of an unquoted argument; None where it ends."""
        if self.source.startswith("${", self.position):
            return self.interpolation()
        if not self.ends() and (colon := self.match(_COLON)) is not None:
            return Literal(colon)
        return self.word()

    def ends(self) -> bool:
        return self.ahead(_COMMA) or self.ahead(_CLOSE) or self.ahead(_LIST_CLOSE)

    def word(self) -> Expression | None:
        """One token that is no reference; None where there is none."""
        if self.ends() or self.ahead(_COLON):
            return None
        if (escapes := self.match(_ESCAPES)) is not None:
            return Literal(escapes[1::2])
        if (space := self.match(_SPACE)) is not None:
            return Literal(space)
        if self.source.startswith("${", self.position):
            return None
        start = self.position
        found = [pattern.match(self.source, start) for pattern in _TOKENS]
        ends = [match.end() if match else start for match in found]
        self.position = max(ends)
        if self.position == start:
            return None
        written = self.source[start : self.position]
        return _token(_TOKENS[ends.index(self.position)], written)

    def shown(self, start: int, end: int | None = None) -> str:
        """The text from `start` on, cut short, for messages."""
        written = self.source[start:end]
        return written if len(written) <= MAX_SHOWN else written[: MAX_SHOWN - 1] + "…"

    def unexpected(self) -> GrammarError:
        if self.position >= len(self.source):
            if self.open and self.source.startswith("${", self.open[0]):
                return self.unclosed()
            return GrammarError("a value is missing at the end")
        start = self.open[0] if self.open else 0
        character = self.source[self.position]
        return GrammarError(f"{self.shown(start)}: {character!r} cannot stand here", QUOTE_IT)

    def unclosed(self) -> GrammarError:
        message = f"{self.shown(self.open[-1])}: a reference is not closed: }} is missing"
        return GrammarError(message, PLAIN_DOLLAR)

    def not_a_path(self) -> GrammarError:
        if self.position >= len(self.source):
            return self.unclosed()
        message = f"{self.shown(self.open[-1])} is not a path of keys"
        return GrammarError(message, "write it as ${section.key}")


def _token(pattern: re.Pattern[str], written: str) -> Literal:
    if pattern is _FLOAT:
        return Literal(float(written), written)
    if pattern is _INTEGER:
        if len(written) > MAX_DIGITS:
            raise GrammarError(f"a number has more than {MAX_DIGITS} digits")
        return Literal(int(written), written)
    if pattern is _NAME and written.lower() in _WORDS:
        return Literal(_WORDS[written.lower()], written)
    return Literal(written)


def _as_text(piece: Expression) -> Expression:
    """A token as a part of a longer text: a number as it was written."""
    return Literal(piece.written) if isinstance(piece, Literal) and piece.written is not None else piece
