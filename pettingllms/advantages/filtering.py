"""Which samples are left out of the loss once advantages are known; no filter changes an advantage."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from pettingllms.types import Group


class Spot(NamedTuple):
    """A sample by its place: number of its group, number in it."""

    group: int
    member: int


Filter = Callable[[Sequence[Group], float], set[Spot]]
"""The groups of one policy's batch and the share to keep in, what is dropped out."""

ROUNDING = 9
"""Decimals to which numbers are compared: beyond them rounding would decide. Ties go to what comes first."""


def filtered(groups: Sequence[Group], method: str, ratio: float) -> list[Group]:
    """The groups of one policy's batch; what filter `method` leaves out carries its name in `dropped`.

    `ratio`: the share kept, in [0, 1], rounded up to whole samples or groups. Samples that were dropped
    before stay so, and do not count. Raises KeyError for a filter that is not in FILTERS.
    """
    spots = FILTERS[method](groups, ratio)
    return [
        replace(
            group,
            members=tuple(
                replace(member, dropped=method) if Spot(number, index) in spots else member
                for index, member in enumerate(group.members)
            ),
        )
        for number, group in enumerate(groups)
    ]


def informative_places(groups: Iterable[Group], policies: Container[str]) -> set[int]:
    """Places of the tasks that teach one of `policies` something: they have a group that is not flat.

    `policies`: those whose filter is `dapo`; other tasks are played in place of the rest. A group without a
    sample that is left teaches nothing.
    """
    return {
        group.place
        for group in groups
        if group.policy in policies
        and not group.flat
        and any(member.dropped is None for member in group.members)
    }


def keep_all(_groups: Sequence[Group], _ratio: float) -> set[Spot]:
    """Nothing is dropped."""
    return set()


def above_mean(groups: Sequence[Group], ratio: float) -> set[Spot]:
    """Drop advantages below their mean over the batch, unless they are among the best `ratio`."""
    return _below(groups, ratio, statistics.fmean)


def above_median(groups: Sequence[Group], ratio: float) -> set[Spot]:
    """Drop advantages below their median over the batch, unless they are among the best `ratio`."""
    return _below(groups, ratio, statistics.median)


def differing(groups: Sequence[Group], _ratio: float) -> set[Spot]:
    """Drop groups of equal rewards, whole. Source: Yu et al. 2025, DAPO (arXiv:2503.14476)."""
    return {spot for spot in _left(groups) if groups[spot.group].flat}


def most_varied(groups: Sequence[Group], ratio: float) -> set[Spot]:
    """Keep the `ratio` of groups, whole, whose rewards vary most: by variance over squared range."""
    left = _left(groups)
    numbers = sorted({spot.group for spot in left})
    ranked = sorted(numbers, key=lambda number: -round(_variation(groups[number]), ROUNDING))
    kept = set(ranked[: _share(ratio, len(ranked))])
    return {spot for spot in left if spot.group not in kept}


def nearest_mean(groups: Sequence[Group], ratio: float) -> set[Spot]:
    """Keep in each group the `ratio` of samples whose reward is nearest the mean of those that are left.

    Advantages stand for rewards: within a group they are the rewards moved and scaled.
    """
    dropped: set[Spot] = set()
    for number, group in enumerate(groups):
        left = [(index, one.advantage) for index, one in enumerate(group.members) if one.dropped is None]
        if left:
            mean = statistics.fmean(advantage for _, advantage in left)
            distances = [(round(abs(advantage - mean), ROUNDING), index) for index, advantage in left]
            dropped |= {Spot(number, index) for _, index in sorted(distances)[_share(ratio, len(left)) :]}
    return dropped


FILTERS: Mapping[str, Filter] = {
    "none": keep_all,
    "mean": above_mean,
    "median": above_median,
    "dapo": differing,
    "std": most_varied,
    "uid": nearest_mean,
}


def _left(groups: Sequence[Group]) -> list[Spot]:
    """What no one has dropped so far, in order."""
    return [
        Spot(number, index)
        for number, group in enumerate(groups)
        for index, member in enumerate(group.members)
        if member.dropped is None
    ]


def _advantage(groups: Sequence[Group], spot: Spot) -> float:
    return groups[spot.group].members[spot.member].advantage


def _share(ratio: float, count: int) -> int:
    """`ratio` of `count`, rounded up: 0.1 of 30 is 3, though the product is a little more than 3."""
    return math.ceil(round(ratio * count, ROUNDING))


def _below(groups: Sequence[Group], ratio: float, middle: Callable[[list[float]], float]) -> set[Spot]:
    left = _left(groups)
    if not left:
        return set()
    threshold = middle([_advantage(groups, spot) for spot in left]) - 10.0**-ROUNDING
    ranked = sorted(left, key=lambda spot: -round(_advantage(groups, spot), ROUNDING))
    best = set(ranked[: _share(ratio, len(ranked))])
    return {spot for spot in left if _advantage(groups, spot) < threshold and spot not in best}


def _variation(group: Group) -> float:
    """Variance of the rewards after they are stretched to [0, 1], from 0 to 1/4."""
    if group.flat:
        return 0.0
    return statistics.pvariance(group.rewards) / (max(group.rewards) - min(group.rewards)) ** 2
