"""Runs one trial as a process: starts it, follows its records, stops it on request, reads the result.

The worker writes two streams into the run folder, one JSON object per line.

`events.jsonl`, each with `time` (Unix seconds) and `event`: `started` (`pid`, `total_steps`, and `from_step`
where the run goes on from the checkpoint of that step; its metrics are then read up to there), `status`
(`text`), `phase` (`step`, `phase`: rollout, train, sync, val, test or checkpoint, `done`, `total`),
`warning` (`text`), `checkpoint` (`path`), and last `finished`, `interrupted` or `error` (`text`,
`exit_code`, `lost`: all that is known is that another process of the run has gone).

`metrics.jsonl`: `step` and what was measured at it, such as `train/success_rate`, `train/reward/<agent>`,
`train/loss/<policy>`, `val/success_rate`, `time/step`. Step 0 is the validation before the first step.

A stop request is passed on as the same signal to the worker, which writes a checkpoint and exits 130 or
143. It has `STOP_SECONDS` until it begins to write one, or until a second request; then the whole process
group is killed.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from pettingllms.runs.checkpoints import step_folder
from pettingllms.sweep.best_prompts import write_best
from pettingllms.sweep.engine_keeper import EngineKeeper
from pettingllms.sweep.follow import JsonLines, cause_of_death, lost_process, numbers
from pettingllms.sweep.launch import free_port, launch_argv, launch_environment
from pettingllms.sweep.process_group import ProcessGroup
from pettingllms.sweep.progress import View
from pettingllms.sweep.slots import WHOLE_MACHINE, Slot
from pettingllms.sweep.stopping import StopRequest
from pettingllms.sweep.trial import Trial

POLL_SECONDS = 0.2
STOP_SECONDS = 15.0
TRIAL_FAILED, LAUNCHER_FAILED = 3, 4

Status = Literal["complete", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class TrialResult:
    """How a trial ended. `metrics`: the last value of each; `reason`: why it did not complete.

    `exit_code` is what a command that ran only this trial returns; `seconds` is wall-clock time.
    """

    status: Status
    exit_code: int
    metrics: dict[str, float]
    reason: str | None
    log_path: Path
    checkpoint: str | None
    seconds: float


@dataclass(slots=True)
class _Followed:
    """What the two streams have told so far."""

    folder: Path
    view: View
    metrics: dict[str, float] = field(default_factory=dict)
    worker: int | None = None
    begin: int = -1
    done: int = -1
    """The newest whole step."""
    checkpoint: str | None = None
    error: str | None = None
    lost: str | None = None
    """What a process says of which another has gone, without a word of its own."""
    saving: bool = False
    stepping: bool = False
    """Whether the start is over: the first validation is done, or the step after the checkpoint has begun."""
    interrupted: bool = False
    silent: bool = True
    heard: float = 0.0
    """When the newest record was read, on the monotonic clock."""
    _events: JsonLines = field(init=False)
    _metrics: JsonLines = field(init=False)

    def __post_init__(self) -> None:
        # A run that goes on leaves the events of its earlier processes where they are.
        self._events = JsonLines(self.folder / "events.jsonl", only_new=True)
        self._metrics = JsonLines(self.folder / "metrics.jsonl")

    def read(self) -> None:
        """Take in what is new, and show it."""
        for record in self._events.read():
            self.heard = time.monotonic()
            self._take(record)
            self.view.event(record)
        # Before it says that it has started, the worker takes out what it will measure again.
        for record in self._metrics.read() if self.worker is not None else ():
            measured = numbers(record)
            self.metrics |= {name: value for name, value in measured.items() if name != "step"}
            self.heard = time.monotonic()
            if measured.get("step", 0) > self.begin:
                self.stepping, self.done = True, int(measured.get("step", 0))
                self.view.metrics(measured)
        self.view.refresh()

    @property
    def awaited(self) -> str:
        """What a stop waits for, in words."""
        if self.saving:
            return "waiting for the checkpoint that is being written"
        if not self.stepping:
            return "the run is still starting, and there is nothing to save"
        newest = step_folder(self.folder, self.done).name
        if self.done == self.begin or (self.checkpoint is not None and Path(self.checkpoint).name == newest):
            return f"step {self.done + 1} is broken off, and step {self.done} is saved"
        return f"waiting for the checkpoint of step {self.done}"

    def _take(self, record: dict[str, Any]) -> None:
        self.silent = False
        match record:
            case {"event": "started", "pid": int(pid)}:
                self.worker = pid
                self.begin = self.done = record.get("from_step", -1)
            case {"event": "phase", "phase": "checkpoint"}:
                self.saving = True
            case {"event": "phase", "step": int(step)} if step > self.begin >= 0:
                self.stepping = True
            case {"event": "checkpoint", "path": str(path)}:
                self.checkpoint, self.saving = path, False
            case {"event": "error", "text": text, "lost": True}:
                self.lost = str(text)
            case {"event": "error", "text": text}:
                self.error = str(text)
            case {"event": "interrupted"}:
                self.interrupted = True


class RunningTrial:
    """A trial whose process has been started; a context, and no process of it is left when it is left.

    `stop` is only asked whether the start shall go on. `engine` loads the trial's engine while the launcher
    starts, and keeps it where the trial completes; without it the worker starts its own. `argv` replaces the
    command of `accelerate launch`. Raises LauncherError when no process can be started.
    """

    def __init__(
        self,
        trial: Trial,
        view: View,
        stop: StopRequest,
        *,
        engine: EngineKeeper | None = None,
        argv: Sequence[str] | None = None,
        slot: Slot = WHOLE_MACHINE,
    ) -> None:
        self._trial, self._view, self._engine = trial, view, engine
        self._log = trial.folder / "log.txt"
        self._asked: int | None = None
        self._deadline: float | None = None
        self._waits_for_checkpoint = True
        self._killed = False
        self._begin = time.monotonic()
        if argv is None:
            argv = launch_argv(trial.config, trial.folder, free_port(), slot.core_count)
        found_by = engine.prepare(trial, stop) if engine is not None else {}
        environment = (
            launch_environment(trial.config, os.environ, slot.core_count) | slot.environment | found_by
        )
        self._group = ProcessGroup(argv, environment, self._log, cores=slot.cores)
        self._open = True
        with self._nothing_left_on_error():
            view.begin(trial)
            self._followed = _Followed(trial.folder, view)

    @property
    def silent_seconds(self) -> float:
        """How long ago the trial wrote its newest record, or was started."""
        return time.monotonic() - max(self._begin, self._followed.heard)

    def poll(self) -> TrialResult | None:
        """Take in what is new; how the trial ended, None while it runs."""
        with self._nothing_left_on_error():
            # What was written before the end is read after it.
            runs = self._group.exit_status() is None
            self._followed.read()
            if runs and not self._killed and not self._is_late():
                return None
        if runs:
            self._group.kill()
        self._close()
        result = _result(self._group, self._followed, self._asked, self._log, time.monotonic() - self._begin)
        if self._engine is not None and result.status != "complete":
            # Nobody knows what it was doing when the trial ended.
            self._engine.end()
        if result.status == "complete" and self._trial.config.specialization == "prompt":
            write_best(self._trial.folder, self._trial.config)
        return result

    def stop(self, number: int, within: float | None = None) -> None:
        """Pass the signal `number` on, once; a checkpoint that is being written then is waited for.

        `within`: seconds after which the trial is killed whatever it is doing.
        """
        if self._asked is not None:
            return
        self._asked = number
        self._waits_for_checkpoint = within is None
        self._deadline = time.monotonic() + (STOP_SECONDS if within is None else within)
        with self._nothing_left_on_error():
            if within is None:
                self._view.say(f"stopping: {self._followed.awaited}; once more to stop at once")
            self._group.stop(number, self._followed.worker)

    def kill(self) -> None:
        """Kill all processes of the trial; `poll` then says how it ended."""
        self._killed = True
        self._group.kill()

    def __enter__(self) -> RunningTrial:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._open:
            self._close()

    def _is_late(self) -> bool:
        late = self._deadline is not None and time.monotonic() > self._deadline
        return late and not (self._waits_for_checkpoint and self._followed.saving)

    def _close(self) -> None:
        self._open = False
        try:
            self._group.end()
        finally:
            self._view.end()

    @contextmanager
    def _nothing_left_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._close()
            raise


def run_trial(
    trial: Trial,
    view: View,
    stop: StopRequest,
    *,
    engine: EngineKeeper | None = None,
    argv: Sequence[str] | None = None,
) -> TrialResult:
    """Run `trial` to its end and return how it went; no process of it is left then.

    `engine` and `argv` as in `RunningTrial`. Raises LauncherError when no process can be started.
    """
    with RunningTrial(trial, view, stop, engine=engine, argv=argv) as running:
        while (result := running.poll()) is None:
            if stop.signal is not None:
                running.stop(stop.signal)
            if stop.urgent:
                running.kill()
            else:
                time.sleep(POLL_SECONDS)
        return result


def _result(
    group: ProcessGroup, followed: _Followed, asked: int | None, log: Path, seconds: float
) -> TrialResult:
    status: Status
    reason: str | None
    died = followed.error or lost_process(log)
    if group.exit_status() == 0:
        status, code, reason = "complete", 0, None
    elif asked is not None or (followed.interrupted and died is None):
        # Without a request of ours somebody else sent the worker its signal.
        status, code = "interrupted", 128 + (asked or signal.SIGTERM)
        reason = "interrupted" if asked is not None else "the worker was stopped by a signal from outside"
    else:
        status, code = "failed", LAUNCHER_FAILED if followed.silent else TRIAL_FAILED
        reason = died or followed.lost or cause_of_death(log)
    return TrialResult(status, code, followed.metrics, reason, log, followed.checkpoint, seconds)
