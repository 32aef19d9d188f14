"""The clipped surrogate loss of PPO."""

from __future__ import annotations

from torch import Tensor


def ppo_clip(
    new_N: Tensor, old_N: Tensor, advantage_N: Tensor, *, clip_low: float, clip_high: float
) -> tuple[Tensor, Tensor]:
    """Return the loss of each token and whether clipping took its gradient; both shape [N].

    `new_N`, `old_N`: log-probabilities in nats of the sampled tokens; `old_N` carries no gradient.
    The ratio is clipped to [1 - clip_low, 1 + clip_high]. The caller divides the sum by its token count.
    Source: Schulman et al. 2017, eq. 7 (arXiv:1707.06347); two widths: Yu et al. 2025 (arXiv:2503.14476).
    """
    ratio = (new_N - old_N).exp()
    plain = -advantage_N * ratio
    clipped = -advantage_N * ratio.clamp(1 - clip_low, 1 + clip_high)
    return plain.maximum(clipped), clipped > plain
