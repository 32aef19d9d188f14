"""Diagnostics as GitLab's Code Quality report, which merge requests show."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pettingllms.lint.diagnostic import Diagnostic, Severity
from pettingllms.lint.formats.fingerprint import unique_fingerprints
from pettingllms.lint.formats.parts import posix, words

_SEVERITIES = {Severity.ERROR: "major", Severity.WARNING: "minor", Severity.INFO: "info"}


def format_gitlab(diagnostics: Sequence[Diagnostic], _files: Sequence[str] = ()) -> str:
    """A list of objects with description, check name, fingerprint, severity and place."""
    rows = [
        {
            "description": words(diagnostic, "; "),
            "check_name": diagnostic.code,
            "fingerprint": fingerprint,
            "severity": _SEVERITIES[diagnostic.severity],
            "location": {"path": posix(diagnostic.file), "lines": {"begin": diagnostic.line}},
        }
        for diagnostic, fingerprint in zip(diagnostics, unique_fingerprints(diagnostics), strict=True)
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
