"""Which tasks each training step plays: a pure function of the step, so that nothing need be saved."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from pettingllms.errors import RefusedError
from pettingllms.types import Task


@dataclass(frozen=True, slots=True)
class TaskSchedule:
    """Seeded order without repetition inside a pass over the tasks.

    `resample_freq`: steps that one batch is played. `epoch_size`: steps per epoch, None for one pass; a
    longer epoch has several passes, each in an order of its own. Tasks at the end of a pass that fill no
    batch are left for the next one.
    """

    tasks: Sequence[Task]
    batch_size: int
    resample_freq: int
    epoch_size: int | None
    seed: int

    def __post_init__(self) -> None:
        if self.batch_size > len(self.tasks):
            raise RefusedError(
                f"training.train_batch_size = {self.batch_size} exceeds the {len(self.tasks)} training tasks",
                help="lower train_batch_size, or raise the size of the training split in env.options",
            )

    @property
    def steps_per_epoch(self) -> int:
        """Steps until an epoch ends, with which the tasks are reshuffled."""
        return self.epoch_size or self._steps_per_pass

    @property
    def _steps_per_pass(self) -> int:
        return len(self.tasks) // self.batch_size * self.resample_freq

    def batch(self, step: int) -> list[Task]:
        """Tasks of `step` (1-based)."""
        epoch, within = divmod(step - 1, self.steps_per_epoch)
        number, within = divmod(within, self._steps_per_pass)
        order = list(self.tasks)
        random.Random(f"tasks/{self.seed}/{epoch}/{number}").shuffle(order)
        begin = within // self.resample_freq * self.batch_size
        return order[begin : begin + self.batch_size]

    def more(self, step: int, attempt: int) -> list[Task]:
        """Tasks that `step` has not played yet: those of its `attempt` 1, 2, …; fewer where none are left."""
        first = {task.id for task in self.batch(step)}
        others = [task for task in self.tasks if task.id not in first]
        random.Random(f"more/{self.seed}/{step}").shuffle(others)
        return others[(attempt - 1) * self.batch_size : attempt * self.batch_size]

    def ends_epoch(self, step: int) -> bool:
        """Whether the tasks are reshuffled after `step`."""
        return step % self.steps_per_epoch == 0

    def epoch(self, step: int) -> int:
        """The epoch of `step`, from 0."""
        return (step - 1) // self.steps_per_epoch
