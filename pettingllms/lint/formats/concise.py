"""Diagnostics one a line, for editors and grep."""

from __future__ import annotations

from collections.abc import Sequence

from pettingllms.lint.diagnostic import Diagnostic
from pettingllms.lint.formats.parts import one_line


def format_concise(diagnostics: Sequence[Diagnostic], _files: Sequence[str] = ()) -> str:
    """Lines `file:line:column: severity[code] message`."""
    return "".join(
        f"{d.file}:{d.line}:{d.column}: {d.severity}[{d.code}] {one_line(d.words)}\n" for d in diagnostics
    )
