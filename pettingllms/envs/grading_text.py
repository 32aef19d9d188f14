r"""Where an answer stands in a text, and the one form in which answers are compared as texts."""

from __future__ import annotations

import re
import unicodedata

_BRACES = re.compile(r"\\+boxed\s*\{|\\.|[{}]", re.DOTALL)
_HASHED = re.compile(r"^[ \t]*####(.*)$", re.MULTILINE)
_SIGNS = {
    **dict.fromkeys("\N{MINUS SIGN}\N{EN DASH}", "-"),
    **dict.fromkeys("\N{EURO SIGN}\N{POUND SIGN}", ""),
    "\N{MULTIPLICATION SIGN}": r"\times ",
    "\N{MIDDLE DOT}": r"\cdot ",
    "\N{DIVISION SIGN}": "/",
    "\N{FRACTION SLASH}": "/",
    "\N{INFINITY}": r"\infty ",
    "\N{GREEK SMALL LETTER PI}": r"\pi ",
    "\N{LESS-THAN OR EQUAL TO}": r"\le ",
    "\N{GREATER-THAN OR EQUAL TO}": r"\ge ",
    "\N{NOT EQUAL TO}": r"\neq ",
    "\N{UNION}": r"\cup ",
    "\N{PLUS-MINUS SIGN}": r"\pm ",
    "\N{DEGREE SIGN}": r"^\circ ",
    "\N{SQUARE ROOT}": r"\sqrt ",
    "\N{ELEMENT OF}": r"\in ",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots ",
    "\N{NO-BREAK SPACE}": " ",
    **dict.fromkeys("\N{ZERO WIDTH SPACE}\N{WORD JOINER}\N{ZERO WIDTH NO-BREAK SPACE}", ""),
}
"""Characters that NFKC leaves as they are, or changes into something else than they mean."""

