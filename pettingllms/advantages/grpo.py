"""Group-relative advantages."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from pettingllms.advantages.equality import all_equal


def grpo(groups: Sequence[Sequence[float]]) -> list[list[float]]:
    """(r - mean) / std within each group, with the sample standard deviation (ddof = 1).

    A group of one, or of equal rewards, gives exactly 0 for all.
    Source: Shao et al. 2024, section 4.1.2 (arXiv:2402.03300); grouping by (task, agent, turn) makes
    it AT-GRPO (arXiv:2510.11062).
    """
    return [_standardised(rewards) for rewards in groups]


def _standardised(rewards: Sequence[float]) -> list[float]:
    if all_equal(rewards):
        return [0.0] * len(rewards)
    mean, deviation = statistics.fmean(rewards), statistics.stdev(rewards)
    return [(reward - mean) / deviation for reward in rewards]
