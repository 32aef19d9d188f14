"""What checking many files takes, and what it gives for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pettingllms.documents.files import UNREADABLE
from pettingllms.lint.diagnostic import Diagnostic

if TYPE_CHECKING:
    from pettingllms.lint.facts import Facts


@dataclass(frozen=True, slots=True)
class Named:
    """A file to check. `text` stands in its place where it is not read from `path`."""

    path: Path
    text: str | None = None


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """How files are checked.

    `jobs`: the most processes; None is as many as pay. `cached`: results of former runs may be used.
    """

    overrides: tuple[str, ...] = ()
    overlays: tuple[Path, ...] = ()
    facts: Facts | None = None
    drop_invalid: bool = False
    jobs: int | None = None
    cached: bool = False


@dataclass(frozen=True, slots=True)
class FileResult:
    """What was found in one file.

    `unchecked`: what could not be checked, in words. `cells`: how many of its sweep were checked,
    `impossible` how many of them have an error, `reasons` by which rules. `suppressed`: how many
    findings its comments switch off. `crash`: why the linter itself failed on it, in one line.
    """

    path: Path
    diagnostics: tuple[Diagnostic, ...] = ()
    unchecked: tuple[str, ...] = ()
    cells: int = 0
    impossible: int = 0
    reasons: str = ""
    suppressed: int = 0
    crash: str | None = None
    traceback: str = ""

    @property
    def failed(self) -> bool:
        """True where the file could not be checked at all."""
        return self.crash is not None or any(found.code == UNREADABLE for found in self.diagnostics)
