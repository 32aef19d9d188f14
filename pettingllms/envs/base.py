"""The contract of an environment: one play of one task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

from pettingllms.config.model import ConfigModel
from pettingllms.data.rows import BadRowError
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
    rows: ClassVar[staticmethod[[Mapping[str, Any]], Mapping[str, Any]] | None] = None
    """A converter (`data.rows`): makes `Task.data` of a row of a user's own file. Where it is set, and
    `Options` derives from DataOptions, `env.dataset` and `env.benchmark` may name files and presets, and
    `tasks` is asked for other names only."""
    runs_programs: ClassVar[bool] = False
    """Whether it runs programs that a model wrote, whoever acts: a run then requires the sandbox."""

    def __init__(self, task: Task, options: Any) -> None:
        self.task = task
        self.options = options

    @classmethod
    @abstractmethod
    def tasks(cls, dataset: str, split: Split, options: Any, seed: int) -> Sequence[Task]:
        """All tasks of `split` of `dataset`, the same for the same `options` and `seed`."""

    @classmethod
    def verify(cls, data: Sequence[Mapping[str, Any]], options: Any) -> Sequence[BadRowError | None]:  # noqa: ARG003
        """What is wrong with each of the tasks that were read from rows, where reading alone does not tell.

        `data`: of all tasks of a split. Those that are not good are counted as bad rows.
        """
        return [None] * len(data)

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

    def metrics(self) -> Mapping[str, float]:
        """What else is worth measuring in this state, by name; no reward depends on it. Default: nothing."""
        return {}
