"""Positions of every key and value in a TOML text that `tomllib` has accepted."""

from __future__ import annotations

import re
import tomllib

from pettingllms.documents.source import KeyPath, Lines, Span

MAX_DEPTH = 64
Spans = dict[KeyPath, tuple[Span, Span]]

BLANK = re.compile(r"[ \t]*")
_BLANKS_AND_COMMENTS = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{1,2})?'
    r"|'''.*?'''(?:'{1,2})?"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
SCALAR = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:[0-9:.]+(?:[Zz]|[+-]\d\d:\d\d)?)?|[^\s,\]}#]+")


class TooDeepError(Exception):
    """A value is nested, or a key dotted, more than `MAX_DEPTH` levels deep."""

    def __init__(self, span: Span) -> None:
        super().__init__()
        self.span = span


class DuplicateKeyError(Exception):
    """One key is written twice."""

    def __init__(self, path: KeyPath, first: Span, second: Span) -> None:
        super().__init__()
        self.path, self.first, self.second = path, first, second


def scan(text: str) -> Spans:
    """Return the spans of key and value for every key path of `text`; items of lists have equal ones.

    `text` must be valid TOML. Raises TooDeepError and DuplicateKeyError.
    """
    return _Scanner(text).run()


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.spans: Spans = {}
        self.span = Lines(text).span
        self.last_item: dict[KeyPath, int] = {}
        self.declared: dict[KeyPath, Span] = {}

    def run(self) -> Spans:
        table: KeyPath = ()
        self.skip(_BLANKS_AND_COMMENTS)
        while self.position < len(self.text):
            if self.text[self.position] == "[":
                table = self.header()
            else:
                self.pair(table)
            self.skip(_BLANKS_AND_COMMENTS)
        return self.spans

    def skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.position)
        self.position = match.end() if match else self.position

    def header(self) -> KeyPath:
        start = self.position
        double = self.text.startswith("[[", start)
        self.position += 2 if double else 1
        keys = self.keys()
        self.position += 2 if double else 1
        whole = self.span(start, self.position)
        path: KeyPath = ()
        for index, (key, span) in enumerate(keys):
            path = (*path, key)
            last = index == len(keys) - 1
            self.spans.setdefault(path, (span, whole))
            if double and last:
                self.last_item[path] = self.last_item.get(path, -1) + 1
            if path in self.last_item:
                path = (*path, self.last_item[path])
                self.spans.setdefault(path, (span, whole))
            elif last:
                self.declare(path, span)
                self.spans[path] = (span, whole)
        return path

    def declare(self, path: KeyPath, span: Span) -> None:
        if path in self.declared:
            raise DuplicateKeyError(path, self.declared[path], span)
        self.declared[path] = span

    def keys(self) -> list[tuple[str, Span]]:
        """Read a dotted key, up to what follows it."""
        found: list[tuple[str, Span]] = []
        while True:
            self.skip(BLANK)
            match = KEY.match(self.text, self.position)
            if match is None:
                raise ValueError("not a key")
            word = match.group()
            self.position = match.end()
            if word[0] in "\"'":
                word = next(iter(tomllib.loads(f"{word}=0")))
            found.append((word, self.span(*match.span())))
            self.check_depth(len(found))
            self.skip(BLANK)
            if self.text[self.position : self.position + 1] != ".":
                return found
            self.position += 1

    def check_depth(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise TooDeepError(self.span(self.position - 1, self.position))

    def pair(self, table: KeyPath) -> None:
        path = table
        keys = self.keys()
        self.position += 1  # the equals sign
        self.skip(BLANK)
        for key, span in keys:
            path = (*path, key)
            if span is not keys[-1][1]:
                self.spans.setdefault(path, (span, span))
        self.declare(path, keys[-1][1])
        self.spans[path] = (keys[-1][1], self.value(path))

    def value(self, path: KeyPath) -> Span:
        """Read one value and record what it holds; return its span."""
        self.check_depth(len(path))
        start = self.position
        opening = self.text[start]
        if opening == "[":
            self.array(path)
        elif opening == "{":
            self.inline_table(path)
        else:
            match = (STRING if opening in "\"'" else SCALAR).match(self.text, start)
            if match is None:
                raise ValueError("not a value")
            self.position = match.end()
        return self.span(start, self.position)

    def array(self, path: KeyPath) -> None:
        self.position += 1
        index = 0
        self.skip(_BLANKS_AND_COMMENTS)
        while self.text[self.position] != "]":
            item = (*path, index)
            span = self.value(item)
            self.spans[item] = (span, span)
            index += 1
            self.separator()
        self.position += 1

    def inline_table(self, path: KeyPath) -> None:
        self.position += 1
        self.skip(_BLANKS_AND_COMMENTS)
        while self.text[self.position] != "}":
            self.pair(path)
            self.separator()
        self.position += 1

    def separator(self) -> None:
        self.skip(_BLANKS_AND_COMMENTS)
        if self.text[self.position] == ",":
            self.position += 1
            self.skip(_BLANKS_AND_COMMENTS)
