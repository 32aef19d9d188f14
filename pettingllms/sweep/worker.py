"""A worker of a study: claims cells, runs their trials side by side, and writes down what came of them.

One loop without threads looks at everything in turn: the system ends a trial when the thread that started it
ends, so that there must be one only. A lease is renewed long before it runs out; a worker that comes too late
is told that the cell is another's now, kills its trial and writes nothing about it.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pettingllms.config.sweep import SweepConfig
from pettingllms.errors import LauncherError, PettingLLMsError, RefusedError
from pettingllms.lint.engine import CheckedCell
from pettingllms.runs.lock import FolderHeldError
from pettingllms.sweep.books import Books, Claim
from pettingllms.sweep.causes import BACKOFF, cause_of
from pettingllms.sweep.launcher import Launcher, Running
from pettingllms.sweep.ledger.rows import Row
from pettingllms.sweep.runner import TrialResult
from pettingllms.sweep.slots import Slot
from pettingllms.sweep.stopping import StopRequest
from pettingllms.sweep.study.outcome import measured_objectives, planned_trials
from pettingllms.sweep.study.view import StudyView
from pettingllms.sweep.watch import Watch

LEASE_SECONDS = 120.0
"""How long a cell stays with a worker of which nothing is heard."""
POLL_SECONDS = 0.2
CLAIM_SECONDS = 2.0
"""How often a worker without work looks for some."""
PRUNE_SECONDS = 5.0
"""How long a hopeless trial may take to stop by itself."""
HELD_SECONDS = 5.0
"""When a cell is tried again whose folder is still held by what is left of a worker that has gone."""
RENEWALS = 4
"""How often a lease is renewed while it lasts."""

Stopped = Literal["", "pruned", "stalled", "stopped", "lost"]


@dataclass(slots=True)
class _Held:
    """A row that is this worker's, and its trial. `stopped`: why this worker ends the trial, if it does."""

    row: Row
    running: Running
    watch: Watch
    slot: Slot
    begin: float
    stopped: Stopped = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that has ended: the row as it was written, how its process ended, and whether it goes on."""

    row: Row
    result: TrialResult | None = None
    tried_again: bool = False


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker works.

    `lease`: seconds, as the books take them. `gpus`: how many each slot has. `fail_fast`: the first cell that
    fails ends the work.
    """

    lease: float = LEASE_SECONDS
    gpus: int = 0
    fail_fast: bool = False


