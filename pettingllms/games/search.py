"""Shortest plans: A* over states, which is breadth-first search where nothing is estimated."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

S = TypeVar("S", bound=Hashable)
A = TypeVar("A")


class TooFarError(Exception):
    """The search was given up: more states than were allowed."""


def shortest(
    start: S,
    successors: Callable[[S], Iterable[tuple[A, S]]],
    estimate: Callable[[S], float | None],
    most: int,
) -> list[A] | None:
    """Fewest actions from `start` to a state of which `estimate` is 0; None where there is no such way.

    `estimate`: never more actions than are needed, by one action never less than one smaller, and 0 only at
    the goal; None where the goal is out of reach. Raises TooFarError after `most` states.
    """
    first = estimate(start)
    if first is None:
        return None
    came: dict[S, tuple[S, A] | None] = {start: None}
    steps = {start: 0}
    queue: list[tuple[float, float, int, S]] = [(first, first, 0, start)]
    looked, count = 0, 0
    while queue:
        _, left, _, state = heapq.heappop(queue)
        if left == 0:
            return _actions(came, state)
        looked += 1
        if looked > most:
            raise TooFarError
        for action, other in successors(state):
            if steps.get(other, steps[state] + 2) <= steps[state] + 1:
                continue
            further = estimate(other)
            if further is None:
                continue
            steps[other] = steps[state] + 1
            came[other] = (state, action)
            count += 1
            heapq.heappush(queue, (steps[other] + further, further, count, other))
    return None


def _actions(came: dict[S, tuple[S, A] | None], state: S) -> list[A]:
    found = []
    while (before := came[state]) is not None:
        state, action = before
        found.append(action)
    return found[::-1]
