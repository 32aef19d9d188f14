"""The contract of an environment: one play of one task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Self

from pettingllms.config.model import ConfigModel
from pettingllms.types import Split, Task


class Outcome(NamedTuple):
    """What an agent's own action earned: `local` in [-1, 1], and the reason code."""

    local: float
    reason: str


class Env(ABC):
    """State of one play of one task; used once, never reset.

    Agents read and change it through the public methods of their environment.
    `Options` types the `env.options` of the experiment file.
    """

    Options: ClassVar[type[ConfigModel]]
    runs_programs: ClassVar[bool] = False
    """Whether it runs programs that a model wrote, whoever acts: a run then requires the sandbox."""

    def __init__(self, task: Task, options: Any) -> None:
        self.task = task
        self.options = options

    @classmethod
    @abstractmethod
    def tasks(cls, dataset: str, split: Split, options: Any, seed: int) -> Sequence[Task]:
        """All tasks of `split` of `dataset`, the same for the same `options` and `seed`."""

    @abstractmethod
    def copy(self) -> Self:
        """An independent copy of the state, for trying an action on."""

    @abstractmethod
    def team_reward(self) -> float:
        """The shared reward in [0, 1] as things stand; 0 before there is a final answer."""

    @abstractmethod
    def success(self) -> bool:
        """Whether the team's final answer is right. Measured, never shown to an agent."""

    @abstractmethod
    def solved(self) -> bool:
        """Whether the agents themselves consider the task done; ends the episode under `env.resolve`."""
