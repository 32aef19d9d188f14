"""Plays a batch of tasks: which episodes there are, and how far they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from pettingllms.envs.base import Env
from pettingllms.rollout.border import Failed
from pettingllms.rollout.effects import Script
from pettingllms.rollout.engine import Engine
from pettingllms.rollout.episode import play_episode, set_up
from pettingllms.rollout.prompts import Tokenizer
from pettingllms.rollout.scheduler import play_scripts
from pettingllms.rollout.settings import RolloutSettings, Seat
from pettingllms.rollout.team import Team
from pettingllms.types import Episode, Task

__all__ = ["Rollout", "RolloutSettings"]

T = TypeVar("T")

REPORT_SECONDS = 0.3
"""After this long without news the progress is told again."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """Plays tasks with a team.

    `workers`: threads in which agents and environments act. `phases`: runs shall be the same bit for bit, so
    that all wait for the slowest; `merged`: the engine serves one policy's weights at a time (see
    `play_scripts`). `tokenizers`: by policy. They and `engine` are used in the caller's thread only.
    """

    team: Team
    engine: Engine
    tokenizers: Mapping[str, Tokenizer]
    make_env: Callable[[Task], Env]
    workers: int
    phases: bool
    merged: bool

    def play(
        self,
        tasks: Sequence[tuple[int, Task]],
        settings: RolloutSettings,
        on_progress: Callable[[int, int], None],
    ) -> list[Episode]:
        """Play the tasks, each under its place in the whole batch; returns episodes by place and branch.

        `on_progress(done turns, all turns)` is called in the caller's thread: at every percent, and at
        least every half second while nothing but environments work; what it raises ends the play. Turns
        that an episode does without, as it ended early, count as done.
        Raises RolloutError where the engine fails. What an agent or environment fails at has no reward.
        """
        return self.play_casts([(self.team, tasks)], settings, on_progress)[0]

    def play_casts(
        self,
        casts: Sequence[tuple[Team, Sequence[tuple[int, Task]]]],
        settings: RolloutSettings,
        on_progress: Callable[[int, int], None],
    ) -> list[list[Episode]]:
        """Play several teams at once, each its own tasks, as `play` does; returns the episodes of each team.

        Places tell apart the plays of one team. All teams play for the same number of turns.
        """
        for _, tasks in casts:
            if len({place for place, _ in tasks}) != len(tasks):
                raise ValueError("places tell plays apart: no two tasks may have the same")
        branches, candidates = (
            (1, settings.candidates) if settings.mode == "tree" else (settings.candidates, 1)
        )
        seats = [
            (number, Seat(task, place, branch, candidates, settings))
            for number, (_, tasks) in enumerate(casts)
            for place, task in sorted(tasks, key=lambda item: item[0])
            for branch in range(branches)
        ]
        progress = _Progress(len(seats), self.team.max_turns, on_progress)

        def episode(number: int, env: Env | Failed) -> Script[Episode]:
            cast, seat = seats[number]
            on_turn = partial(progress.reached, number)
            return play_episode(casts[cast][0], self.tokenizers, seat, env, on_turn)

        def whole(number: int, task: Task) -> Script[Episode]:
            env = yield from set_up(self.make_env, task)
            return (yield from episode(number, env))

        if settings.together:
            envs = self._all([set_up(self.make_env, seat.task) for _, seat in seats], progress)
            played = self._all([episode(number, env) for number, env in enumerate(envs)], progress)
        else:
            played = self._all([whole(number, seat.task) for number, (_, seat) in enumerate(seats)], progress)
        episodes: list[list[Episode]] = [[] for _ in casts]
        for (cast, _), one in zip(seats, played, strict=True):
            episodes[cast].append(one)
        return episodes

    def _all(self, scripts: Sequence[Script[T]], progress: _Progress) -> list[T]:
        return play_scripts(
            scripts,
            self.engine,
            workers=self.workers,
            phases=self.phases,
            merged=self.merged,
            heartbeat=progress.beat,
        )


class _Progress:
    """How many turns of all episodes are done; told at every percent, and from time to time."""

    def __init__(self, episodes: int, turns: int, report: Callable[[int, int], None]) -> None:
        self._reached = [0] * episodes
        self._done, self._total, self._report = 0, episodes * turns, report
        self._told, self._when = 0, time.monotonic()

    def reached(self, episode: int, turns: int) -> None:
        """`turns` turns of `episode` are done."""
        self._done += turns - self._reached[episode]
        self._reached[episode] = turns

    def beat(self) -> None:
        """Report, where there is news or the last report is old; what the report raises goes through."""
        percent, now = 100 * self._done // max(self._total, 1), time.monotonic()
        if percent > self._told or now - self._when > REPORT_SECONDS:
            self._told, self._when = percent, now
            self._report(self._done, self._total)
