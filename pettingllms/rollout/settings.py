"""How a batch of tasks is played, and what one play of it knows of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pettingllms.rollout.seeds import derive
from pettingllms.types import Task


@dataclass(frozen=True, slots=True)
class RolloutSettings:
    """How tasks are played.

    `mode`: `tree`: one episode per task, with K candidates at each turn; `independent`: K episodes per task.
    `candidates`: K. `reward_alpha`: weight of the team reward. `greedy`: in a tree the best rewarded
    candidate goes on, else the first. `resolve`: an episode ends when its agents consider it solved.
    `together`: no episode begins before all environments are set up. `evaluation`: agents use their
    evaluation sampling; nothing branches then, so that K is 1.
    """

    mode: Literal["tree", "independent"]
    candidates: int
    reward_alpha: float
    greedy: bool
    resolve: bool
    together: bool
    evaluation: bool
    seed: int

    def __post_init__(self) -> None:
        if self.evaluation and self.candidates != 1:
            raise ValueError("evaluation is plain sampling: candidates must be 1")


@dataclass(frozen=True, slots=True)
class Seat:
    """Which play it is. `place`: of the task in its batch. `branch`: which of several plays of one task.

    `candidates`: how many are sampled at each turn.
    """

    task: Task
    place: int
    branch: int
    candidates: int
    settings: RolloutSettings

    def seed(self, *parts: str | int) -> int:
        """The seed of one thing in this play, e.g. of (turn, candidate, completion)."""
        return derive(self.settings.seed, self.task.id, self.place, self.branch, *parts)
