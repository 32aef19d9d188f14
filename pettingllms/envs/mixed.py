"""`mixed_env`: tasks of several environments in one run, each played as in its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

from pydantic import Field, model_validator

from pettingllms.config.model import ConfigModel, OptionError
from pettingllms.data.records import DatasetRecord, RecordedTasks, record_of
from pettingllms.envs import ENVS
from pettingllms.envs.base import Env
from pettingllms.errors import RefusedError
from pettingllms.types import Split, Task

PART = "mixed_part"
"""Where `Task.data` says of which part a task is."""
_EXACT = 1e-6
"""How far the sum of all ratios may be from 1."""


class MixedPart(ConfigModel):
    """One part of `env.options.parts`: an environment with its tasks."""

    env: str = Field(min_length=1)
    """Registered environment, not `mixed_env` itself. Default: `<name>_env` for the part `<name>`."""
    dataset: str
    """Where its tasks come from; the forms of `env.dataset`."""
    benchmark: str | None = None
    """Where its validation tasks come from. Default: the validation split of its `dataset`."""
    ratio: float | None = Field(None, gt=0, le=1)
    """Share of the training tasks. Parts without one share what the others leave."""
    max_validation: int | None = Field(None, ge=1)
    """Validation tasks that are played, the first ones. Default: all."""
    options: dict[str, Any] = Field(default_factory=dict)
    """`env.options` of the environment of this part."""

    @cached_property
    def kind(self) -> type[Env]:
        """The class of the environment. Raises RefusedError where there is none."""
        if self.env == "mixed_env":
            raise RefusedError("a part of mixed_env is mixed_env", help="name the parts of that one instead")
        return ENVS.load(self.env)

    @cached_property
    def typed(self) -> ConfigModel:
        """The options as the environment types them."""
        return self.kind.Options(**self.options)


class MixedOptions(ConfigModel):
    """`env.options` of `mixed_env`."""

    parts: dict[str, MixedPart] = Field(min_length=1)
    """The parts by names of your own, which stand in the ids of tasks and in metrics."""
    drop_contaminated: bool = False
    """Leave out training tasks of any part that share text with a held-out task of any part; see there. The
    option of one part looks at that part only."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        """Parts that name no environment have the one that is called like them."""
        parts = data.get("parts") if isinstance(data, dict) else None
        if not isinstance(parts, dict):
            return data
        named = {
            name: {"env": f"{name}_env", **part} if isinstance(part, dict) else part
            for name, part in parts.items()
        }
        return {**data, "parts": named}

    @model_validator(mode="after")
    def _ratios_fit(self) -> Self:
        if strange := [name for name in self.parts if not name.isidentifier()]:
            message = f"the part {strange[0]!r} should have a name of letters, digits and _"
            raise OptionError(message, "parts", strange[0])
        given = {name: part.ratio for name, part in self.parts.items() if part.ratio is not None}
        whole, others = sum(given.values()), len(self.parts) - len(given)
        fault = None
        if whole > 1 + _EXACT:
            fault = "more than 1"
        elif others and whole > 1 - _EXACT:
            fault = "which leaves nothing for parts without one"
        elif not others and whole < 1 - _EXACT:
            fault = "not to 1; leave one of them out"
        if fault:
            raise OptionError(f"the ratios add up to {whole:g}, {fault}", "parts", [*given][-1], "ratio")
        return self

    def shares(self) -> dict[str, float]:
        """The share of each part in training; they add up to 1."""
        given = [part.ratio for part in self.parts.values() if part.ratio is not None]
        rest = (1 - sum(given)) / max(1, len(self.parts) - len(given))
        return {name: rest if part.ratio is None else part.ratio for name, part in self.parts.items()}


class MixedEnv(Env):
    """A task of one of the parts, whose environment says what it is, what it earns and when it is solved.

    An agent that is made for the environment of another part leaves its turns out.
    """

    Options = MixedOptions

    def __init__(self, task: Task, options: MixedOptions) -> None:
        super().__init__(task, options)
        self.name: str = task.data[PART]
        part = options.parts[self.name]
        self.part = part.kind(task, part.typed)

    @classmethod
    def tasks(cls, dataset: str, split: Split, options: MixedOptions, seed: int) -> Sequence[Task]:
        """All tasks of `split`, those of the parts mixed evenly.

        In training each part has its share: of those with more tasks than that, the first ones are taken. In
        validation and test all are played, of validation at most `max_validation` of a part.
        """
        return cls.split_tasks(dataset, [split], options, seed)[split]

    @classmethod
    def split_tasks(
        cls, dataset: str, splits: Collection[Split], options: MixedOptions, seed: int
    ) -> Mapping[Split, Sequence[Task]]:
        """The same for several splits; the rows of each part are read once for all of them."""
        # It looks into all environments, and so into this one.
        from pettingllms.envs.splits import sourced_splits

        read = {
            name: sourced_splits(part.env, part.kind, part.dataset, part.benchmark, splits, part.typed, seed)
            for name, part in options.parts.items()
        }
        return {
            split: _mixed(dataset, split, {name: tasks[split] for name, tasks in read.items()}, options)
            for split in splits
        }

    def seen_by(self, agent: Any) -> Env | None:
        """The part's own state, for agents that play in it."""
        home = _home(agent)
        plays = home is None or (home in ENVS and isinstance(self.part, ENVS.load(home)))
        return self.part if plays else None

    def copy(self) -> Self:
        """A copy with a copy of the part's state."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, part=self.part.copy())
        return twin

    def success(self) -> bool:
        """Whether the task is solved."""
        return self.part.success()

    def team_reward(self) -> float:
        """What the part's environment says."""
        return self.part.team_reward()

    def solved(self) -> bool:
        """What the part's environment says."""
        return self.part.solved()

    def metrics(self) -> Mapping[str, float]:
        """`<part>/success_rate` and `<part>/team_reward`, and as `<part>/…` what the part itself measures."""
        own = {"success_rate": float(self.success()), "team_reward": self.team_reward()}
        return {f"{self.name}/{metric}": value for metric, value in {**own, **self.part.metrics()}.items()}


