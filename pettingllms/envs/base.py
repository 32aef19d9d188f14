"""The contract of an environment: one play of one task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar, NamedTuple, Self

from pettingllms.config.model import ConfigModel
from pettingllms.data.rows import BadRowError
from pettingllms.types import Split, Task


class Outcome(NamedTuple):
    """What an agent's own action earned.

    `local`: in [-1, 1]; None where nothing says what it is worth by itself: its weight then goes to the team
    reward. `reason`: a short identifier such as `no_answer`, the same for the same cause.
    """

    local: float | None
    reason: str


class Misfit(NamedTuple):
    """An option that does not fit a dataset: its path in `env.options`, what is wrong, and what would fit."""

    path: tuple[str, ...]
    message: str
    help: str | None = None


class Env(ABC):
    """State of one play of one task; used once, never reset.

    Agents read and change it through the public methods of their environment. To branch is to copy: `copy`
    is both the snapshot, and what is gone back to. What a play comes to is `team_reward` and `success`; what
    each action came to is the `Outcome` that it returned. `pettingllms.contract` checks all of it.
    """

    Options: ClassVar[type[ConfigModel]]
    """Types the `env.options` of the experiment file."""
    rows: ClassVar[staticmethod[[Mapping[str, Any]], Mapping[str, Any]] | None] = None
    """A converter (`data.rows`): makes `Task.data` of a row of a user's own file. Where it is set, and
    `Options` derives from DataOptions, `env.dataset` and `env.benchmark` may name files and presets, and
    `tasks` is asked for other names only."""
    runs_programs: ClassVar[bool] = False
    """Whether it runs programs that a model wrote, whoever acts: a run then requires the sandbox."""
    hidden: ClassVar[tuple[str, ...]] = ()
    """Keys of `Task.data` that no agent may be shown: the reference answer and what gives it away."""
    draws: ClassVar[tuple[str, ...]] = ()
    """Sets of tasks whose states it can draw, which `env.multi_modal` asks for."""
    multi_modal: bool = False
    """Whether agents are shown images of the state, in `Message.images`; set by who makes it."""

    only_for: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Options that only some datasets read, and how the names of these begin: the linter tells of one that is
    set beside other datasets."""

    def __init__(self, task: Task, options: Any) -> None:
        self.task = task
        self.options = options

    @classmethod
    @abstractmethod
    def tasks(cls, dataset: str, split: Split, options: Any, seed: int) -> Sequence[Task]:
        """All tasks of `split` of `dataset`, the same for the same `options` and `seed`.

        No task is in two splits.
        """

    @classmethod
    def split_tasks(
        cls, dataset: str, splits: Collection[Split], options: Any, seed: int
    ) -> Mapping[Split, Sequence[Task]]:
        """`tasks` of several splits. An environment that reads for all of them at once may do so here."""
        return {split: cls.tasks(dataset, split, options, seed) for split in splits}

    @classmethod
    def verify(cls, data: Sequence[Mapping[str, Any]], options: Any) -> Sequence[BadRowError | None]:  # noqa: ARG003
        """What is wrong with each of the tasks that were read from rows, where reading alone does not tell.

        `data`: of all tasks of a split. Those that are not good are counted as bad rows.
        """
        return [None] * len(data)

    @classmethod
    def misfits(cls, dataset: str, options: Any) -> Iterable[Misfit]:  # noqa: ARG003
        """What of `options` does not fit `dataset`, told by the linter. Default: nothing."""
        return ()

    def copy(self) -> Self:
        """An independent copy of the state, for trying an action on.

        Task and options, which nobody changes, are shared; everything else is copied in depth. An environment
        that knows more of its state may copy less.
        """
        twin = object.__new__(type(self))
        shared = {id(one): one for one in (self.task, self.options, *self.task.data.values())}
        twin.__dict__.update(deepcopy(self.__dict__, shared))
        return twin

    @abstractmethod
    def success(self) -> bool:
        """Whether the team's final answer is right. Measured, never shown to an agent."""

    def seen_by(self, agent: Any) -> Env | None:  # noqa: ARG002 - for environments that tell agents apart
        """The state that `agent` is shown and acts on; None where there is nothing for it, as if it skipped.

        Default: this one.
        """
        return self

    def team_reward(self) -> float:
        """The shared reward in [0, 1] as things stand; 0 before there is a final answer."""
        return float(self.success())

    def solved(self) -> bool:
        """Whether the agents themselves consider the task done; ends the episode under `env.resolve`."""
        return False

    def metrics(self) -> Mapping[str, float]:
        """What else is worth measuring in this state, by name; no reward depends on it. Default: nothing."""
        return {}


def fault_of(found: object) -> str | None:
    """What keeps `found` from being an environment, in words that go on after its name; None for nothing."""
    if not (isinstance(found, type) and issubclass(found, Env)):
        return "is no class that derives from pettingllms.envs.base.Env"
    if found.__abstractmethods__:
        return f"lacks {', '.join(sorted(found.__abstractmethods__))}"
    options = getattr(found, "Options", None)
    if not (isinstance(options, type) and issubclass(options, ConfigModel)):
        return "has no Options, a class that derives from pettingllms.config.model.ConfigModel"
    for name, arguments in _OF_THE_CLASS.items():
        if not _takes(getattr(found, name), arguments):
            call = f"{found.__name__}.{name}({', '.join(arguments)})"
            return f"has a {name} that cannot be called as {call}: make it a class method of these"
    if not (found.rows is None or callable(found.rows)):
        return "has rows that are no function, but a converter of a row"
    return None


_OF_THE_CLASS = {
    "tasks": ("dataset", "split", "options", "seed"),
    "split_tasks": ("dataset", "splits", "options", "seed"),
    "verify": ("data", "options"),
}
"""What is asked of the class itself, and with what."""


def _takes(method: object, arguments: Sequence[str]) -> bool:
    from inspect import signature

    try:
        signature(method).bind(*arguments)  # type: ignore[arg-type]
    except TypeError:
        return False
    except ValueError:
        # A function in C that does not say what it takes.
        return callable(method)
    return True
