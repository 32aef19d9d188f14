"""A study as those see it who only look: which one a person names, and what has come of it so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pettingllms.config.load import choose, draft_experiment
from pettingllms.config.sweep import SweepConfig
from pettingllms.config.typed import type_cell
from pettingllms.documents.source import DocumentError, KeyPath
from pettingllms.errors import StudyError, UsageError
from pettingllms.sweep.ledger.rows import Row
from pettingllms.sweep.study.named import newest_study, study_base, study_called
from pettingllms.sweep.study.outcome import StudyOutcome, planned_trials
from pettingllms.sweep.study.shelves import Study, study_in


@dataclass(frozen=True, slots=True)
class Reading:
    """A study at one moment."""

    study: Study
    header: Mapping[str, Any]
    rows: Mapping[int, Row]
    sweep: SweepConfig

    @property
    def axes(self) -> tuple[KeyPath, ...]:
        """The swept paths, in the order of the file."""
        return tuple(tuple(path) for path in self.header.get("axes", ()))

    @property
    def outcome(self) -> StudyOutcome:
        """What has come of the cells that the space has now."""
        rows = tuple(row for _, row in sorted(self.rows.items()) if not row.outside)
        return StudyOutcome(
            self.study.name,
            self.study.folder,
            tuple(self.sweep.objectives),
            self.axes,
            planned_trials(rows, self.sweep),
            rows,
        )

    def row(self, number: int) -> Row:
        """The row of that number. Raises UsageError where there is none."""
        if number not in self.rows:
            there = f"it has {min(self.rows)} to {max(self.rows)}" if self.rows else "it has none yet"
            raise UsageError(
                f"study {self.study.name} has no trial {number}: {there}", help="`sweep status` lists them"
            )
        return self.rows[number]

    def folder_of(self, row: Row) -> Path | None:
        """The run folder of a row here, also where the study was moved; None where there is none."""
        if row.folder is None:
            return None
        places = (Path(row.folder), self.study.folder / Path(row.folder).name)
        return next((place for place in places if place.is_dir()), None)


def read_study(study: Study) -> Reading:
    """Look at a study. Raises StudyError where it cannot be read."""
    snapshot = study.ledger.read()
    try:
        sweep = SweepConfig.model_validate(snapshot.header.get("sweep"))
    except ValidationError as error:
        raise StudyError(
            f"the header of study {study.name} is damaged: {error.errors()[0]['msg']}",
            help="put back a copy, or use the version that wrote it",
        ) from None
    return Reading(study.at(snapshot.header), snapshot.header, snapshot.rows, sweep)


def named_study(named: Path, output: Path, storage: str | None = None) -> Study:
    """The study that a person names: by its folder, by its experiment's file, or in a database by its name.

    Raises StudyError where there is none, and UsageError where the file cannot be read.
    """
    if named.is_dir():
        return study_in(named)
    if storage is not None and not named.exists():
        found = study_called(str(named), output, storage)
        if found is not None:
            return found
    return newest_study(study_base(_experiment_name(named)), output, storage)


def _experiment_name(file: Path) -> str:
    try:
        draft = draft_experiment(file)
    except DocumentError as error:
        help_text = "name the folder of a study, or the file of its experiment"
        raise UsageError(f"{file}: {error}", help=help_text) from None
    config = None
    if draft.complete:
        config = type_cell(choose(draft, {axis.path: axis.default for axis in draft.axes})).config
    if config is None:
        raise UsageError(f"{file} is no experiment, or has faults", help=f"pettingllms lint {file}")
    return config.training.experiment_name
