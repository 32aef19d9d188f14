"""Results as plain data that JSON keeps, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pettingllms.documents.source import Change, Fix, Span
from pettingllms.lint.diagnostic import Diagnostic, Severity
from pettingllms.lint.files.checked import FileResult


def as_plain(result: FileResult) -> dict[str, Any] | None:
    """`result` without its path; None where JSON could not give it back."""
    plain = {
        "diagnostics": [_diagnostic(found) for found in result.diagnostics],
        "unchecked": list(result.unchecked),
        "cells": result.cells,
        "impossible": result.impossible,
        "reasons": result.reasons,
        "suppressed": result.suppressed,
    }
    return plain if _kept_by_json(plain) else None


def from_plain(path: Path, plain: dict[str, Any]) -> FileResult:
    """The result for `path`. Raises ValueError, LookupError, TypeError where `plain` is none."""
    return FileResult(
        path,
        tuple(_read_diagnostic(row) for row in plain["diagnostics"]),
        tuple(str(text) for text in plain["unchecked"]),
        int(plain["cells"]),
        int(plain["impossible"]),
        str(plain["reasons"]),
        int(plain["suppressed"]),
    )


def _diagnostic(found: Diagnostic) -> list[Any]:
    return [
        found.code,
        found.severity.value,
        found.message,
        found.file,
        found.line,
        found.column,
        found.path,
        found.help,
        found.end_column,
        found.source_line,
        None if found.fix is None else _fix(found.fix),
        found.included,
    ]


def _read_diagnostic(row: list[Any]) -> Diagnostic:
    code, severity, message, file, line, column, path, help_text, end, source, fix, included = row
    return Diagnostic(
        code,
        Severity(severity),
        message,
        file,
        line,
        column,
        path,
        help_text,
        end,
        source,
        None if fix is None else _read_fix(fix),
        str(included),
    )


def _fix(fix: Fix) -> list[Any]:
    return [fix.title, fix.safe, [_change(change) for change in fix.changes]]


def _read_fix(row: list[Any]) -> Fix:
    title, safe, changes = row
    return Fix(title, tuple(_read_change(change) for change in changes), safe)


def _change(change: Change) -> list[Any]:
    span = change.span
    where = None if span is None else [span.line, span.column, span.end_line, span.end_column]
    return [change.kind, list(change.path), change.value, list(change.to), where]


def _read_change(row: list[Any]) -> Change:
    kind, path, value, to, where = row
    return Change(kind, tuple(path), value, tuple(to), None if where is None else Span(*where))


def _kept_by_json(value: Any) -> bool:
    """True for data that is the same after it was written as JSON and read again."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _kept_by_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_kept_by_json(item) for item in value)
    if isinstance(value, float):
        return value - value == 0
    return value is None or type(value) in (str, int, bool)