class Worker:
    """Runs cells of a study until none is left, in as many `slots` at a time.

    `on_ended` is told of every attempt that ends. After `run`, `budget` says what of the
    budget is used up, and `rows` how the study stood at the last look.
    """

    def __init__(
        self,
        books: Books,
        launcher: Launcher,
        slots: Sequence[Slot],
        stop: StopRequest,
        view: StudyView,
        sweep: SweepConfig,
        options: WorkerOptions,
        on_ended: Callable[[Ended], None],
    ) -> None:
        self._books, self._launcher, self._stop, self._view = books, launcher, stop, view
        self._sweep, self._options = sweep, options
        self._on_ended = on_ended
        self._free = list(slots)
        self._held: list[_Held] = []
        self._next_claim = self._next_renewal = 0.0
        self._over = False
        self._closed: RefusedError | None = None
        self._failed = False
        self.budget: str | None = None
        self.rows: Mapping[int, Row] = {}

    def run(self) -> None:
        """Work until nothing is left to do, or until a stop request.

        Raises LauncherError where no trial can be started here, and RefusedError where the sampler finds no
        more values; the trials that ran are given back, or have ended, by then.
        """
        try:
            while self._held or not self._is_leaving():
                # Before anything else: what came of a trial that is another's now does not count.
                self._renew()
                self._look_at_trials()
                self._stop_trials()
                self._claim()
                self._view.refresh()
                if self._held or not self._is_leaving():
                    time.sleep(POLL_SECONDS)
        finally:
            self._abandon()
        if self._closed is not None:
            raise self._closed

    def _is_leaving(self) -> bool:
        """Whether no further trial is started."""
        stopped = self._stop.signal is not None or self._failed or self._closed is not None
        return stopped or self._over or self.budget is not None

    def _claim(self) -> None:
        while self._free and not self._is_leaving() and time.monotonic() >= self._next_claim:
            try:
                claim = self._books.claim()
            except RefusedError as error:
                # What runs may end first.
                self._closed = error
                return
            self._noticed(claim)
            if claim.row is not None:
                self._start(claim.row)

    def _noticed(self, claim: Claim) -> None:
        self.rows, self.budget = claim.rows, claim.budget
        self._over = claim.over and claim.row is None
        self._view.rows(claim.rows)
        for row in claim.abandoned:
            self._told(Ended(row))
        if claim.row is None:
            self._next_claim = time.monotonic() + CLAIM_SECONDS
            if not self._held and not self._is_leaving():
                self._view.waits(claim.rows)

    def _start(self, row: Row) -> None:
        slot = self._free[0]
        try:
            cell = self._books.cell(row)
            watch = Watch(self._view.trial(cell), self._sweep.objectives[0].metric)
            folder = Path(row.folder or "")
            title = self._title(cell)
            running = self._launcher.start(cell, folder, title, watch, slot, self._renew)
        except FolderHeldError:
            self._books.give_back(row, wait=HELD_SECONDS)
            self._next_claim = time.monotonic() + CLAIM_SECONDS
            return
        except LauncherError:
            self._books.give_back(row)
            raise
        except PettingLLMsError as error:
            self._finish(replace(row, state="failed", cause="impossible", reason=str(error)), None)
            return
        del self._free[0]
        total = cell.config.training.total_training_steps
        self._held.append(_Held(replace(row, total_steps=total), running, watch, slot, time.monotonic()))

    def _title(self, cell: CheckedCell) -> str:
        rows = [row for row in self.rows.values() if not row.outside]
        begun = {row.number for row in rows if row.state != "waiting"} | {cell.number}
        return self._view.title(cell, len(begun), planned_trials(rows, self._sweep))

    def _look_at_trials(self) -> None:
        for held in list(self._held):
            result = held.running.poll()
            for step, value in held.watch.take():
                self._report(held, step, value)
            if result is not None:
                self._held.remove(held)
                self._free.append(held.slot)
                self._next_claim = 0.0
                self._ended(held, result)
            elif not held.stopped and held.running.silent_seconds > 60 * self._sweep.stall_minutes:
                held.stopped = "stalled"
                held.reason = f"no record for {self._sweep.stall_minutes:g} minutes ([sweep] stall_minutes)"
                held.running.kill()

    def _report(self, held: _Held, step: int, value: float) -> None:
        if held.stopped in ("", "pruned") and self._books.report(held.row, step, value) and not held.stopped:
            # Where all is done nothing is saved by a stop.
            if step >= held.row.total_steps:
                return
            held.stopped = "pruned"
            metric = self._sweep.objectives[0].metric
            held.reason = f"stopped after step {step} of {held.row.total_steps}: {metric} is {value:.4g}"
            held.running.stop(signal.SIGTERM, PRUNE_SECONDS)

    def _stop_trials(self) -> None:
        for held in self._held:
            if self._stop.urgent:
                held.running.kill()
            if (self._stop.signal is not None or self._failed) and not held.stopped:
                held.stopped = "stopped"
                held.running.stop(self._stop.signal or signal.SIGTERM)

    def _renew(self) -> None:
        if not self._held or time.monotonic() < self._next_renewal:
            return
        self._next_renewal = time.monotonic() + self._options.lease / RENEWALS
        renewed, self.rows = self._books.renew([self._current(held) for held in self._held])
        self._view.rows(self.rows)
        for held, row in zip(self._held, renewed, strict=True):
            if row is None and held.stopped != "lost":
                held.stopped = "lost"
                held.running.kill()

    def _current(self, held: _Held) -> Row:
        """The row of a trial as it stands now."""
        seconds = time.monotonic() - held.begin
        latest = held.watch.latest
        metrics = {} if latest is None else {self._sweep.objectives[0].metric: latest}
        return replace(
            held.row,
            step=held.watch.step,
            seconds=held.row.seconds + seconds,
            gpu_seconds=held.row.gpu_seconds + seconds * self._options.gpus,
            metrics={**held.row.metrics, **metrics},
        )

    def _ended(self, held: _Held, result: TrialResult) -> None:
        row = replace(self._current(held), metrics=result.metrics)
        if held.stopped == "lost":
            self._view.say(f"trial {row.number} is another worker's now: the lease of this one ran out")
        elif result.status == "complete":
            found = measured_objectives(result.metrics, self._sweep.objectives)
            if isinstance(found, str):
                self._finish(replace(row, state="failed", cause="no_objective", reason=found), result)
            else:
                self._finish(replace(row, state="complete", objectives=found), result)
        elif held.stopped == "pruned":
            self._finish(replace(row, state="pruned", cause=None, reason=held.reason), result)
        elif held.stopped == "stalled":
            self._finish(replace(row, state="failed", cause="stalled", reason=held.reason), result)
        elif held.stopped == "stopped" or (self._stop.signal is not None and result.status == "interrupted"):
            written = self._books.give_back(row)
            self._told(Ended(written or row, result))
        else:
            self._failed_attempt(row, result)

    def _failed_attempt(self, row: Row, result: TrialResult) -> None:
        cause = cause_of(result)
        if self._books.is_tried_again(row, cause):
            wait = BACKOFF[cause]
            again = self._books.give_back(row, wait=wait, cause=cause, reason=result.reason)
            self._told(Ended(again or row, result, tried_again=True))
        else:
            self._finish(replace(row, state="failed", cause=cause, reason=result.reason), result)

    def _finish(self, row: Row, result: TrialResult | None) -> None:
        written = self._books.finish(row)
        if written is None:
            self._view.say(f"trial {row.number} is another worker's now: what came of it here is left out")
        else:
            self._told(Ended(written, result))

    def _told(self, ended: Ended) -> None:
        self.rows = {**self.rows, ended.row.number: ended.row}
        self._view.rows(self.rows)
        self._failed |= self._options.fail_fast and ended.row.state == "failed"
        self._on_ended(ended)

    def _abandon(self) -> None:
        """After an error: end what runs, and let others have its cells."""
        for held in self._held:
            held.running.kill()
        for held in self._held:
            deadline = time.monotonic() + PRUNE_SECONDS
            while held.running.poll() is None and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS / 4)
            self._books.give_back(self._current(held))
        self._held.clear()
