"""Log-probabilities of chosen tokens, never holding positions x vocabulary for all positions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CHUNK_POSITIONS = 256
"""Positions whose logits exist at one time: 256 x 49,152 x 4 bytes = 50 MB for the embedded model."""


def chosen_logprobs(hidden_NH: Tensor, head_VH: Tensor, chosen_N: Tensor, temperature_N: Tensor) -> Tensor:
    """Log-probabilities in nats, float32, shape [N].

    `hidden_NH`: last hidden states at the positions that predict the chosen tokens.
    `head_VH`: output matrix; the product is taken in float32 whatever its type.
    `chosen_N`: token ids. `temperature_N`: softmax temperatures, > 0.
    The logits of a chunk are recomputed in the backward pass instead of kept.
    """
    parts = [
        checkpoint(_chunk_logprobs, hidden, head_VH, chosen, temperature, use_reentrant=False)
        for hidden, chosen, temperature in zip(
            hidden_NH.split(CHUNK_POSITIONS),
            chosen_N.split(CHUNK_POSITIONS),
            temperature_N.split(CHUNK_POSITIONS),
            strict=True,
        )
    ]
    return torch.cat(parts)


def _chunk_logprobs(hidden_CH: Tensor, head_VH: Tensor, chosen_C: Tensor, temperature_C: Tensor) -> Tensor:
    logits_CV = hidden_CH.float() @ head_VH.float().T / temperature_C[:, None]
    chosen = logits_CV.gather(1, chosen_C[:, None]).squeeze(1)
    return chosen - logits_CV.logsumexp(dim=1)
