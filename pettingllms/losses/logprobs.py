"""Log-probabilities of chosen tokens, never holding positions x vocabulary for all positions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
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
    hidden_NH, head_VH = hidden_NH.to(dtype), head_VH.to(dtype)
    if not head_VH.requires_grad:
        return _WithSlopes.apply(hidden_NH, head_VH, chosen_N, sampling, entropy)  # type: ignore[no-any-return]
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
    """The values, and their gradients by the hidden states, worked out while the logits are there.

    With p the distribution, W the head and T the temperature, row by row:
    d log p[c] / d h = (W[c] - p W) / T and, with the entropy S, d S / d h = -((p log p) W + S p W) / T.
    Each is one vector of H numbers, which backward only scales: no logits are kept, none computed again. All
    chunks use the same two stretches of memory, as fresh ones cost as much as a pass over them.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_NH: Tensor, head_VH: Tensor, chosen_N: Tensor, sampling: TokenSampling, entropy: bool
    ) -> tuple[Tensor, Tensor | None]:
        sloped = ctx.needs_input_grad[0]
        logprob_N, entropy_N = hidden_NH.new_empty(2, len(hidden_NH))
        slope_NH, entropy_slope_NH = torch.empty_like(hidden_NH), torch.empty_like(hidden_NH)
        shape = (min(CHUNK_POSITIONS, len(hidden_NH)), len(head_VH))
        rooms_CV = (hidden_NH.new_empty(shape), hidden_NH.new_empty(shape))
        for begin in range(0, len(hidden_NH), CHUNK_POSITIONS):
            chunk = slice(begin, begin + CHUNK_POSITIONS)
            chosen_C = chosen_N[chunk]
            logits_CV, mass_CV = (room_CV[: len(chosen_C)] for room_CV in rooms_CV)
            torch.mm(hidden_NH[chunk], head_VH.T, out=logits_CV)
            if sampling.temperature != 1:
                logits_CV /= sampling.temperature
            if truncates(sampling):
                # Not -inf, which times a mass of 0 would be no number.
                outside_CV = ~kept_tokens(logits_CV, chosen_C, sampling)
                logits_CV.masked_fill_(outside_CV, torch.finfo(logits_CV.dtype).min)
            logits_CV -= logits_CV.amax(dim=1, keepdim=True)
            torch.exp(logits_CV, out=mass_CV)
            total_C1 = mass_CV.sum(dim=1, keepdim=True)
            logprob_N[chunk] = (logits_CV.gather(1, chosen_C[:, None]) - total_C1.log()).squeeze(1)
            mean_CH = mass_CV @ head_VH / total_C1 if sloped else None
            if mean_CH is not None:
                slope_NH[chunk] = (head_VH[chosen_C] - mean_CH) / sampling.temperature
            if entropy:
                weight_CV = logits_CV.sub_(total_C1.log()).mul_(mass_CV)
                entropy_C1 = -weight_CV.sum(dim=1, keepdim=True) / total_C1
                entropy_N[chunk] = entropy_C1.squeeze(1)
                if mean_CH is not None:
                    pull_CH = weight_CV @ head_VH / total_C1 + entropy_C1 * mean_CH
                    entropy_slope_NH[chunk] = -pull_CH / sampling.temperature
        if sloped:
            ctx.save_for_backward(slope_NH, *([entropy_slope_NH] if entropy else []))
        return logprob_N, entropy_N if entropy else None

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *slopes_N: Tensor | None) -> tuple[Tensor | None, ...]:
        gradient_NH = None
        for own_N, slope_NH in zip(slopes_N, ctx.saved_tensors, strict=False):
            if own_N is not None:
                part_NH = own_N[:, None] * slope_NH
                gradient_NH = part_NH if gradient_NH is None else gradient_NH.add_(part_NH)
        return gradient_NH, None, None, None, None
