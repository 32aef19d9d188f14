"""The loss of a critic: squared distance to the returns, with values kept near those before the update."""

from __future__ import annotations

from torch import Tensor


def value_loss(value_N: Tensor, old_N: Tensor, return_N: Tensor, *, clip: float) -> tuple[Tensor, Tensor]:
    """Return the loss of each token and whether clipping took its gradient; both shape [N].

    0.5 x max((value - return)^2, (clipped - return)^2), where `clipped` is the value kept within `clip` of
    `old_N`, the value before the update; units are those of rewards, squared. Only `value_N` carries
    gradient. A value that has moved further than `clip` towards its return gets no gradient; one that has
    moved away gets its own. An infinite `clip` turns it off.
    Source: OpenAI Baselines, `ppo2/model.py`, as in verl and TRL.
    """
    clipped_N = value_N.clamp(old_N - clip, old_N + clip)
    plain_N, bounded_N = (value_N - return_N).square(), (clipped_N - return_N).square()
    return 0.5 * plain_N.maximum(bounded_N), bounded_N > plain_N
