"""The file that tells the playing process what to play: written here, read in `training.evaluate`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.envs.splits import tasks_of
from pettingllms.errors import UsageError
from pettingllms.runs.named import PLAY
from pettingllms.types import Split, Task

NAME = PLAY


@dataclass(frozen=True, slots=True)
class Play:
    """What is played in a folder, beside its `trial.toml`.

    `samples`: plays of each task. `tasks`: how many of the split are played, the first ones; None for all.
    `seed`: of all token sampling. `policies`: by name, the version and the folder that the engine takes them
    from; others are as the experiment starts them. `step`: of the checkpoint, 0 before training.
    """

    split: Split
    samples: int
    tasks: int | None
    seed: int
    step: int
    policies: dict[str, tuple[int, Path]]

    def text(self) -> str:
        """The content of the file."""
        policies = {name: [version, str(path)] for name, (version, path) in self.policies.items()}
        data = {
            "split": self.split,
            "samples": self.samples,
            "tasks": self.tasks,
            "seed": self.seed,
            "step": self.step,
            "policies": policies,
        }
        return json.dumps(data, indent=2) + "\n"

    @classmethod
    def read(cls, folder: Path) -> Play:
        """Read the file in `folder`."""
        data = json.loads((folder / NAME).read_text(encoding="utf-8"))
        policies = {name: (version, Path(path)) for name, (version, path) in data.pop("policies").items()}
        return cls(**data, policies=policies)

    @property
    def samples_file(self) -> Path:
        """Where the episodes are written, relative to the folder."""
        return Path("samples") / f"{self.split}-{self.step:06d}.jsonl"

    def places(self, tasks: Sequence[Task]) -> list[tuple[int, Task]]:
        """Every play with its place, which decides its seeds: play k of task i has place k * tasks + i.

        So the first plays are the same however many there are of a task, and however many tasks are played.
        """
        played = tasks[: self.tasks]
        return [
            (number * len(tasks) + index, task)
            for number in range(self.samples)
            for index, task in enumerate(played)
        ]


def require_tasks(config: ExperimentConfig, split: Split, wanted: int | None) -> Sequence[Task]:
    """The tasks of a split. Raises UsageError where it has none, or fewer than are wanted."""
    tasks = tasks_of(config, split)
    if not tasks:
        raise UsageError(f"the {split} split has no tasks", help="name the other split, or set its size")
    if wanted is not None and wanted > len(tasks):
        raise UsageError(
            f"--tasks {wanted}: the {split} split has {len(tasks)} tasks", help="write fewer, or leave it out"
        )
    return tasks
