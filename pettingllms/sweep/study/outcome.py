"""What came of a study: its rows, the best of them, and the exit code of the command that ran it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pettingllms.config.sweep import ObjectiveConfig, SweepConfig
from pettingllms.documents.source import KeyPath, dotted
from pettingllms.sweep.ledger.rows import ENDED, Row

SOME_FAILED = 3


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """A study as it is when a command that ran it ends.

    `paths`: the axes. `planned`: how many trials it has in all. `stopped_by`: the signal that ended the
    command before that, if one did; `budget`: what was used up, if something was. `refused`: proposals of the
    sampler that the linter refused.
    """

    name: str
    folder: Path
    objectives: tuple[ObjectiveConfig, ...]
    paths: tuple[KeyPath, ...]
    planned: int
    rows: tuple[Row, ...]
    stopped_by: int | None = None
    budget: str | None = None
    refused: int = 0

    @property
    def started(self) -> tuple[Row, ...]:
        """The rows that were ever started."""
        return tuple(row for row in self.rows if row.attempt > 0)

    @property
    def ended(self) -> int:
        """How many trials have ended."""
        return sum(row.state in ENDED for row in self.rows)

    @property
    def best(self) -> Row | None:
        """The completed trial with the best objective, the first of equals; None with several objectives."""
        if len(self.objectives) > 1:
            return None
        sign = 1 if self.objectives[0].direction == "maximize" else -1
        complete = [row for row in self.rows if row.objectives and not row.outside]
        return max(complete, key=lambda row: sign * (row.objectives or (0.0,))[0], default=None)

    @property
    def front(self) -> tuple[Row, ...]:
        """The completed trials that no other one beats in every objective at once."""
        points = [(row, self._signed(row)) for row in self.rows if row.objectives and not row.outside]
        return tuple(row for row, own in points if not any(_beats(point, own) for _, point in points))

    @property
    def exit_code(self) -> int:
        """128 + signal when the study was stopped before its end, else 3 when a trial failed, else 0."""
        if self.stopped_by is not None and self.ended < self.planned:
            return 128 + self.stopped_by
        return SOME_FAILED if any(row.state == "failed" for row in self.rows) else 0

    def _signed(self, row: Row) -> tuple[float, ...]:
        signs = [1 if one.direction == "maximize" else -1 for one in self.objectives]
        return tuple(sign * value for sign, value in zip(signs, row.objectives or (), strict=True))


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def planned_trials(rows: Iterable[Row], sweep: SweepConfig) -> int:
    """How many trials a study has in all; cells that its space does not have any more are none of them."""
    inside = sum(not row.outside for row in rows)
    return inside if sweep.sampler == "grid" else max(sweep.trials, inside)


def measured_objectives(
    metrics: Mapping[str, float], objectives: Sequence[ObjectiveConfig]
) -> tuple[float, ...] | str:
    """The objectives among the last values of a trial; else why a trial that ended well has failed."""
    for objective in objectives:
        value = metrics.get(objective.metric)
        if value is None:
            known = ", ".join(sorted(metrics)) or "none"
            return f"the objective {objective.metric} was never measured; measured: {known}"
        if not math.isfinite(value):
            return f"the objective {objective.metric} is {value}"
    return tuple(metrics[objective.metric] for objective in objectives)


def short_names(paths: Sequence[KeyPath] | Mapping[KeyPath, Any]) -> dict[KeyPath, str]:
    """For each path its shortest ending that no other path of `paths` has."""
    names = {}
    for path in paths:
        length = 1
        while length < len(path) and any(p != path and p[-length:] == path[-length:] for p in paths):
            length += 1
        names[path] = dotted(path[-length:])
    return names
