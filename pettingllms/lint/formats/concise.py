"""Diagnostics one a line, for editors and grep."""

from __future__ import annotations

from collections.abc import Sequence

from pettingllms.lint.diagnostic import Diagnostic


def format_concise(diagnostics: Sequence[Diagnostic]) -> str:
    """Lines `file:line:column: severity[code] message`."""
    return "".join(
        f"{d.file}:{d.line}:{d.column}: {d.severity}[{d.code}] {' '.join(d.message.split())}\n"
        for d in diagnostics
    )
