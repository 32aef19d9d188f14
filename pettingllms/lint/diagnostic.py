"""Severity and diagnostic: a finding with its code, severity and place."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from pettingllms.documents.source import Fix


class Severity(StrEnum):
    """How bad a diagnostic is."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for info, 2 for error."""
        return ("info", "warning", "error").index(self.value)


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One fault of one file. Lines and columns are 1-based, in characters.

    `path`: the dotted key path, empty where the fault is the file's own.
    `end_column`: exclusive end of the stretch on `line`. `source_line`: that line's text.
    `fix`: how it can be mended, where that is known. `included`: how the file came to be read, in words;
    the same fault is the same diagnostic whoever includes the file.
    """

    code: str
    severity: Severity
    message: str
    file: str
    line: int
    column: int
    path: str
    help: str | None
    end_column: int
    source_line: str
    fix: Fix | None = field(default=None, compare=False)
    included: str = field(default="", compare=False)

    @property
    def words(self) -> str:
        """The message, and how the file came to be read."""
        return f"{self.message}; included from {self.included}" if self.included else self.message
