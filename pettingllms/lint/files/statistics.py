"""How often each rule was broken: a small table for people who look at many files at once."""

from __future__ import annotations

from collections.abc import Sequence

from pettingllms.lint.diagnostic import Diagnostic
from pettingllms.lint.formats.parts import rule_name


def statistics(diagnostics: Sequence[Diagnostic]) -> str:
    """Lines of count, code, fixable mark and name, the most frequent first; empty for no diagnostics.

    The mark is `[*]` where every finding has a safe fix and `[-]` where some have one.
    """
    found: dict[str, list[Diagnostic]] = {}
    for diagnostic in diagnostics:
        found.setdefault(diagnostic.code, []).append(diagnostic)
    rows = sorted(found.items(), key=lambda row: (-len(row[1]), row[0]))
    width = len(str(len(rows[0][1]))) if rows else 0
    return "".join(
        f"{len(faults):>{width}}  {code}  {_mark(faults)}  {rule_name(code) or ''}".rstrip() + "\n"
        for code, faults in rows
    )


def _mark(diagnostics: Sequence[Diagnostic]) -> str:
    fixable = [one for one in diagnostics if one.fix is not None and one.fix.safe]
    return "[*]" if len(fixable) == len(diagnostics) else "[-]" if fixable else "   "
