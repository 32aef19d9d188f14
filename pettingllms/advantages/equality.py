"""When rewards count as equal."""

import math
from collections.abc import Sequence

TOLERANCE = 1e-6
"""Rewards differ when they lie further apart than this share of the largest of them, or of 1 where all are
smaller: rewards are of the order of 1, and sums in float32 are off by a few 1e-7 of their terms."""


def all_equal(rewards: Sequence[float]) -> bool:
    """Whether `rewards` differ by no more than rounding does; so `Group.flat` sees them too.

    The extremes are compared, not a standard deviation with 0: rounding leaves a tiny deviation behind, and
    rewards divided by it are noise of the size of 1. None, or one, count as equal.
    """
    return not rewards or math.isclose(max(rewards), min(rewards), rel_tol=TOLERANCE, abs_tol=TOLERANCE)