_EMPHASIS = re.compile(r"\s*(\*\*|__|`)((?:(?!\1).)+)\1\s*", re.DOTALL)
"""A whole answer in bold print or as code, as Markdown writes it."""
_SUBSTITUTIONS = [
    (re.compile(pattern), put)
    for pattern, put in (
        (r"\\text(?:bf|rm|it|tt|sf)\b|\\mbox\b|\\hbox\b|\\math(?:rm|bf|it|sf)\b|\\operatorname\b", r"\\text"),
        (r"\\(?:left|right)\.", " "),
        (r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|limits|boldsymbol)(?![a-zA-Z])", " "),
        (r"\\[dtc]frac", r"\\frac"),
        (r"(?<=\d)(?:\\,|\\!|\{,\}|\\;|,\\!)(?=\d{3}(?!\d))", ","),
        (r"(?<!\\)\\!", ""),
        (r"(?<!\\)\\[,;: ]|~|\\q?quad(?![a-zA-Z])", " "),
        (r"\\\$|\$|\\\(|\\\)|\\displaylimits", ""),
        (r"\\leq(?![a-zA-Z])|<=|\\leqslant(?![a-zA-Z])", r"\\le "),
        (r"\\geq(?![a-zA-Z])|>=|\\geqslant(?![a-zA-Z])", r"\\ge "),
        (r"!=|\\ne(?![a-zA-Z])", r"\\neq "),
        (r"\^\s*(?:\{\s*\\circ\s*\}|\\circ)|\\degree(?![a-zA-Z])", r"\\text{degrees}"),
        (r"\\?%", r"\\text{%}"),
        (r"\*\*", "^"),
        (r"(?<![\\a-zA-Z])sqrt\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"(?<![\\a-zA-Z])pi(?![a-zA-Z])", r"\\pi "),
        (r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}"),
        (r"\\frac\s*(\d)\s*\{", r"\\frac{\1}{"),
        (r"\\frac\s*\{([^{}]*)\}\s*(\d)", r"\\frac{\1}{\2}"),
        (r"\\sqrt\s*([0-9a-zA-Z])", r"\\sqrt{\1}"),
        (r"\\(?:dots|cdots|dotsc)(?![a-zA-Z])|\.\.\.", r"\\ldots "),
    )
]
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_LOOSE_BLANKS = re.compile(r"(?<![0-9A-Za-z])\s+|\s+(?![0-9A-Za-z])")


def last_box(text: str) -> str | None:
    r"""Content of the last balanced `\boxed{…}` of `text`, or None.

    Braces are counted, without those that are escaped; a box that is never closed is no answer.
    """
    opened: list[int | None] = []
    found: tuple[int, int] | None = None
    for match in _BRACES.finditer(text):
        token = match.group()
        if token == "}" and opened:
            begin = opened.pop()
            if begin is not None and (found is None or begin > found[0]):
                found = (begin, match.start())
        elif token.endswith("{") and token != "\\{":
            opened.append(match.end() if len(token) > 1 else None)
    return None if found is None else text[slice(*found)]


def final_answer(text: str) -> str | None:
    r"""What `text` gives as its answer: the last box, or where there is none, what follows the last `####`.

    Nothing else of a text is ever looked at: a number in a sentence is no answer.
    """
    box = last_box(text)
    if box is not None:
        return box
    hashed = _HASHED.findall(text)
    return hashed[-1].strip() or None if hashed else None


def plain(text: str) -> str:
    r"""`text` with one spelling for what is written in several ways: NFKC, blanks, fractions, text, signs.

    Words in `\text{…}` stay marked; `unmarked` takes the marks off.
    """
    text = _one_spelling(text).strip()
    if emphasised := _EMPHASIS.fullmatch(text):
        text = emphasised[2].strip()
    if text.startswith("\\[") and text.endswith("\\]"):
        text = text[2:-2]
    for pattern, put in _SUBSTITUTIONS:
        text = pattern.sub(put, text)
    text = text.strip()
    while text.endswith((".", "\\\\")) and not text.endswith(("\\ldots", "..")):
        text = text.rstrip(".").removesuffix("\\\\").strip()
    return _unwrapped(re.sub(r"(^|[(\[,=])\s*([+-])\s+", r"\1\2", re.sub(r"\s+", " ", text)))


def unmarked(text: str) -> str:
    r"""`text` with the words of `\text{…}` as they are, and without blanks that mean nothing."""
    return _LOOSE_BLANKS.sub("", re.sub(r"\s+", " ", _TEXT.sub(r" \1 ", text)).strip())


def is_balanced(text: str) -> bool:
    """Whether every brace of `text` that is not escaped has its counterpart."""
    depth = 0
    for match in _BRACES.finditer(text):
        token = match.group()
        depth += (token.endswith("{") and token != "\\{") - (token == "}")
        if depth < 0:
            return False
    return depth == 0


def _one_spelling(text: str) -> str:
    """NFKC, but for what it would change in value: 5², 10₂ and 3½ are not 52, 102 and 31/2."""
    if text.isascii():
        return text
    parts = []
    for one in text:
        kind = unicodedata.decomposition(one)
        if one in _SIGNS:
            parts.append(_SIGNS[one])
        elif kind.startswith("<fraction>"):
            parts.append(" " + unicodedata.normalize("NFKC", one).replace("\N{FRACTION SLASH}", "/") + " ")
        elif kind.startswith(("<super>", "<sub>")):
            sign = "^" if kind.startswith("<super>") else "_"
            parts.append(f"{sign}{{{unicodedata.normalize('NFKC', one)}}}")
        else:
            parts.append(one)
    joined = re.sub(r"\}([\^_])\{(?=\d)", r"}\1{", "".join(parts))
    joined = re.sub(r"(?<=\d)\}\^\{(?=\d)", "", joined)
    return unicodedata.normalize("NFKC", joined)


def _unwrapped(text: str) -> str:
    """Without braces around the whole."""
    while text.startswith("{") and text.endswith("}"):
        depth = 0
        for match in _BRACES.finditer(text):
            depth += {"{": 1, "}": -1}.get(match.group(), 1 if "boxed" in match.group() else 0)
            if depth == 0 and match.end() < len(text):
                return text
        if depth:
            return text
        text = text[1:-1].strip()
    return text