def generate(split: Split, options: Any, seed: int) -> Sequence[Task]:
    """`builtin:parts`: the tasks of `env.options.parts`."""
    return MixedEnv.tasks("builtin:parts", split, options, seed)


def _home(agent: Any) -> str | None:
    """The environment that an agent is made for; None for any.

    Roles of this package say it by the name of their module.
    """
    kind = type(agent)
    if kind.environment is not None:
        return str(kind.environment)
    package, _, module = kind.__module__.rpartition(".")
    name = f"{module}_env"
    return name if package == "pettingllms.agents" and name in ENVS else None


def _mixed(
    dataset: str, split: Split, parts: Mapping[str, Sequence[Task]], options: MixedOptions
) -> RecordedTasks:
    """The tasks of `split` of all parts, as many of each as shall be played, with the record of all."""
    records = [
        record_of((split == "val" and part.benchmark) or part.dataset, parts[name])
        for name, part in options.parts.items()
    ]
    if split == "train":
        parts = _in_shares(parts, options.shares())
    elif split == "val":
        parts = {name: tasks[: options.parts[name].max_validation] for name, tasks in parts.items()}
    mixed = [_task(name, split, task) for name, task in _evenly(parts)]
    return RecordedTasks(mixed, _record(dataset, mixed, records))


def _in_shares(tasks: Mapping[str, Sequence[Task]], shares: Mapping[str, float]) -> dict[str, Sequence[Task]]:
    """As many tasks as there can be with these shares. Raises RefusedError where a part would have none."""
    whole = min(len(tasks[name]) / share for name, share in shares.items())
    counts = {name: int(whole * share + _EXACT) for name, share in shares.items()}
    if none := [name for name, count in counts.items() if not count]:
        raise RefusedError(
            f"the part {none[0]!r} of mixed_env has no training task left at the ratios of env.options.parts",
            help="give the part with the fewest tasks a smaller ratio, or a larger dataset",
        )
    return {name: tasks[name][:count] for name, count in counts.items()}


def _evenly(tasks: Mapping[str, Sequence[Task]]) -> list[tuple[str, Task]]:
    """All tasks, those of each part spread evenly over the whole; parts in their order where they meet."""
    placed = [
        ((place + 0.5) / len(own), number, name, task)
        for number, (name, own) in enumerate(tasks.items())
        for place, task in enumerate(own)
    ]
    return [(name, task) for _, _, name, task in sorted(placed, key=lambda one: one[:2])]


def _task(name: str, split: Split, task: Task) -> Task:
    own = task.id.removeprefix(f"{split}/")
    return replace(task, id=f"{split}/{name}/{own}", data={**task.data, PART: name})


def _record(source: str, tasks: Sequence[Task], parts: Sequence[DatasetRecord]) -> DatasetRecord:
    """The record of the mixture: its own tasks, and the rows of all that they were read from."""
    bad: Counter[str] = Counter()
    for part in parts:
        bad.update(part.bad)
    rows = [part.rows for part in parts if part.rows is not None]
    return replace(
        record_of(source, tasks),
        files=tuple(name for part in parts for name in part.files),
        rows=sum(rows) if rows else None,
        bad=dict(bad),
        bad_places=tuple(place for part in parts for place in part.bad_places),
    )
