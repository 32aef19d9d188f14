"""A study: the cells of a grid, one trial each, recorded in an Optuna journal in the study's folder."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pettingllms.config.load import LoadedExperiment
from pettingllms.config.sweep import ObjectiveConfig
from pettingllms.documents.source import KeyPath, dotted
from pettingllms.errors import PettingLLMsError
from pettingllms.hiding import hidden
from pettingllms.lint.engine import CheckedCell
from pettingllms.space.cells import label
from pettingllms.sweep.folders import trial_folder
from pettingllms.sweep.runner import Status, TrialResult
from pettingllms.sweep.stopping import StopRequest
from pettingllms.sweep.trial import Trial, create_trial, shown

if TYPE_CHECKING:
    import optuna

LOCK_SECONDS = 30
"""After this time the journal's lock of a killed process is taken over."""
SOME_FAILED = 3


@dataclass(frozen=True, slots=True)
class FinishedTrial:
    """One row of the study. A complete one has an `objective`, any other a `reason`."""

    number: int
    values: Mapping[KeyPath, Any]
    folder: Path
    status: Status
    objective: float | None
    reason: str | None
    result: TrialResult


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """What a study found. `planned`: number of cells; fewer `trials` than that were run if it was stopped."""

    name: str
    folder: Path
    objective: ObjectiveConfig
    planned: int
    trials: tuple[FinishedTrial, ...]
    stopped_by: int | None

    @property
    def best(self) -> FinishedTrial | None:
        """The completed trial with the best objective, the first of equals."""
        sign = 1 if self.objective.direction == "maximize" else -1
        complete = [trial for trial in self.trials if trial.objective is not None]
        return max(complete, key=lambda trial: sign * (trial.objective or 0.0), default=None)

    @property
    def exit_code(self) -> int:
        """0 when all is complete, 128 + signal when the study was stopped before, 3 when a trial failed."""
        complete = sum(trial.status == "complete" for trial in self.trials)
        if complete == self.planned:
            return 0
        return SOME_FAILED if self.stopped_by is None else 128 + self.stopped_by


def run_study(
    experiment: LoadedExperiment,
    cells: Sequence[CheckedCell],
    folder: Path,
    stop: StopRequest,
    *,
    run: Callable[[Trial], TrialResult],
    on_trial: Callable[[FinishedTrial], None],
) -> StudyOutcome:
    """Run every cell in order, each in a run folder below `folder`, which exists and names the study.

    `on_trial` is told of each trial when it has ended. A failed trial is recorded with its reason and the
    study goes on; a stop request ends it after the trial that is running. The journal is
    `study.journal`: one Optuna trial per cell, with the folder and the reason as user attributes.
    """
    sweep = experiment.config.sweep
    objective = sweep.objectives[0] if sweep is not None else ObjectiveConfig()
    finished: list[FinishedTrial] = []
    with _quiet_optuna():
        study = _create_study(folder, objective)
        choices = _distributions(cells)
        for cell in cells:
            study.enqueue_trial(_labels(cell), user_attrs={"cell": cell.number})
        for _ in cells:
            if stop.signal is not None:
                break
            asked = study.ask(fixed_distributions=choices)
            cell = next(cell for cell in cells if cell.number == asked.user_attrs["cell"])
            title = _title(cell, len(finished) + 1, len(cells))
            try:
                trial = create_trial(experiment, cell, trial_folder(folder, cell.number), title)
                asked.set_user_attr("folder", str(trial.folder))
                row = _judge(trial, run(trial), objective.metric)
            except PettingLLMsError as error:
                # No trial can be started here: the others would fare the same.
                _tell_failed(study, asked, str(error))
                raise
            asked.set_user_attr("seconds", row.result.seconds)
            if row.objective is None:
                _tell_failed(study, asked, row.reason)
            else:
                study.tell(asked, row.objective)
            finished.append(row)
            on_trial(row)
    return StudyOutcome(folder.name, folder, objective, len(cells), tuple(finished), stop.signal)


def _judge(trial: Trial, result: TrialResult, metric: str) -> FinishedTrial:
    """A trial that ended well without a usable objective has failed all the same."""
    status, reason, objective = result.status, result.reason, None
    if status == "complete":
        value = result.metrics.get(metric)
        if value is None:
            known = ", ".join(sorted(result.metrics)) or "none"
            status, reason = "failed", f"the objective {metric} was never measured; measured: {known}"
        elif not math.isfinite(value):
            status, reason = "failed", f"the objective {metric} is {value}"
        else:
            objective = value
    return FinishedTrial(trial.number, trial.values, trial.folder, status, objective, reason, result)


def _create_study(folder: Path, objective: ObjectiveConfig) -> optuna.Study:
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage

    file = str(folder / "study.journal")
    lock = JournalFileOpenLock(file, grace_period=LOCK_SECONDS)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(file, lock_obj=lock)),
        study_name=folder.name,
        direction=objective.direction,
        # Every value of a grid is fixed beforehand: nothing is left to sample.
        sampler=optuna.samplers.RandomSampler(seed=0),
    )


def _tell_failed(study: optuna.Study, asked: optuna.Trial, reason: str | None) -> None:
    import optuna

    asked.set_user_attr("reason", reason and hidden(reason))
    study.tell(asked, state=optuna.trial.TrialState.FAIL)


def _labels(cell: CheckedCell) -> dict[str, Any]:
    return {dotted(path): label(value) for path, value in cell.values.items()}


def _distributions(cells: Sequence[CheckedCell]) -> dict[str, optuna.distributions.BaseDistribution]:
    """One categorical distribution per axis, its choices in the order in which the cells bring them."""
    from optuna.distributions import CategoricalDistribution

    choices: dict[str, list[Any]] = {}
    for cell in cells:
        for name, value in _labels(cell).items():
            known = choices.setdefault(name, [])
            if value not in known:
                known.append(value)
    return {name: CategoricalDistribution(values) for name, values in choices.items()}


def _title(cell: CheckedCell, position: int, count: int) -> str:
    names = short_names(cell.values)
    values = "  ".join(f"{names[path]}={shown(value)}" for path, value in cell.values.items())
    return f"trial {cell.number} ({position} of {count})" + (f"  {values}" if values else "")


def short_names(paths: Sequence[KeyPath] | Mapping[KeyPath, Any]) -> dict[KeyPath, str]:
    """For each path its shortest ending that no other path of `paths` has."""
    names = {}
    for path in paths:
        length = 1
        while length < len(path) and any(p != path and p[-length:] == path[-length:] for p in paths):
            length += 1
        names[path] = dotted(path[-length:])
    return names


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Optuna reports each trial and that journals are experimental; the study reports by itself."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
