"""Diagnostics for programs: one JSON list of objects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pettingllms.lint.diagnostic import Diagnostic
from pettingllms.lint.formats.parts import rule_name

KEYS = ("code", "severity", "message", "file", "line", "column", "path", "help", "end_column", "included")


def format_json(diagnostics: Sequence[Diagnostic], _files: Sequence[str] = ()) -> str:
    """A list of objects with the keys `KEYS`, `name` (the rule's) and `fix`.

    `help` is null where there is none; `included` says how the file came to be read, if by another one;
    `fix` is `{"title": …, "safe": …}` or null.
    """
    return json.dumps([_row(one) for one in diagnostics], indent=2, ensure_ascii=False) + "\n"


def _row(diagnostic: Diagnostic) -> dict[str, Any]:
    fix = diagnostic.fix
    return {
        **{key: getattr(diagnostic, key) for key in KEYS},
        "name": rule_name(diagnostic.code),
        "fix": {"title": fix.title, "safe": fix.safe} if fix else None,
    }
