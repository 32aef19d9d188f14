"""The words and signs of an expression; every other one is refused where it stands."""

from __future__ import annotations

import re

from pettingllms.space.parts import Constant, ExpressionError, Key

MAX_TOKENS = 400
"""Words and signs of an expression."""
MAX_DEPTH = 32
"""How deep operations and brackets may be nested."""
TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    | (?P<text>"(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*')
    | (?P<number>[0-9](?:[eE][+-]?[0-9]|[\w.])*)
    | (?P<path>[^\W\d]\w*(?:\.\w+)*)
    | (?P<sign>==|!=|<=|>=|\*\*|//|&&|\|\||[-+*/%<>()\[\],])""",
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_OPERATORS = ("and", "or", "not", "in")
_CONSTANTS: dict[str, bool | None] = {
    "true": True,
    "false": False,
    "null": None,
    "True": True,
    "False": False,
    "None": None,
}
_INSTEAD = {
    "**": "there are no powers",
    "//": "there is no division without remainder",
    "&&": "write and",
    "||": "write or",
    "=": "write == to compare",
    "!": "write not, or != to compare",
    "$": "write the key without ${ }",
    "&": "write and",
    "|": "write or",
}


def tokens(text: str) -> tuple[dict[int, Constant | Key], str]:
    """The keys, numbers and texts of `text` by their index, and the text with a plain name for each.

    The names are as long as what they stand for, so that positions stay. What is left for Python's
    grammar are names, brackets and operators; nothing else of its language can be said.
    """
    names: dict[int, Constant | Key] = {}
    pieces: list[str] = []
    open_brackets: list[int] = []
    position = count = 0
    after_word = False
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise _no_token(text, position)
        kind, word = str(match.lastgroup), match[0]
        if after_word and kind not in ("space", "sign"):
            raise ExpressionError("a space or an operator is missing here", position, len(word))
        after_word = kind not in ("space", "sign")
        if kind == "space":
            pieces.append(" " * len(word))
        elif kind == "sign":
            if word in _INSTEAD:
                raise ExpressionError(f"{word!r} is no operator here", position, len(word), _INSTEAD[word])
            _watch_brackets(word, position, open_brackets)
            pieces.append(word)
        elif kind == "path" and word in _OPERATORS:
            pieces.append(word)
        else:
            names[position] = _value(kind, word, position)
            pieces.append("_" * len(word))
        count += kind != "space"
        if count > MAX_TOKENS:
            raise ExpressionError(f"the expression has more than {MAX_TOKENS} words and signs", position)
        position = match.end()
    if open_brackets:
        raise ExpressionError(f"{text[open_brackets[-1]]!r} is not closed", open_brackets[-1])
    return names, "".join(pieces)


def _watch_brackets(word: str, position: int, open_brackets: list[int]) -> None:
    if word in "([":
        open_brackets.append(position)
        if len(open_brackets) > MAX_DEPTH:
            raise ExpressionError(f"more than {MAX_DEPTH} brackets are open", position)
    elif word in ")]":
        if not open_brackets:
            raise ExpressionError(f"{word!r} closes nothing", position)
        open_brackets.pop()


def _no_token(text: str, position: int) -> ExpressionError:
    character = text[position]
    if character in "\"'":
        return ExpressionError("the text is not closed", position, len(text) - position)
    if character == ".":
        return ExpressionError("a dot stands between the keys of a path, and inside numbers", position)
    help_text = _INSTEAD.get(character)
    return ExpressionError(f"{character!r} has no meaning in an expression", position, 1, help_text)


def _value(kind: str, word: str, position: int) -> Constant | Key:
    end = position + len(word)
    if kind == "text":
        return Constant(position, end, _unquoted(word, position))
    if kind == "number":
        return Constant(position, end, _number(word, position))
    if word in _CONSTANTS:
        return Constant(position, end, _CONSTANTS[word])
    parts = word.split(".")
    return Key(
        position, end, tuple(int(part) if part.isdecimal() and part.isascii() else part for part in parts)
    )


def _unquoted(word: str, position: int) -> str:
    escapes = {"n": "\n", "t": "\t", "\\": "\\", '"': '"', "'": "'"}

    def plain(match: re.Match[str]) -> str:
        if match[1] not in escapes:
            at = position + 1 + match.start()
            raise ExpressionError(f"\\{match[1]} has no meaning in a text", at, 2)
        return escapes[match[1]]

    return re.sub(r"\\(.)", plain, word[1:-1], flags=re.DOTALL)


def _number(word: str, position: int) -> int | float:
    match = _NUMBER.fullmatch(word)
    if match is None:
        raise ExpressionError(f"{word} is no number", position, len(word))
    value = float(word) if match[2] or match[3] else int(word)
    if abs(value) >= (float("inf") if isinstance(value, float) else 2**63):
        raise ExpressionError(f"{word} is too large", position, len(word))
    return value
