"""The clipped surrogate loss of PPO."""

from __future__ import annotations

import torch
from torch import Tensor

from pettingllms.losses.ratio import ratio


def ppo_clip(
    new_N: Tensor, old_N: Tensor, advantage_N: Tensor, *, clip_low: float, clip_high: float, clip_c: float
) -> tuple[Tensor, Tensor]:
    """Return the loss of each token and whether clipping took its gradient; both shape [N].

    `new_N`, `old_N`: log-probabilities in nats of the sampled tokens; `old_N` carries no gradient.
    The ratio new / old is clipped to [1 - clip_low, 1 + clip_high]. Where the advantage is negative, the
    loss is at most `clip_c` times its size: dual clip; an infinite `clip_c` turns it off.
    Sources: Schulman et al. 2017, eq. 7 (arXiv:1707.06347); two widths: Yu et al. 2025
    (arXiv:2503.14476); dual clip: Ye et al. 2020 (arXiv:1912.09729).
    """
    ratio_N = ratio(new_N, old_N)
    plain = -advantage_N * ratio_N
    clipped = -advantage_N * ratio_N.clamp(1 - clip_low, 1 + clip_high)
    loss = plain.maximum(clipped)
    most = -advantage_N * clip_c
    bounded = (advantage_N < 0) & (loss > most)
    return torch.where(bounded, most, loss), (clipped > plain) | bounded
