"""What is checked: an environment, the agents that play it, and what they could answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pettingllms.agents import AGENTS
from pettingllms.agents.base import Agent
from pettingllms.config.agents import AgentConfig
from pettingllms.envs import ENVS
from pettingllms.envs.base import Env
from pettingllms.plugins import require
from pettingllms.types import Split, Task

SPLITS: tuple[Split, ...] = ("train", "val", "test")


class ContractError(AssertionError):
    """An environment or agent does not keep its contract; the message says what it did."""


@dataclass(frozen=True, slots=True)
class Example:
    """What one agent could answer, made from the environment in which it is about to act.

    `right`: solves the task, or does what the agent is for. `wrong`: an honest attempt that fails.
    """

    right: Callable[[Any], str]
    wrong: Callable[[Any], str]


@dataclass(frozen=True)
class Subject:
    """What is checked: an environment with agents that play it, all by their registered names.

    `examples`: by agent, in speaking order; once all have given their right answers, the task is solved.
    `plugins`: as in an experiment file, but with absolute paths. `tasks`: how many of a split are played.
    """

    environment: str
    dataset: str
    examples: Mapping[str, Example]
    options: Mapping[str, Any] = field(default_factory=dict)
    plugins: Sequence[str] = ()
    tasks: int = 3

    @cached_property
    def kind(self) -> type[Env]:
        """The class of the environment."""
        require(self.plugins)
        return ENVS.load(self.environment)

    @cached_property
    def agents(self) -> dict[str, Agent]:
        """The agents, as an experiment that sets nothing of them has them."""
        require(self.plugins)
        return {name: AGENTS.load(name)(AgentConfig(name=name, policy_name="p")) for name in self.examples}

    @cached_property
    def splits(self) -> dict[Split, list[Task]]:
        """All tasks."""
        options = self.kind.Options(**self.options)
        return {split: list(self.kind.tasks(self.dataset, split, options, 0)) for split in SPLITS}

    def start(self, task: Task) -> Env:
        """The environment of `task` before anybody has acted."""
        return self.kind(task, self.kind.Options(**self.options))

    def some_tasks(self) -> list[Task]:
        """Those that are played."""
        return [task for tasks in self.splits.values() for task in tasks[: self.tasks]]

    def states(self) -> Iterator[tuple[str, Env]]:
        """Agents about to act, each with its own state: nobody has acted, or those before it were wrong."""
        for task in self.some_tasks():
            for name in self.agents:
                yield name, self.start(task)
            env = self.start(task)
            for name in [*self.agents, next(iter(self.agents))]:
                yield name, env.copy()
                if (own := env.seen_by(self.agents[name])) is not None:
                    self.agents[name].act(own, self.examples[name].wrong(env))


def digest(asked: str) -> str:
    """A digest of all tasks; `asked`: environment, dataset, options and plug-ins as one JSON list."""
    environment, dataset, options, plugins = json.loads(asked)
    subject = Subject(environment, dataset, {}, options, plugins)
    tasks = [[task.id, plain(task.data)] for split in SPLITS for task in subject.splits[split]]
    return hashlib.sha256(json.dumps(tasks).encode()).hexdigest()


def plain(data: object) -> str:
    """`data` as one text, the same for the same content."""
    return json.dumps(data, sort_keys=True, default=repr)
