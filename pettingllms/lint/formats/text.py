"""Diagnostics for people: the line, a caret, the cause and what to do."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from typing import TextIO

from pettingllms.lint.diagnostic import Diagnostic, Severity
from pettingllms.lint.formats.parts import printable

MAX_WIDTH = 160
_COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.INFO: "36"}


def format_text(diagnostics: Sequence[Diagnostic], _files: Sequence[str] = ()) -> str:
    """Blocks of a compiler's form, without colour; empty for no diagnostics."""
    return "".join(_block(diagnostic, colour=False) for diagnostic in diagnostics)


def format_coloured(diagnostics: Sequence[Diagnostic]) -> str:
    """The same with ANSI colours."""
    return "".join(_block(diagnostic, colour=True) for diagnostic in diagnostics)


def write_before_run(diagnostics: Sequence[Diagnostic], asked: Sequence[str], stream: TextIO) -> None:
    """Write to `stream` what a run begins with: errors and warnings, and of infos how many there are.

    `asked`: the words behind `pettingllms lint` that show all.
    """
    shown = [one for one in diagnostics if one.severity is not Severity.INFO]
    stream.write(format_coloured(shown) if wants_colour(stream) else format_text(shown))
    codes = [one.code for one in diagnostics if one.severity is Severity.INFO]
    if codes:
        what = f"{len(codes)} finding{'s' if len(codes) > 1 else ''} ({', '.join(dict.fromkeys(codes))})"
        all_of_it = shlex.join(["pettingllms", "lint", *asked])
        stream.write(f"info: {what}; `{all_of_it}` shows {'them' if len(codes) > 1 else 'it'}\n")


def wants_colour(stream: TextIO) -> bool:
    """True where `stream` is a terminal and `NO_COLOR` is not set."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def _block(diagnostic: Diagnostic, *, colour: bool) -> str:
    def paint(text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if colour else text

    hue = _COLOURS[diagnostic.severity]
    head = paint(f"{diagnostic.severity}[{diagnostic.code}]", f"1;{hue}")
    number = str(diagnostic.line)
    margin, bar = " " * len(number), paint("|", "34")
    lines = [
        f"{head}: {paint(printable(diagnostic.words), '1')}",
        f"{margin}{paint('-->', '34')} {diagnostic.file}:{diagnostic.line}:{diagnostic.column}",
    ]
    if diagnostic.source_line.strip():
        text, before, length = _excerpt(diagnostic)
        lines += [
            f"{margin} {bar}",
            f"{paint(number, '34')} {bar} {text}",
            f"{margin} {bar} {before}{paint('^' * length, hue)}",
        ]
    if diagnostic.help:
        lines.append(f"{margin} {paint('=', '34')} help: {printable(diagnostic.help)}")
    return "\n".join(lines) + "\n\n"


def _excerpt(diagnostic: Diagnostic) -> tuple[str, str, int]:
    """The source line, cut around the fault where it is long; blanks up to the caret; caret length."""
    line, start, end = diagnostic.source_line, diagnostic.column - 1, diagnostic.end_column - 1
    cut = max(0, start - MAX_WIDTH // 2) if len(line) > MAX_WIDTH else 0
    line, start, end = line[cut : cut + MAX_WIDTH], start - cut, min(end - cut, MAX_WIDTH)
    before = "".join("\t" if character == "\t" else " " for character in line[:start].ljust(start))
    return printable(line, keep="\t"), before, max(end - start, 1)
