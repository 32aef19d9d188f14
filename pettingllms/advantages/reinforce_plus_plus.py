"""Advantages over the whole batch of a policy; groups play no part."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from pettingllms.advantages.equality import all_equal


def reinforce_plus_plus(groups: Sequence[Sequence[float]]) -> list[list[float]]:
    """(r - mean) / std over the rewards of all groups together, with the sample deviation (ddof = 1).

    A batch of one, or of equal rewards, gives exactly 0 for all. A group of equal rewards does not where
    the batch differs from it: there is no baseline of the group. Source: Hu et al. 2025, REINFORCE++
    without baseline (arXiv:2501.03262).
    """
    batch = [reward for rewards in groups for reward in rewards]
    if all_equal(batch):
        return [[0.0] * len(rewards) for rewards in groups]
    mean, deviation = statistics.fmean(batch), statistics.stdev(batch)
    return [[(reward - mean) / deviation for reward in rewards] for rewards in groups]
