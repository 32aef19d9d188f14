"""What `sweep run` and `sweep worker` do: check everything first, open the study, work at it, then report."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from pettingllms.agents.sandboxed import require_sandbox
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.load import Draft, LoadedExperiment
from pettingllms.config.sweep import SweepConfig
from pettingllms.errors import UsageError
from pettingllms.lint.engine import checked_cells
from pettingllms.lint.facts import Facts
from pettingllms.sweep import report
from pettingllms.sweep.books import REFUSED, Books
from pettingllms.sweep.launcher import Launcher, ProcessLauncher
from pettingllms.sweep.slots import Slot, divide, usable_core_numbers, visible_gpus
from pettingllms.sweep.start import Asked, require_machine, warned
from pettingllms.sweep.stopping import StopRequest
from pettingllms.sweep.study.cells import StudyCells
from pettingllms.sweep.study.named import Study, open_or_create
from pettingllms.sweep.study.opening import OpenStudy, advised
from pettingllms.sweep.study.outcome import StudyOutcome
from pettingllms.sweep.study.reading import read_study
from pettingllms.sweep.study.view import choose_study_view
from pettingllms.sweep.worker import LEASE_SECONDS, Ended, Worker, WorkerOptions

_log = logging.getLogger(__name__)
LEAST_LEASE, LONGEST_LEASE = 2.0, 86400.0


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """How a study is worked at. `storage`: where it is kept, None for its folder below `output`."""

    output: Path = Path("outputs")
    storage: str | None = None
    jobs: int = 1
    lease: float = LEASE_SECONDS
    fail_fast: bool = False
    new_study: bool = False
    extend: bool = False

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise UsageError(f"--jobs {self.jobs}: at least one trial runs at a time")
        if self.lease < LEAST_LEASE:
            raise UsageError(
                f"--lease {self.lease:g}: it lasts {LEAST_LEASE:g} seconds at least, to be renewed in time"
            )
        # Not a number is not in between either.
        if not self.lease <= LONGEST_LEASE:
            raise UsageError(
                f"--lease {self.lease:g}: it lasts {LONGEST_LEASE:g} seconds at most",
                help="for so long nobody takes over the cells of a worker that was killed",
            )
        if self.new_study and self.extend:
            raise UsageError(
                "--new-study starts another study, and --extend goes on with one: take one of them"
            )
        if self.jobs > 1 and self.storage is not None and self.storage.startswith("sqlite"):
            raise UsageError(
                f"--jobs {self.jobs} on SQLite: its file has one lock for all, and trials would wait for it",
                help="leave out --storage: the study's folder takes any number of workers; or use PostgreSQL",
            )


Launchers = Callable[[LoadedExperiment, StopRequest], AbstractContextManager[Launcher]]
"""What makes the launcher of a worker."""


def start_sweep(
    asked: Asked, options: SweepOptions, *, as_json: bool, launcher: Launchers = ProcessLauncher
) -> int:
    """Run a study until all its cells have ended, or go on with it; returns the exit status.

    An error in any cell refuses the whole study, unless such cells are dropped. Diagnostics and failures go
    to standard error, the table of trials to standard output. Raises RefusedError when this machine cannot
    run it, and where the study that is there is another one.
    """
    return _work(asked, options, launcher, create=True, as_json=as_json)


def join_sweep(
    asked: Asked, options: SweepOptions, *, as_json: bool, launcher: Launchers = ProcessLauncher
) -> int:
    """As `start_sweep`, for a study that `sweep run` has started, here or on another machine."""
    return _work(asked, options, launcher, create=False, as_json=as_json)


def _work(asked: Asked, options: SweepOptions, launchers: Launchers, *, create: bool, as_json: bool) -> int:
    facts, slots = _divided(options.jobs)
    checked = asked.checked(facts)
    experiment, draft = checked.experiment, checked.draft
    if checked.refused or experiment is None or draft is None:
        return max(checked.exit_code(), 1)
    configs = [experiment.config, *(cell.config for cell in checked_cells(checked))]
    said = require_machine(configs, options.output, study=True)
    weak = require_sandbox(configs)
    said |= warned(weak)
    study = open_or_create(
        checked,
        output=options.output,
        storage=options.storage,
        overlays=asked.overlays,
        new_study=options.new_study,
        may_extend=options.extend,
        create=create,
    )
    sys.stderr.writelines(f"{note}\n" for note in study.notes)
    place = _Place(facts, slots, launchers, said)
    with advised(study, draft, experiment.config.sweep or SweepConfig()) as opened:
        outcome = _run(experiment, draft, opened, options, place)
    if as_json:
        report.write_json(report.study_json(outcome) | report.sandbox_json(weak), sys.stdout)
    else:
        report.show_sandbox(weak, sys.stdout)
        report.show_study(outcome, sys.stdout)
    return outcome.exit_code


def _divided(jobs: int) -> tuple[Facts, list[Slot]]:
    """The slots of this machine, and the facts of the smallest of them."""
    facts = Facts.here()
    gpus = visible_gpus(facts.gpus or 0)
    slots = divide(jobs, gpus, usable_core_numbers())
    return replace(facts, gpus=len(gpus) // jobs if facts.gpus is not None else None), slots


@dataclass(frozen=True, slots=True)
class _Place:
    """Where trials run: the facts of a slot, the slots, what starts trials there, and what was warned of."""

    facts: Facts
    slots: Sequence[Slot]
    launchers: Launchers
    said: set[str]


def _run(
    experiment: LoadedExperiment,
    draft: Draft,
    opened: OpenStudy,
    options: SweepOptions,
    place: _Place,
) -> StudyOutcome:
    """Work at the study; what it has come to then."""
    sweep = experiment.config.sweep or SweepConfig()
    study = opened.study
    before = read_study(study).outcome
    planned, ended = before.planned, before.ended
    if ended:
        sys.stderr.write(_goes_on(study, ended, planned))
    name = f"{socket.gethostname()}:{os.getpid()}"
    cells = StudyCells(draft, place.facts)
    books = Books(study, opened.advisor, cells, sweep, name=name, lease=options.lease)
    stopped_by, budget = None, None
    if ended < planned:
        view = choose_study_view(
            study.name,
            sweep.objectives[0].metric,
            said=place.said,
            jobs=options.jobs,
            planned=planned,
            quiet=not _log.isEnabledFor(logging.WARNING),
        )
        with StopRequest() as stop, place.launchers(experiment, stop) as launcher:
            gpus = _gpus_of(experiment.config, place.facts)
            settings = WorkerOptions(options.lease, gpus, options.fail_fast)
            worker = Worker(books, launcher, place.slots, stop, view, sweep, settings, _show_ended)
            try:
                worker.run()
            finally:
                view.close()
            stopped_by, budget = stop.signal, worker.budget
    found = read_study(study)
    refused = found.header.get(REFUSED, 0)
    return replace(found.outcome, stopped_by=stopped_by, budget=budget, refused=refused)


def _goes_on(study: Study, ended: int, planned: int) -> str:
    if ended < planned:
        return f"study {study.name} goes on: {ended} of {planned} trials have ended\n"
    return (
        f"study {study.name} has ended; --new-study starts another, `sweep retry` tries what failed again\n"
    )


def _gpus_of(config: ExperimentConfig, facts: Facts) -> int:
    return 0 if config.training.device == "cpu" else facts.gpus or 0


def _show_ended(ended: Ended) -> None:
    row, result = ended.row, ended.result
    folder = Path(row.folder or "")
    log = result.log_path if result is not None else folder / "log.txt"
    name = f"trial {row.number}"
    if ended.tried_again:
        report.show_failure(name, row.reason, log, sys.stderr)
        sys.stderr.write(f"{name} is tried again from its newest checkpoint ({row.cause})\n")
    elif row.state == "failed":
        report.show_failure(name, row.reason, log, sys.stderr)
    elif row.state == "pruned":
        sys.stderr.write(f"{name} pruned: {row.reason}\n")
    elif row.state == "waiting":
        report.show_interruption(result.checkpoint if result is not None else None, folder, sys.stderr)
