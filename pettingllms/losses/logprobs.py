"""Log-probabilities of chosen tokens, never holding positions x vocabulary for all positions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pettingllms.losses.truncation import kept_tokens, truncates
from pettingllms.types import TokenSampling

CHUNK_POSITIONS = 256
"""Positions whose logits exist at one time: 256 x 49,152 x 4 bytes = 50 MB for the embedded model."""


def chosen_logprobs(
    hidden_NH: Tensor, head_VH: Tensor, chosen_N: Tensor, sampling: TokenSampling, *, entropy: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities of the chosen tokens and, if asked for, entropies; nats, float32, shape [N].

    `hidden_NH`: last hidden states at the positions that predict the chosen tokens. `head_VH`: output
    matrix; the product is taken in float32 whatever its type (in float64 if that is its type).
    `chosen_N`: token ids. `sampling`: how they were drawn, all of them; temperature > 0.

    The distribution is the one that was drawn from: logits / temperature, cut by min_p, top_k and top_p,
    made to sum to 1 again. Which tokens are cut carries no gradient. The entropy is that distribution's,
    over the whole vocabulary, not an estimate. The logits of a chunk are recomputed in the backward
    pass instead of kept.
    """
    parts = [
        checkpoint(
            _chunk_logprobs,
            *(hidden, head_VH, chosen, sampling, entropy),
            use_reentrant=False,
            preserve_rng_state=False,  # Nothing is drawn.
        )
        for hidden, chosen in zip(
            hidden_NH.split(CHUNK_POSITIONS), chosen_N.split(CHUNK_POSITIONS), strict=True
        )
    ]
    logprob_N = torch.cat([logprob for logprob, _ in parts])
    return logprob_N, torch.cat([of_chunk for _, of_chunk in parts]) if entropy else None


def _chunk_logprobs(
    hidden_CH: Tensor, head_VH: Tensor, chosen_C: Tensor, sampling: TokenSampling, entropy: bool
) -> tuple[Tensor, Tensor | None]:
    dtype = torch.promote_types(hidden_CH.dtype, torch.float32)
    logits_CV = hidden_CH.to(dtype) @ head_VH.to(dtype).T / sampling.temperature
    kept_CV = kept_tokens(logits_CV, chosen_C, sampling) if truncates(sampling) else None
    if kept_CV is not None:
        logits_CV = logits_CV.masked_fill(~kept_CV, -torch.inf)
    total_C = logits_CV.logsumexp(dim=1)
    logprob_C = logits_CV.gather(1, chosen_C[:, None]).squeeze(1) - total_C
    if not entropy:
        return logprob_C, None
    logprob_CV = logits_CV - total_C[:, None]
    share_CV = logprob_CV.exp()
    if kept_CV is not None:
        # A token that was cut adds 0 x -inf, which is no number.
        logprob_CV = logprob_CV.masked_fill(~kept_CV, 0.0)
    return logprob_C, -(share_CV * logprob_CV).sum(dim=1)
