"""Log-probabilities of chosen tokens, never holding positions x vocabulary for all positions."""

from __future__ import annotations

from typing import Any

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
    over the whole vocabulary, not an estimate. The logits of a chunk are gone when the next one begins: what
    the backward pass needs of them is worked out at once, or where the output matrix is trained, too, they
    are computed again.
    """
    dtype = torch.promote_types(hidden_NH.dtype, torch.float32)
    head_VH = head_VH.to(dtype)
    parts: list[tuple[Tensor, Tensor | None]] = []
    for hidden, chosen in zip(hidden_NH.split(CHUNK_POSITIONS), chosen_N.split(CHUNK_POSITIONS), strict=True):
        if head_VH.requires_grad and torch.is_grad_enabled():
            parts.append(
                checkpoint(
                    _chunk_logprobs,
                    *(hidden.to(dtype), head_VH, chosen, sampling, entropy),
                    use_reentrant=False,
                    preserve_rng_state=False,  # Nothing is drawn.
                )
            )
        else:
            parts.append(_WithSlopes.apply(hidden.to(dtype), head_VH, chosen, sampling, entropy))
    logprob_N = torch.cat([logprob for logprob, _ in parts])
    return logprob_N, torch.cat(
        [of_chunk for _, of_chunk in parts if of_chunk is not None]
    ) if entropy else None


def _chunk_logprobs(
    hidden_CH: Tensor, head_VH: Tensor, chosen_C: Tensor, sampling: TokenSampling, entropy: bool
) -> tuple[Tensor, Tensor | None]:
    """The values of one chunk; autograd keeps its logits."""
    logits_CV = hidden_CH @ head_VH.T / sampling.temperature
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


class _WithSlopes(torch.autograd.Function):  # type: ignore[misc]  # torch does not type it
    """The values of one chunk, and their gradients by the hidden states while the logits are there.

    With p the distribution, W the head and T the temperature, row by row:
    d log p[c] / d h = (W[c] - p W) / T and, with the entropy S, d S / d h = -(p (log p + S)) W / T.
    Each is one vector of H numbers, which backward only scales: no logits are kept, none computed again.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_CH: Tensor, head_VH: Tensor, chosen_C: Tensor, sampling: TokenSampling, entropy: bool
    ) -> tuple[Tensor, Tensor | None]:
        logits_CV = hidden_CH @ head_VH.T
        if sampling.temperature != 1:
            logits_CV /= sampling.temperature
        if truncates(sampling):
            logits_CV.masked_fill_(~kept_tokens(logits_CV, chosen_C, sampling), -torch.inf)
        total_C1 = logits_CV.logsumexp(dim=1, keepdim=True)
        logprob_CV = logits_CV.sub_(total_C1)
        logprob_C = logprob_CV.gather(1, chosen_C[:, None]).squeeze(1)
        sloped = ctx.needs_input_grad[0]
        if not entropy:
            if sloped:
                slope_CH = torch.addmm(head_VH[chosen_C], logprob_CV.exp_(), head_VH, alpha=-1)
                ctx.save_for_backward(slope_CH.div_(sampling.temperature))
            return logprob_C, None
        share_CV = logprob_CV.exp()
        # A token that was cut would add 0 x -inf, which is no number.
        surprise_CV = logprob_CV.clamp_(min=torch.finfo(logprob_CV.dtype).min)
        entropy_C = -(share_CV * surprise_CV).sum(dim=1)
        if sloped:
            slope_CH = torch.addmm(head_VH[chosen_C], share_CV, head_VH, alpha=-1)
            weight_CV = surprise_CV.add_(entropy_C[:, None]).mul_(share_CV)
            entropy_slope_CH = (weight_CV @ head_VH).neg_()
            ctx.save_for_backward(
                slope_CH.div_(sampling.temperature), entropy_slope_CH.div_(sampling.temperature)
            )
        return logprob_C, entropy_C

    @staticmethod
    def backward(ctx: Any, *slopes_C: Tensor | None) -> tuple[Tensor | None, ...]:
        parts = [
            own_C[:, None] * slope_CH
            for own_C, slope_CH in zip(slopes_C, ctx.saved_tensors, strict=False)
            if own_C is not None
        ]
        return sum(parts) if parts else None, None, None, None, None
