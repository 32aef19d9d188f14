"""Importance weights: what a sample of the engine counts where the trainer's probabilities differ."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from pettingllms.losses.ratio import LARGEST_LOG_RATIO

Level = Literal["token", "sequence"]
Mode = Literal["truncate", "mask"]


def importance_weights(
    old_N: Tensor,
    engine_N: Tensor,
    sequence_N: Tensor,
    *,
    level: Level,
    mode: Mode,
    threshold: float,
    lower: float,
) -> Tensor:
    """Weights trainer / engine probability of the sampled tokens, without gradient, shape [N].

    `old_N`, `engine_N`: log-probabilities in nats by the trainer before its update and by the engine.
    `sequence_N`: which sequence a token belongs to; all tokens of a sequence must be there. At level
    `sequence`, each token has the product of its sequence's ratios. Mode `truncate` cuts weights above
    `threshold` to it and does not read `lower`; mode `mask` sets weights outside [`lower`, `threshold`] to 0.
    A token of weight 0 stays in the counts of the loss, as in TRL; verl takes it out of them.
    Where the engine's value is no finite number, the token's ratio is 1. The logarithm of a weight is
    kept within ±20, against overflow.
    Sources: Ionides 2008 (truncated weights); Liu et al. 2025, "When Speed Kills Stability" (levels).
    """
    log_N = torch.where(engine_N.isfinite(), old_N - engine_N, 0.0).detach()
    if level == "sequence":
        sequences, place_N = sequence_N.unique(return_inverse=True)
        # In float64 the order of the sum does not show.
        log_S = log_N.new_zeros(len(sequences), dtype=torch.float64).index_add_(0, place_N, log_N.double())
        log_N = log_S[place_N].to(log_N.dtype)
    weight_N = log_N.clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO).exp()
    if mode == "truncate":
        return weight_N.clamp(max=threshold)
    return torch.where((weight_N < lower) | (weight_N > threshold), 0.0, weight_N)
