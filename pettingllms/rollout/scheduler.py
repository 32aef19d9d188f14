"""Plays many scripts at once: their requests go to one engine, their jobs to threads."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pettingllms.errors import RolloutError
from pettingllms.rollout.effects import Generate, Script
from pettingllms.rollout.engine import Engine
from pettingllms.rollout.workers import Workers
from pettingllms.types import Request

T = TypeVar("T")

WAIT_SECONDS = 0.2
"""The longest time without a heartbeat while jobs run."""


def play_scripts(
    scripts: Sequence[Script[T]], engine: Engine, *, workers: int, phases: bool, heartbeat: Callable[[], None]
) -> list[T]:
    """What each script returns, in order; no script waits for another one's answers.

    `workers`: threads in which jobs run; the engine and the scripts themselves stay in the caller's thread.
    `phases`: for an engine that serves one policy's weights at a time, and where batches shall be the same
    in every run: requests wait until nothing is pending and no job runs; then those of the policy with
    the most of them (ties by name) are submitted together, in the order of the scripts. Jobs wait until
    they are answered, as on a CPU they would take the engine's cores.
    `heartbeat` is called every time that something has happened, and every 0.2 s while jobs run.

    Whatever a script, a job, the engine or `heartbeat` raises ends the play at once; jobs under way are
    left alone and their results dropped, and the engine may be left with pending requests. An engine that
    answers nothing while requests are pending, or what is not pending, is a RolloutError.
    """
    with Workers(workers, len(scripts)) as pool:
        return _Scheduler(scripts, engine, pool, phases).play(heartbeat)


@dataclass(slots=True)
class _Line(Generic[T]):
    """One script: the answers that it waits for, and at last its result."""

    script: Script[T]
    answers: list[Any] = field(default_factory=list)
    missing: int = 0
    result: list[T] = field(default_factory=list)


class _Scheduler(Generic[T]):
    def __init__(self, scripts: Sequence[Script[T]], engine: Engine, pool: Workers, phases: bool) -> None:
        self._lines: list[_Line[T]] = [_Line(script) for script in scripts]
        self._live = len(scripts)
        self._engine, self._pool, self._phases = engine, pool, phases
        self._waiting: list[tuple[int, int, Request]] = []
        """Requests that were not submitted yet: script, place in its effect."""
        self._pending: dict[int, tuple[int, int]] = {}
        """Script and place of each request that the engine works on."""
        self._held: list[tuple[int, Sequence[Callable[[], Any]]]] = []
        """Jobs that wait for the end of a phase, by their scripts."""
        self._numbers = itertools.count()
        self._working = 0
        """Scripts whose jobs run."""

    def play(self, heartbeat: Callable[[], None]) -> list[T]:
        for place in range(len(self._lines)):
            self._advance(place, None)
        while self._live:
            heartbeat()
            self._begin_jobs()
            self._submit()
            if self._pending and not self._pool.ready():
                self._collect()
                continue
            for place, results in self._pool.finished(WAIT_SECONDS):
                self._working -= 1
                self._advance(place, results)
        heartbeat()
        return [line.result[0] for line in self._lines]

    def _advance(self, place: int, answer: list[Any] | None) -> None:
        """Go on with a script until it asks for something again."""
        line = self._lines[place]
        try:
            effect = line.script.send(answer)
        except StopIteration as end:
            line.result.append(end.value)
            self._live -= 1
            self._pool.share(self._live)
            return
        if isinstance(effect, Generate):
            line.missing = len(effect.requests)
            line.answers = [None] * line.missing
            self._waiting += [(place, slot, request) for slot, request in enumerate(effect.requests)]
        else:
            self._held.append((place, effect.jobs))

    def _begin_jobs(self) -> None:
        if self._phases and self._pending:
            return
        held, self._held = self._held, []
        for place, jobs in held:
            self._working += 1
            self._pool.add(place, jobs)

    def _submit(self) -> None:
        """Hand waiting requests to the engine: all of them, or one phase when nothing else goes on."""
        if not self._waiting or (self._phases and (self._pending or self._working)):
            return
        chosen, self._waiting = self._waiting, []
        if self._phases:
            counts = Counter(request.policy for _, _, request in chosen)
            policy = min(counts, key=lambda name: (-counts[name], name))
            self._waiting = [item for item in chosen if item[2].policy != policy]
            chosen = sorted((item for item in chosen if item[2].policy == policy), key=lambda item: item[:2])
        submitted = []
        for place, slot, request in chosen:
            number = next(self._numbers)
            self._pending[number] = (place, slot)
            submitted.append((number, request))
        self._engine.submit(submitted)

    def _collect(self) -> None:
        done = self._engine.collect()
        if not done:
            raise RolloutError(f"the engine answered nothing while {len(self._pending)} requests are pending")
        for number, completion in done:
            if number not in self._pending:
                raise RolloutError(f"the engine answered request {number}, which is not pending")
            place, slot = self._pending.pop(number)
            line = self._lines[place]
            line.answers[slot] = completion
            line.missing -= 1
            if not line.missing:
                self._advance(place, line.answers)
