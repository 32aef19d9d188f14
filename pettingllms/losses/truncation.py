"""Which tokens of the vocabulary are left to draw from: min_p, top_k and top_p, as the engine has them."""

from __future__ import annotations

import torch
from torch import Tensor

from pettingllms.types import TokenSampling


def truncates(sampling: TokenSampling) -> bool:
    """Whether the draw leaves any token out."""
    return sampling.min_p > 0 or sampling.top_k > 0 or sampling.top_p < 1


def kept_tokens(logits_NV: Tensor, chosen_N: Tensor, sampling: TokenSampling) -> Tensor:
    """Whether each token was left to draw from; bool, shape [N, V].

    `logits_NV`: already divided by the temperature. `chosen_N`: the drawn ids, which are always in the set:
    the engine could choose them, even where its rounding differs from the trainer's.

    The order is vLLM's: min_p, then top_k, then top_p on the distribution that is left. min_p drops tokens
    less likely than `min_p` times the most likely one. top_k keeps every token that is as likely as the
    k-th one. top_p drops the least likely tokens as long as their sum is at most 1 - top_p, so that the token
    that crosses the nucleus mass stays, and the most likely one always does; among equally likely
    tokens at that border, the sort decides. Source: vLLM 0.32, `v1/sample`.
    """
    logits = logits_NV.detach()
    if sampling.min_p > 0:
        probabilities = logits.softmax(dim=1)
        least = probabilities.amax(dim=1, keepdim=True) * sampling.min_p
        logits = logits.masked_fill(probabilities < least, -torch.inf)
    if 0 < sampling.top_k < logits.shape[1]:
        least = logits.topk(sampling.top_k, dim=1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    kept_NV = logits > -torch.inf
    if sampling.top_p < 1:
        ascending, order = logits.sort(dim=1)
        outside = ascending.softmax(dim=1).cumsum(dim=1) <= 1 - sampling.top_p
        outside[:, -1] = False
        kept_NV &= ~torch.empty_like(outside).scatter_(1, order, outside)
    return kept_NV.scatter_(1, chosen_N[:, None], True)
