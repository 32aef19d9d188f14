"""Ratios of probabilities, kept from overflow."""

from __future__ import annotations

from torch import Tensor

LARGEST_LOG_RATIO = 20.0
"""Differences of log-probabilities above this, in nats, count as this: exp(20) is 5e8, exp(89) no float32."""


def ratio(numerator_N: Tensor, denominator_N: Tensor) -> Tensor:
    """Probability ratios exp(numerator - denominator) of log-probabilities in nats, at most exp(20).

    At that bound the ratio carries no gradient.
    """
    return (numerator_N - denominator_N).clamp(max=LARGEST_LOG_RATIO).exp()
