"""Group-relative advantages."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def grpo(rewards: Sequence[float]) -> list[float]:
    """(r - mean) / std of one group, with the sample standard deviation (ddof = 1).

    A group of one, or of equal rewards, gives exactly 0 for all.
    Source: Shao et al. 2024, section 4.1.2 (arXiv:2402.03300); grouping by (task, turn, agent) makes
    it AT-GRPO (arXiv:2510.11062).
    """
    # Equal rewards are recognised by comparison: rounding may leave a tiny std, and 0 / tiny is not 0.
    if max(rewards) == min(rewards):
        return [0.0] * len(rewards)
    mean, deviation = statistics.fmean(rewards), statistics.stdev(rewards)
    return [(reward - mean) / deviation for reward in rewards]
