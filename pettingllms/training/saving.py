"""When a checkpoint is written and by whom: by a thread beside the run, or while the run waits."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from pettingllms.config.training import TrainingConfig
from pettingllms.errors import CheckpointError
from pettingllms.runs.checkpoints import TRIAL, checkpoint_root, superseded
from pettingllms.runs.records import METRICS
from pettingllms.training.checkpoint import Checkpoint, write_checkpoint
from pettingllms.training.events import EventStream
from pettingllms.training.policies import Policies


class CheckpointSaver:
    """Writes the checkpoints of a run below `root`, one at a time, and removes those that are superseded.

    What goes wrong is raised as CheckpointError, or under `on_save_failure = "continue"` told as a warning:
    by `save` of the same checkpoint where the run waits for it, else by the next call of any method.
    """

    def __init__(
        self, training: TrainingConfig, policies: Policies, folder: Path, events: EventStream
    ) -> None:
        """`folder`: the run folder, whose `trial.toml` goes into each checkpoint."""
        self._training, self._policies, self._events = training, policies, events
        self._stops = training.on_save_failure == "stop"
        self._root = checkpoint_root(folder, training.model_checkpoints_dir)
        self._metrics = folder / METRICS
        self._trial = (folder / TRIAL).read_text(encoding="utf-8")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None
        self._removal: Future[None] | None = None

    def save(self, checkpoint: Checkpoint) -> None:
        """Write `checkpoint`; in the background once the one before is written, where that is asked for."""
        self.wait()
        self._pending = self._thread.submit(self._write, checkpoint)
        # Nobody needs to wait until old ones are gone: a file system takes its time for it.
        self._removal = self._thread.submit(self._remove_superseded)
        if not self._training.save_in_background:
            self._settle()

    def check(self) -> None:
        """Tell what went wrong with a checkpoint that was written in the background; does not wait for it."""
        if self._pending is not None and self._pending.done():
            self._settle()

    def wait(self) -> None:
        """Return when nothing is being written or removed."""
        self._settle()
        if self._removal is not None:
            self._removal.result()

    def close(self) -> None:
        """Let a checkpoint that is being written be finished, whatever ended the run."""
        self._thread.shutdown()

    def _settle(self) -> None:
        pending, self._pending = self._pending, None
        if pending is None:
            return
        try:
            pending.result()
        except CheckpointError as error:
            if self._stops:
                raise
            self._events.warning(f"{error}; the run goes on, and from the checkpoint before if it stops")

    def _write(self, checkpoint: Checkpoint) -> None:
        if self._metrics.exists():
            # No checkpoint survives a power cut that its step's record does not.
            with self._metrics.open("rb") as file:
                os.fsync(file.fileno())
        saved = write_checkpoint(checkpoint, self._policies, self._root, self._trial)
        self._events.write("checkpoint", path=str(saved))

    def _remove_superseded(self) -> None:
        best = self._training.keep_best
        for old in superseded(
            self._root,
            self._training.keep_checkpoints,
            best.metric if best else None,
            best.direction if best else "maximize",
        ):
            shutil.rmtree(old, ignore_errors=True)
