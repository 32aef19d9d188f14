"""The loss of a policy update: surrogate, distance to the reference and entropy, summed over tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pettingllms.losses.aggregation import Aggregation, token_weights
from pettingllms.losses.importance import Level, Mode, importance_weights
from pettingllms.losses.kl import KlKind, bias_corrected, kl_estimate
from pettingllms.losses.ppo_clip import ppo_clip


@dataclass(frozen=True, slots=True)
class LossSettings:
    """The numbers of the loss; what they mean stands at the functions that read them.

    `scale`: of `seq-mean-token-sum-norm`. `kl_coef` 0: no distance in the loss. `rollout_is` false: every
    importance weight is 1.
    """

    clip_low: float
    clip_high: float
    clip_c: float
    aggregation: Aggregation
    scale: float
    kl_coef: float
    kl_kind: KlKind
    kl_bias_correction: bool
    entropy_coeff: float
    rollout_is: bool
    is_level: Level
    is_mode: Mode
    is_threshold: float
    is_lower: float


@dataclass(frozen=True, slots=True)
class LossTokens:
    """The sampled tokens of whole sequences; log-probabilities in nats.

    Only `new_N` and `entropy_N` carry gradient. `old_N`: by the trainer before the update. `engine_N`: as
    sampled; may hold NaN and infinities. `sequence_N`: which sequence of `length_S` a token belongs to.
    `length_S`: in tokens. `reference_N`: needed where `kl_coef` is not 0, `entropy_N` where `entropy_coeff`
    is not.
    """

    new_N: Tensor
    old_N: Tensor
    engine_N: Tensor
    advantage_N: Tensor
    sequence_N: Tensor
    length_S: Tensor
    reference_N: Tensor | None = None
    entropy_N: Tensor | None = None


def policy_loss(
    tokens: LossTokens, settings: LossSettings, *, total_tokens: int, total_sequences: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the part of the loss that these tokens make, and sums over them, detached, float64.

    Each token adds weight x [importance x clipped surrogate + kl_coef x distance - entropy_coeff x entropy].
    `total_tokens`, `total_sequences`: counts of the whole mini-batch, of which the tokens may be a part.

    Sums: `surrogate`, its part of the loss; `kl`, old - new; `clipped`, tokens whose gradient clipping took;
    `engine_gap`, |engine - old| where finite; `nonfinite_engine`, tokens where not; `is_weight`; `is_capped`,
    tokens whose weight was cut or masked; `entropy`, exact if given, else -new; `reference_kl`, if there is
    a reference, of `kl_kind` without bias correction.
    Raises ValueError when the settings need what the tokens lack.
    """
    new_N, old_N = tokens.new_N, tokens.old_N
    is_weight_N = _importance(tokens, settings)
    in_surrogate = is_weight_N > 0
    # Where a masked token's ratio is past all bounds, 0 times its gradient would be no number.
    surrogate_N, clipped_N = ppo_clip(
        torch.where(in_surrogate, new_N, old_N),
        old_N,
        tokens.advantage_N,
        clip_low=settings.clip_low,
        clip_high=settings.clip_high,
        clip_c=settings.clip_c,
    )
    surrogate_N = torch.where(in_surrogate, is_weight_N * surrogate_N, 0.0)
    loss_N = surrogate_N
    reference_kl_N = None
    if tokens.reference_N is not None:
        reference_kl_N = kl_estimate(settings.kl_kind, new_N, tokens.reference_N)
    if settings.kl_coef:
        if reference_kl_N is None:
            raise ValueError("a distance in the loss needs the reference's log-probabilities")
        distance_N = reference_kl_N
        if settings.kl_bias_correction:
            distance_N = bias_corrected(settings.kl_kind, distance_N, new_N, old_N)
        loss_N = loss_N + settings.kl_coef * distance_N
    if settings.entropy_coeff:
        if tokens.entropy_N is None:
            raise ValueError("an entropy bonus needs the entropies")
        loss_N = loss_N - settings.entropy_coeff * tokens.entropy_N
    weight_N = token_weights(
        settings.aggregation,
        tokens.sequence_N,
        tokens.length_S,
        tokens=total_tokens,
        sequences=total_sequences,
        scale=settings.scale,
    )
    capped_N = is_weight_N >= settings.is_threshold if settings.is_mode == "truncate" else ~in_surrogate
    finite_N = tokens.engine_N.isfinite()
    measured = {
        "surrogate": weight_N * surrogate_N,
        "kl": old_N - new_N,
        "clipped": clipped_N,
        "engine_gap": torch.where(finite_N, (tokens.engine_N - old_N).abs(), 0.0),
        "nonfinite_engine": ~finite_N,
        "is_weight": is_weight_N,
        "is_capped": capped_N,
        "entropy": -new_N if tokens.entropy_N is None else tokens.entropy_N,
    }
    if reference_kl_N is not None:
        measured["reference_kl"] = reference_kl_N
    sums = {name: value.detach().sum(dtype=torch.float64) for name, value in measured.items()}
    return (weight_N * loss_N).sum(), sums


def _importance(tokens: LossTokens, settings: LossSettings) -> Tensor:
    if not settings.rollout_is:
        return torch.ones_like(tokens.old_N)
    return importance_weights(
        tokens.old_N,
        tokens.engine_N,
        tokens.sequence_N,
        level=settings.is_level,
        mode=settings.is_mode,
        threshold=settings.is_threshold,
        lower=settings.is_lower,
    )
