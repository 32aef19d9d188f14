"""Diagnostics for programs: one JSON list of objects."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pettingllms.lint.diagnostic import Diagnostic

KEYS = ("code", "severity", "message", "file", "line", "column", "path", "help")


def format_json(diagnostics: Sequence[Diagnostic]) -> str:
    """A list of objects with the keys `KEYS`; `help` is null where there is none."""
    rows = [{key: getattr(diagnostic, key) for key in KEYS} for diagnostic in diagnostics]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
