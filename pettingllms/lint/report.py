"""What linting one file gives: diagnostics, and the experiment and its cells where it may run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.load import Draft, LoadedExperiment
from pettingllms.documents.source import KeyPath
from pettingllms.lint.diagnostic import Diagnostic, Severity
from pettingllms.lint.rule import RULES
from pettingllms.space.cells import Cell

USAGE_CODES = ("PLM002",)


def refuses(diagnostic: Diagnostic) -> bool:
    """True where no run starts with it: an error, or what this version cannot do, unless it is dropped."""
    if diagnostic.severity is Severity.INFO:
        return False
    return diagnostic.severity is Severity.ERROR or RULES[diagnostic.code].blocks


@dataclass(frozen=True, slots=True)
class CheckedCell:
    """One valid cell of the grid; `stored` is its resolved tree as it may be written to files."""

    number: int
    values: Mapping[KeyPath, Any]
    config: ExperimentConfig
    stored: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of a sweep after the proof.

    `runnable`: those that no diagnostic of their own refuses. `impossible`: the others, each with the
    diagnostics that say why. `common`: those that refuse all cells alike. `excluded`: cells that a
    constraint leaves out. `complete` is False where the space is endless or too large, so that only its
    corners and a sample were proved.
    """

    runnable: tuple[Cell, ...] = ()
    impossible: tuple[tuple[Cell, tuple[Diagnostic, ...]], ...] = ()
    excluded: tuple[Cell, ...] = ()
    complete: bool = True
    common: tuple[Diagnostic, ...] = ()

    @property
    def checked(self) -> int:
        """How many were proved."""
        return len(self.runnable) + len(self.impossible)


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in one file.

    `experiment` is there only where a run may start. `draft` is there where the file could be read.
    `unchecked`: what could not be checked, and why, in words.
    """

    diagnostics: tuple[Diagnostic, ...]
    experiment: LoadedExperiment | None = None
    cells: Cells = Cells()
    draft: Draft | None = None
    unchecked: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """True where no run starts: an error, or something that this version cannot do."""
        return any(map(refuses, self.diagnostics))

    def exit_code(self, fail_on: Severity = Severity.WARNING) -> int:
        """0 clean, 1 with a diagnostic at or above `fail_on`, 2 where the file could not be read."""
        if any(found.code in USAGE_CODES for found in self.diagnostics):
            return 2
        return int(any(found.severity.rank >= fail_on.rank for found in self.diagnostics))
