"""Lines and items of a text that is edited by position."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, field

from pettingllms.documents.source import Span

_BLANKS_AND_COMMENTS = re.compile(r"(?:\s+|#[^\n]*)*")
_BLANKS = re.compile(r"[ \t]*")


@dataclass(slots=True)
class Layout:
    """A text by lines; `eol` is what its lines end with."""

    text: str
    starts: list[int] = field(init=False)
    eol: str = field(init=False)

    def __post_init__(self) -> None:
        self.starts = [0, *(match.end() for match in re.finditer("\n", self.text))]
        self.eol = "\r\n" if "\r\n" in self.text else "\n"

    def offsets(self, span: Span) -> tuple[int, int]:
        """Where `span` begins and ends in the text."""
        return (
            self.starts[span.line - 1] + span.column - 1,
            self.starts[span.end_line - 1] + span.end_column - 1,
        )

    def cut(self, span: Span) -> str:
        """The characters of `span`."""
        start, end = self.offsets(span)
        return self.text[start:end]

    def line_at(self, offset: int) -> int:
        """The number of the line that holds `offset`."""
        return bisect.bisect_right(self.starts, offset)

    def line(self, number: int) -> str:
        """Line `number` (1-based) without its line end; empty where there is none."""
        if not 0 < number <= len(self.starts):
            return ""
        end = self.starts[number] if number < len(self.starts) else len(self.text)
        return self.text[self.starts[number - 1] : end].rstrip("\r\n")

    def indent(self, number: int) -> str:
        """The blanks that line `number` begins with."""
        line = self.line(number)
        return line[: len(line) - len(line.lstrip(" \t"))]

    def is_comment(self, number: int) -> bool:
        """True where line `number` holds a comment and nothing else."""
        return self.line(number).lstrip().startswith("#")

    def is_blank(self, number: int) -> bool:
        """True where line `number` holds nothing; the lines before the first and after the last do."""
        return not self.line(number).strip()

    def replaced(self, start: int, end: int, new: str) -> str:
        """The text with `new` in the place of the characters from `start` to `end`."""
        return self.text[:start] + new + self.text[end:]

    def with_lines(self, after: int, lines: list[str]) -> str:
        """The text with `lines` behind line `after`; 0 puts them first."""
        block = "".join(line + self.eol for line in lines)
        if after < len(self.starts):
            return self.replaced(self.starts[after], self.starts[after], block)
        before = self.eol if self.line(len(self.starts)) else ""
        # The last line has no end; the text keeps that habit.
        return self.text + before + block.removesuffix(self.eol) if before else self.text + block

    def without_lines(self, first: int, last: int) -> str:
        """The text without the lines from `first` to `last`; two blank lines that then meet become one."""
        if self.is_blank(first - 1) and self.is_blank(last + 1):
            if any(not self.is_blank(number) for number in range(last + 1, len(self.starts) + 1)):
                last += 1
            elif first > 1:
                first -= 1
        end = self.starts[last] if last < len(self.starts) else len(self.text)
        return self.replaced(self.starts[first - 1], end, "")


def with_item(layout: Layout, opening: int, closing: int, last_end: int | None, new: str) -> str:
    """The text with the item `new` behind the last one of a list or table in brackets.

    `opening` and `closing` are the offsets of the brackets, `last_end` the end of the last item.
    """
    text = layout.text
    if last_end is None:
        padding = " " if text[opening] == "{" else ""
        if not text[opening + 1 : closing].strip():
            return layout.replaced(opening + 1, closing, padding + new + padding)
        return layout.replaced(opening + 1, opening + 1, new)
    comma = _BLANKS_AND_COMMENTS.match(text, last_end)
    behind = comma.end() if comma else last_end
    has_comma = text[behind : behind + 1] == ","
    if "\n" not in text[last_end:closing]:
        if has_comma:
            return layout.replaced(behind + 1, behind + 1, f" {new},")
        return layout.replaced(last_end, last_end, f", {new}")
    # One item a line: the new one gets its own, behind the last item's comment.
    last_line = layout.line_at(behind if has_comma else last_end)
    line_end = layout.starts[last_line - 1] + len(layout.line(last_line))
    line = layout.eol + layout.indent(layout.line_at(last_end)) + new
    if has_comma:
        return layout.replaced(line_end, line_end, line + ",")
    return text[:last_end] + "," + text[last_end:line_end] + line + text[line_end:]


def without_item(layout: Layout, opening: int, closing: int, start: int, end: int) -> str:
    """The text without the item from `start` to `end` of a list or table in brackets."""
    text = layout.text
    gap = _BLANKS_AND_COMMENTS.match(text, end)
    behind = gap.end() if gap else end
    first, last = layout.line_at(start), layout.line_at(end)
    line_rest = layout.line(last)[end - layout.starts[last - 1] :]
    if not layout.text[layout.starts[first - 1] : start].strip() and re.fullmatch(
        r"\s*,?\s*(#.*)?", line_rest
    ):
        # It has its lines to itself; its comment goes with it.
        return layout.without_lines(first, last)
    if text[behind] == "," and (rest := _BLANKS.match(text, behind + 1)):
        if rest.end() < closing:
            return layout.replaced(start, rest.end(), "")
        end = behind + 1
    before = text[opening + 1 : start].rstrip()
    if before.endswith(","):
        return layout.replaced(opening + len(before), end, "")
    alone = not before and not text[end:closing].strip()
    return layout.replaced(opening + 1, closing, "") if alone else layout.replaced(start, end, "")
