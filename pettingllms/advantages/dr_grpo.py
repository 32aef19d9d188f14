"""Group-relative advantages without a division: hard and easy tasks weigh what their rewards say."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from pettingllms.advantages.equality import all_equal


def dr_grpo(groups: Sequence[Sequence[float]]) -> list[list[float]]:
    """R - mean within each group.

    A group of one, or of equal rewards, gives exactly 0 for all. The mean holds the reward itself, so the
    gradient of a group of K is (K - 1) / K of the exact one in expectation; `rloo` is this times
    K / (K - 1). Source: Liu et al. 2025 (arXiv:2503.20783).
    """
    return [_centred(rewards) for rewards in groups]


def _centred(rewards: Sequence[float]) -> list[float]:
    if all_equal(rewards):
        return [0.0] * len(rewards)
    mean = statistics.fmean(rewards)
    return [reward - mean for reward in rewards]
