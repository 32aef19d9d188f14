"""Advantages over the mean of the others: the baseline does not depend on the action that it judges."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pettingllms.advantages.equality import all_equal


def rloo(groups: Sequence[Sequence[float]]) -> list[list[float]]:
    """R - mean of the other rewards of the group.

    A group of one, or of equal rewards, gives exactly 0 for all. The gradient is that of the expected
    reward, without a factor. Source: Ahmadian et al. 2024 (arXiv:2402.14740).
    """
    return [_left_one_out(rewards) for rewards in groups]


def _left_one_out(rewards: Sequence[float]) -> list[float]:
    if all_equal(rewards):
        return [0.0] * len(rewards)
    total, others = math.fsum(rewards), len(rewards) - 1
    return [reward - (total - reward) / others for reward in rewards]
