"""How the losses of tokens become one number: the weight of each token in the sum."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Aggregation = Literal["token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"]


def token_weights(
    mode: Aggregation, sequence_N: Tensor, length_S: Tensor, *, tokens: int, sequences: int, scale: float
) -> Tensor:
    """Weights such that the sum of weight x loss is the value of the mode; float32, shape [N].

    `sequence_N`: which sequence a token belongs to. `length_S`: whole lengths of the sequences in tokens.
    `tokens`, `sequences`: counts of the whole mini-batch, over all ranks, each at least 1, so that the sums
    of its parts add up. `token-mean`: 1 / tokens. `seq-mean-token-sum`: 1 / sequences.
    `seq-mean-token-mean`: 1 / (sequences x own length), as in GRPO (arXiv:2402.03300).
    `seq-mean-token-sum-norm`: 1 / (sequences x scale), as in Dr. GRPO (arXiv:2503.20783).
    """
    if mode == "seq-mean-token-mean":
        return 1 / (sequences * length_S.to(torch.float32)[sequence_N])
    divisors = {
        "token-mean": tokens,
        "seq-mean-token-sum": sequences,
        "seq-mean-token-sum-norm": sequences * scale,
    }
    return torch.full(sequence_N.shape, 1 / divisors[mode], dtype=torch.float32, device=sequence_N.device)
