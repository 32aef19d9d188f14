"""Plays many scripts at once: their requests go to one engine, their jobs to threads."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
COLLECT_AFTER = 2_000_000
"""New objects after which Python looks for cyclic garbage during a play: some 200 MB of small ones."""


def play_scripts(
    scripts: Sequence[Script[T]],
    engine: Engine,
    *,
    workers: int,
    phases: bool,
    merged: bool,
    heartbeat: Callable[[], None],
) -> list[T]:
    """What each script returns, in order; no script waits for another one's answers.

    `workers`: threads in which jobs run; the engine and the scripts themselves stay in the caller's thread.
    `phases`: batches shall be the same in every run: requests wait until nothing is pending and no job runs;
    then those of the policy with the most of them (ties by name) are submitted together, in the order of
    the scripts. Jobs wait until they are answered, as on a CPU they would take the engine's cores.
    `merged`: the engine serves one policy's weights at a time. Without phases, requests of the policy whose
    requests are pending go to the engine as they come, unless more wait for another policy than are pending;
    the others wait until it is idle. Then the policy with the most of them is next, whatever jobs still run.
    `heartbeat` is called every time that something has happened, and every 0.2 s while jobs run.

    Whatever a script, a job, the engine or `heartbeat` raises ends the play at once; jobs under way are
    left alone and their results dropped, and the engine may be left with pending requests. An engine that
    answers nothing while requests are pending, or what is not pending, is a RolloutError.
    """
    with _rare_collection(), Workers(workers, len(scripts)) as pool:
        return _Scheduler(scripts, engine, pool, phases, merged).play(heartbeat)


@contextmanager
def _rare_collection() -> Iterator[None]:
    """Let Python look for cyclic garbage less often.

    What a play builds is kept until its update: looking through it again and again takes as long as the play.
    """
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], COLLECT_AFTER) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@dataclass(slots=True)
class _Line(Generic[T]):
    """One script: the answers that it waits for, and at last its result."""

    script: Script[T]
    answers: list[Any] = field(default_factory=list)
    missing: int = 0
    result: list[T] = field(default_factory=list)


class _Scheduler(Generic[T]):
    def __init__(
        self, scripts: Sequence[Script[T]], engine: Engine, pool: Workers, phases: bool, merged: bool
    ) -> None:
        self._lines: list[_Line[T]] = [_Line(script) for script in scripts]
        self._live = len(scripts)
        self._engine, self._pool = engine, pool
        self._phases, self._merged = phases, merged
        self._served = ""
        """The policy whose requests were submitted last, where one is served at a time."""
        self._waiting: dict[str, list[tuple[int, int, Request]]] = {}
        """Requests that were not submitted yet, by policy: script, place in its effect."""
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
            for slot, request in enumerate(effect.requests):
                self._waiting.setdefault(request.policy, []).append((place, slot, request))
        else:
            self._held.append((place, effect.jobs))

    def _begin_jobs(self) -> None:
        if self._phases and self._pending:
            return
        if self._held:
            self._pool.add(self._held)
            self._working += len(self._held)
            self._held = []

    def _submit(self) -> None:
        """Hand waiting requests to the engine: all of them, or those of one policy when it is their time."""
        if not self._waiting or (self._phases and (self._pending or self._working)):
            return
        policies = self._turn() if self._phases or self._merged else list(self._waiting)
        taken = [item for policy in policies for item in self._waiting.pop(policy)]
        if self._phases:
            taken.sort(key=lambda item: item[:2])
        submitted = []
        for place, slot, request in taken:
            number = next(self._numbers)
            self._pending[number] = (place, slot)
            submitted.append((number, request))
        if submitted:
            self._engine.submit(submitted)

    def _turn(self) -> list[str]:
        """Whose waiting requests may go to an engine that serves one policy at a time; empty: nobody's."""
        served = None if self._phases else self._served
        # Of equals without phases the one whose weights are there.
        most = min(self._waiting, key=lambda name: (-len(self._waiting[name]), name != served, name))
        if not self._pending:
            self._served = most
        elif most != self._served and len(self._waiting[most]) > len(self._pending):
            # However often a policy is asked again: it gives way to one that more wait for.
            return []
        return [self._served] if self._served in self._waiting else []

    def _collect(self) -> None:
        # While jobs run, their scripts may soon have more for the engine.
        wait = self._phases or not self._working
        done = self._engine.collect(wait)
        if wait and not done:
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
