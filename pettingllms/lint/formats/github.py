"""Diagnostics as workflow commands, which GitHub Actions shows beside the changed lines."""

from __future__ import annotations

from collections.abc import Sequence

from pettingllms.lint.diagnostic import Diagnostic, Severity
from pettingllms.lint.formats.parts import is_file, posix, title, words

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = {**_DATA, **str.maketrans({":": "%3A", ",": "%2C"})}


def format_github(diagnostics: Sequence[Diagnostic], _files: Sequence[str] = ()) -> str:
    """Lines `::error file=…,line=…,col=…,endColumn=…,title=…::message`; the help is a second line of it."""
    return "".join(_command(diagnostic) for diagnostic in diagnostics)


def _command(diagnostic: Diagnostic) -> str:
    properties: dict[str, str | int] = {}
    if is_file(diagnostic.file):
        properties = {
            "file": posix(diagnostic.file),
            "line": diagnostic.line,
            "col": diagnostic.column,
            "endColumn": diagnostic.end_column,
        }
    properties["title"] = title(diagnostic.code)
    written = ",".join(f"{key}={str(value).translate(_PROPERTY)}" for key, value in properties.items())
    return f"::{_COMMANDS[diagnostic.severity]} {written}::{words(diagnostic).translate(_DATA)}\n"
