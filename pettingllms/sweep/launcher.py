"""How a study's trials are started: a protocol, as a study can do without processes; and the real one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol

from pettingllms.config.load import LoadedExperiment
from pettingllms.config.trial_file import read_trial
from pettingllms.errors import RefusedError
from pettingllms.lint.engine import CheckedCell
from pettingllms.runs.checkpoints import TRIAL, checkpoint_root, checkpoints
from pettingllms.runs.lock import RUN_LOCK, WORKER_LOCK, FolderLock
from pettingllms.runs.named import is_run
from pettingllms.runs.records import last_event
from pettingllms.sweep.engine_keeper import EngineKeeper
from pettingllms.sweep.follow import JsonLines, numbers
from pettingllms.sweep.launch import launch_argv
from pettingllms.sweep.progress import View
from pettingllms.sweep.resume import LOG, continued_trial
from pettingllms.sweep.runner import RunningTrial, TrialResult
from pettingllms.sweep.slots import Ports, Slot
from pettingllms.sweep.stopping import StopRequest
from pettingllms.sweep.trial import Trial, create_trial


class Running(Protocol):
    """A trial that was started."""

    @property
    def silent_seconds(self) -> float:
        """How long ago it wrote its newest record, or was started."""
        ...

    def poll(self) -> TrialResult | None:
        """How it ended; None while it runs. Nothing of it is left then."""
        ...

    def stop(self, number: int, within: float | None = None) -> None:
        """Ask it to stop by the signal `number`; after `within` seconds, if given, it is killed."""
        ...

    def kill(self) -> None:
        """End it at once; `poll` says the rest."""
        ...


class Launcher(Protocol):
    """Starts the trials of a study."""

    def start(
        self,
        cell: CheckedCell,
        folder: Path,
        title: str,
        view: View,
        slot: Slot,
        while_waiting: Callable[[], None],
    ) -> Running:
        """Start the trial of `cell` in the run folder `folder`, or go on with the one that lies there.

        `while_waiting` is called where that takes time, so that leases are renewed meanwhile.
        Raises FolderHeldError while another process has the folder, LauncherError where no process can be
        started at all, another PettingLLMsError where this trial cannot go on.
        """
        ...

    def close(self) -> None:
        """All trials have ended: end what was kept for others."""
        ...


class ProcessLauncher:
    """Starts each trial by `accelerate launch`, with its engine beside it. A context.

    `stop` is only asked whether the start of an engine shall go on.
    """

    def __init__(self, experiment: LoadedExperiment, stop: StopRequest) -> None:
        self._experiment, self._stop = experiment, stop
        self._ports = Ports()
        self._engines: dict[int, EngineKeeper] = {}

    def start(
        self,
        cell: CheckedCell,
        folder: Path,
        title: str,
        view: View,
        slot: Slot,
        while_waiting: Callable[[], None],
    ) -> Running:
        """Start or go on; see `Launcher`. A run that had finished is not started again."""
        with ExitStack() as undo:
            if not is_run(folder):
                if folder.exists():
                    raise RefusedError(
                        f"{folder} is in the way: it is no run folder", help="move it away, and run again"
                    )
                trial = create_trial(self._experiment, cell, folder, title)
                undo.enter_context(FolderLock(trial.folder, RUN_LOCK))
            elif (result := _finished(folder, cell)) is not None:
                return _Ended(result)
            else:
                found = undo.enter_context(continued_trial(cell, folder))
                trial = Trial(cell.number, found.folder, cell.values, cell.config, title)
            port = self._ports.take()
            undo.callback(self._ports.give, port)
            engine = self._engines.setdefault(slot.number, EngineKeeper(slot, while_waiting))
            running = RunningTrial(
                trial,
                view,
                self._stop,
                engine=engine,
                argv=launch_argv(trial.config, trial.folder, port, slot.core_count),
                slot=slot,
            )
            undo.push(running)
            return _Process(running, undo.pop_all())

    def close(self) -> None:
        """End the engines."""
        while self._engines:
            self._engines.popitem()[1].end()

    def __enter__(self) -> ProcessLauncher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Process:
    """A running trial together with what it holds meanwhile: the lock of its folder, and its port."""

    def __init__(self, running: RunningTrial, held: ExitStack) -> None:
        self._running, self._held = running, held

    @property
    def silent_seconds(self) -> float:
        return self._running.silent_seconds

    def poll(self) -> TrialResult | None:
        try:
            result = self._running.poll()
        except BaseException:
            self._held.close()
            raise
        if result is not None:
            self._held.close()
        return result

    def stop(self, number: int, within: float | None = None) -> None:
        self._running.stop(number, within)

    def kill(self) -> None:
        self._running.kill()


class _Ended:
    """A trial that had finished before anybody wrote that down."""

    silent_seconds = 0.0

    def __init__(self, result: TrialResult) -> None:
        self._result = result

    def poll(self) -> TrialResult | None:
        return self._result

    def stop(self, number: int, within: float | None = None) -> None:
        """It has ended."""

    def kill(self) -> None:
        """It has ended."""


def _finished(folder: Path, cell: CheckedCell) -> TrialResult | None:
    """The result of a run that has finished all the steps that `cell` asks for; None for any other."""
    if last_event(folder) != "finished":
        return None
    with FolderLock(folder, RUN_LOCK), FolderLock(folder, WORKER_LOCK):
        config = read_trial(folder / TRIAL)
        if config.training.total_training_steps != cell.config.training.total_training_steps:
            return None
        metrics: dict[str, float] = {}
        for record in JsonLines(folder / "metrics.jsonl").read():
            metrics |= {name: value for name, value in numbers(record).items() if name != "step"}
        saved = list(checkpoints(checkpoint_root(folder, config.training.model_checkpoints_dir)).values())
        checkpoint = str(saved[-1]) if saved else None
        return TrialResult("complete", 0, metrics, None, folder / LOG, checkpoint, 0.0)
