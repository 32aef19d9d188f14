"""What a YAML parser found wrong, in our own words, with the words that people search for kept."""

from __future__ import annotations

import re

from pettingllms.documents.yaml_nodes import YamlError

_QUOTE = "put it in quotes if text is meant"
_SPACES = "replace it by spaces"
_TOKENS = {
    "<stream end>": "the end of the file",
    "<block end>": "the end of the block",
    "<block mapping start>": "a key",
    "<block sequence start>": "a list",
    "<document start>": "---",
    "<document end>": "...",
    "<scalar>": "a value",
    "?": "a key",
    ":": "a colon",
    "-": "an item of a list",
}


def explain(cause: Exception, text: str, last: int) -> YamlError:
    """Return the fault behind `cause`; `last` is where the text was still understood."""
    problem = getattr(cause, "problem", None) or getattr(cause, "context", None) or ""
    at = _index(cause, "problem_mark")
    opened = _index(cause, "context_mark")
    here = at if at is not None else opened if opened is not None else last
    here = min(here, len(text))
    start = here if opened is None else min(opened, len(text))
    indent = re.compile(r"[ \t]*").match(text, text.rfind("\n", 0, here) + 1)
    if indent is not None and "\t" in indent.group():
        tab = indent.start() + indent.group().index("\t")
        message = "a tab stands here; YAML is indented with spaces"
        return YamlError(message, _SPACES, (tab, tab + 1))
    before = text[text.rfind("\n", 0, here) + 1 : here].strip()
    if problem.startswith("expected <block end>") and before.strip("- ") and here < len(text):
        return YamlError(
            "nothing may follow the value that ends here", "put all of it in quotes", (here, here + 1)
        )
    for pattern, message, help_text, at_start in _WORDS:
        found = re.match(pattern, problem)
        if found is not None:
            place = start if at_start else here
            words = {"found": _named(found.groupdict().get("found", "")), "opening": text[start : start + 1]}
            return YamlError(message.format(**words), help_text, (place, place + 1))
    return _by_character(problem, text, here, start)


def _by_character(problem: str, text: str, here: int, start: int) -> YamlError:
    character = text[here : here + 1]
    if "cannot start any token" in problem:
        if character == "\t":
            return YamlError("a tab stands here; YAML wants spaces", _SPACES, (here, here + 1))
        return YamlError(f"no value begins with {character}", _QUOTE, (here, here + 1))
    if "expected ',' or" in problem:
        closing = "]" if text[start : start + 1] == "[" else "}"
        if here >= len(text):
            message = f"this {text[start : start + 1]} is never closed"
            return YamlError(message, f"write {closing} where it ends", (start, start + 1))
        line = text.count("\n", 0, start) + 1
        message = f"expected ',' or '{closing}' for the {text[start : start + 1]} of line {line}"
        return YamlError(message, "separate by commas, and quote text that holds brackets", (here, here + 1))
    return YamlError("this cannot be read as YAML", None, (here, here + 1))


def _index(cause: Exception, name: str) -> int | None:
    index = getattr(getattr(cause, name, None), "index", None)
    return index if isinstance(index, int) else None


def _named(token: str) -> str:
    return _TOKENS.get(token, token)


# Pattern of the parser's words, our words, help, and whether the place is where the construct began.
_WORDS: tuple[tuple[str, str, str | None, bool], ...] = (
    (
        "mapping values are not allowed here",
        "mapping values are not allowed here: this colon makes a key of what stands before it",
        "quote the value if the colon is part of it; else check the indentation",
        False,
    ),
    (
        "sequence entries are not allowed here",
        "sequence entries are not allowed here: a list begins on a line of its own",
        "put the - on the next line, or quote the value if text is meant",
        False,
    ),
    (
        "mapping keys are not allowed here",
        "mapping keys are not allowed here: ? begins a key",
        _QUOTE,
        False,
    ),
    (
        "could not find expected ':'",
        "could not find expected ':' after this key",
        "write key: value; text that goes on from the line above is indented",
        True,
    ),
    (
        "expected <block end>, but found '(?P<found>[^']*)'",
        "the indentation fits no line above (expected <block end>, found {found})",
        "indent keys of one mapping, and items of one list, alike",
        False,
    ),
    (
        "found unexpected (?:end of stream|document separator)",
        "this {opening} is never closed",
        "close the quote",
        True,
    ),
    (
        "found unknown escape character",
        "this is no escape of double-quoted text",
        r"write \\ for a backslash, or use single quotes",
        False,
    ),
    (
        "expected escape sequence of",
        "hexadecimal digits are missing in this escape",
        r"write \\ for a backslash, or use single quotes",
        False,
    ),
    (
        "expected alphabetic or numeric character",
        "a name is expected after {opening}",
        _QUOTE,
        True,
    ),
    ("found undefined tag handle", "this tag's prefix has no meaning here", "remove the tag", False),
    (
        "expected (?:' '|'>'|'!'|URI|URI escape sequence)",
        "this is no tag",
        "put it in quotes if text is meant, else remove it",
        True,
    ),
    (
        "expected (?:indentation indicator|chomping)",
        "only + or - and a digit from 1 to 9 may follow {opening} on its line",
        "begin the text on the next line",
        True,
    ),
    (
        "expected a comment or a line break",
        "nothing may follow {opening} on its line",
        "begin the text on the next line",
        True,
    ),
    (
        "more indented follow up line",
        "a blank line above this text has spaces in it, fewer than the text",
        "remove the spaces of the blank line",
        False,
    ),
    (
        "expected the node content, but found '(?P<found>[^']*)'",
        "a value is expected here, found {found}",
        _QUOTE,
        False,
    ),
    (
        "expected '<document start>', but found",
        "this stands after the end of the document",
        "check the indentation; a file holds one mapping",
        False,
    ),
    (
        "found non-comment content after document end marker",
        "this stands after the end of the document",
        "remove the line with ...",
        False,
    ),
    ("found unexpected ':'", "a colon cannot stand here", _QUOTE, False),
)
