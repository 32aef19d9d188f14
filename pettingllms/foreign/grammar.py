"""Values as Hydra's override grammar writes them: scalars, lists, dicts and calls of sweep functions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 40
_WHOLE = r"(?:0|[1-9](?:_?[0-9])*)"
_POINT = rf"(?:{_WHOLE}\.(?![0-9_])|(?:{_WHOLE})?\.[0-9](?:_?[0-9])*)"
_INTEGER = re.compile(rf"[+-]?{_WHOLE}")
_FLOAT = re.compile(
    rf"[+-]?(?:{_POINT}|(?:{_POINT}|{_WHOLE})[eE][+-]?[0-9](?:_?[0-9])*|[Ii][Nn][Ff]|[Nn][Aa][Nn])"
)
_QUOTED = re.compile(
    r'"(?:(?:\\\\)*|.*?[^\\](?:\\\\)*)"' + r"|'(?:(?:\\\\)*|.*?[^\\](?:\\\\)*)'",
    re.DOTALL,
)
_FUNCTION = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)[ \t]*\([ \t]*")
_KEYWORD = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)[ \t]*=[ \t]*")
_ESCAPED = "\\()[]{}:=, \t"
_BLANK = " \t"


class GrammarFault(Exception):  # noqa: N818 - says why, shown to people
    """The text is no value of Hydra's grammar."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value, and its text without escapes, so that a schema may read it in another way."""

    value: Any
    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments, not evaluated."""

    name: str
    arguments: tuple[Any, ...]
    named: tuple[tuple[str, Any], ...] = ()


Node = Any
"""A Scalar, a Call, a list of nodes, or a dict from text to node."""


def parse_value(text: str) -> list[Node]:
    """The elements of `text`: one, or several separated by commas. Raises GrammarFault."""
    if not text.strip(_BLANK):
        return [Scalar("", "", quoted=True)]
    reader = _Reader(text)
    return reader.elements("")


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def blank(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in _BLANK:
            self.at += 1

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def elements(self, closing: str) -> list[Node]:
        """Elements up to `closing`, which is read too; to the end of the text where it is empty."""
        found: list[Node] = []
        self.blank()
        if closing and self.peek() == closing:
            self.at += 1
            return found
        while True:
            found.append(self.element(closing))
            self.blank()
            following = self.peek()
            self.at += 1
            if following == closing:
                return found
            if following != ",":
                raise GrammarFault(f"{closing or 'a comma'} is missing")

    def element(self, closing: str) -> Node:
        self.blank()
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise GrammarFault("it is nested too deeply")
        call = _FUNCTION.match(self.text, self.at)
        if self.peek() == "[":
            self.at += 1
            made: Node = self.elements("]")
        elif self.peek() == "{":
            self.at += 1
            made = self.pairs()
        elif call:
            self.at = call.end()
            made = self.call(call.group(1))
        else:
            made = self.primitive(closing)
        self.depth -= 1
        return made

    def call(self, name: str) -> Call:
        arguments: list[Node] = []
        named: list[tuple[str, Node]] = []
        self.blank()
        while self.peek() != ")":
            keyword = _KEYWORD.match(self.text, self.at)
            if keyword:
                self.at = keyword.end()
                named.append((keyword.group(1), self.element(")")))
            elif named:
                raise GrammarFault(f"{name}(…): a plain argument follows a named one")
            else:
                arguments.append(self.element(")"))
            self.blank()
            if self.peek() == ",":
                self.at += 1
                self.blank()
                if self.peek() == ")":
                    raise GrammarFault("a value is missing behind the last comma")
            elif self.peek() != ")":
                raise GrammarFault(f"{name}(… is not closed")
        self.at += 1
        return Call(name, tuple(arguments), tuple(named))

    def pairs(self) -> dict[str, Node]:
        found: dict[str, Node] = {}
        self.blank()
        if self.peek() == "}":
            self.at += 1
            return found
        while True:
            key = self.primitive(":}", in_key=True)
            if self.peek() != ":":
                raise GrammarFault("a key of {…} has no value")
            self.at += 1
            found[key.value if isinstance(key.value, str) else key.text] = self.element("}")
            self.blank()
            following = self.peek()
            self.at += 1
            if following == "}":
                return found
            if following != ",":
                raise GrammarFault("} is missing")
            self.blank()

    def primitive(self, closing: str, *, in_key: bool = False) -> Scalar:
        quoted = None if in_key else _QUOTED.match(self.text, self.at)
        if quoted:
            self.at = quoted.end()
            self.blank()
            if self.peek() and self.peek() not in "," + closing:
                raise GrammarFault("text follows a closing quote")
            inside = _unquoted(quoted.group())
            return Scalar(inside, inside, quoted=True)
        if self.peek() in ("'", '"'):
            raise GrammarFault("a quote is not closed")
        return self.unquoted(closing)

    def unquoted(self, closing: str) -> Scalar:
        made, plain, kept = "", True, 0
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == "\\" and self.text[self.at + 1 : self.at + 2] in tuple(_ESCAPED):
                made += self.text[self.at + 1]
                self.at += 2
                plain, kept = False, len(made)
            elif self.text.startswith("${", self.at):
                end = _closing_brace(self.text, self.at + 2)
                made += self.text[self.at : end]
                self.at = end
            elif character == "," or (character in closing and closing):
                break
            elif character in "([{}])":
                raise GrammarFault(f"{character} is not expected here")
            else:
                made += character
                self.at += 1
        end = max(kept, len(made.rstrip(_BLANK)))
        made = made[:end]
        if not made:
            raise GrammarFault("a value is missing")
        return Scalar(_typed(made) if plain else made, made)


def _closing_brace(text: str, start: int) -> int:
    depth = 1
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position + 1
    raise GrammarFault("a reference is not closed: } is missing")


def _unquoted(text: str) -> str:
    """The inside of a quoted text: backslashes count only in front of a quote and at the end."""
    quote = text[0]
    inside = re.sub(rf"(\\+){quote}", lambda match: (match.group(1) + quote)[1::2] or "", text[1:])
    closed = re.search(rf"\\+{quote}$", text[1:])
    return inside if closed else inside[:-1]


def _typed(text: str) -> Any:
    lowered = text.lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    if lowered == "null":
        return None
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) < 4000 else text
    return float(text) if _FLOAT.fullmatch(text) else text
