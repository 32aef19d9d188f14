"""Estimates of the distance to the reference policy from sampled tokens."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from pettingllms.losses.ratio import LARGEST_LOG_RATIO, ratio

KlKind = Literal["kl", "k1", "abs", "mse", "k2", "low_var_kl", "k3"]


def kl_estimate(kind: KlKind, new_N: Tensor, reference_N: Tensor) -> Tensor:
    """Estimates of KL(new || reference) at tokens that were sampled from new; nats, shape [N].

    `new_N`, `reference_N`: log-probabilities in nats of the sampled tokens. With d = new - reference:
    `kl` = `k1`: d. `abs`: |d|. `mse` = `k2`: d^2 / 2. `low_var_kl` = `k3`: exp(-d) + d - 1.
    On average k1 and k3 are the distance; as a loss on fresh samples only k2 has its gradient.
    In k3, -d above 20 counts as 20, against overflow; nothing else is clamped (verl also keeps k3 within
    ±10, which takes its gradient there).
    Sources: Schulman 2020, "Approximating KL divergence"; names and meanings as in verl.
    """
    d = new_N - reference_N
    match kind:
        case "kl" | "k1":
            return d
        case "abs":
            return d.abs()
        case "mse" | "k2":
            return d.square() / 2
        case "low_var_kl" | "k3":
            d = d.clamp(min=-LARGEST_LOG_RATIO)
            return (-d).exp() + d - 1


def bias_corrected(kind: KlKind, estimate_N: Tensor, new_N: Tensor, old_N: Tensor) -> Tensor:
    """Weight estimates at tokens sampled from old by the ratio new / old; shape [N].

    The mean gradient is then that of KL(new || reference): of k1 and k3 because the ratio carries gradient,
    of k2, whose own gradient already is the distance's, because it does not. `abs` gets the gradient of
    the mean of |new - reference|. Source of the weight: DeepSeek-V3.2 (arXiv:2512.02556).
    """
    ratio_N = ratio(new_N, old_N)
    return estimate_N * (ratio_N.detach() if kind in ("mse", "k2") else ratio_N)
