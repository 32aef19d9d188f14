"""The policy update: gradients over micro-batches, then one optimizer step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from pettingllms.advantages.grouping import Group
from pettingllms.config.homes import first_set
from pettingllms.losses.ppo_clip import ppo_clip
from pettingllms.training.batching import build_batch, micro_batches, rows
from pettingllms.training.policies import Policies


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """What an update measured, averaged over the tokens that carried gradient.

    `loss`: token mean over all sampled tokens. `kl`: mean of old - new log-probability (k1), nats.
    `entropy`: mean of -new (a Monte-Carlo estimate), nats. `engine_gap`: mean |engine - trainer|, nats.
    All but `loss` are NaN when no sample carried gradient.
    """

    loss: float
    kl: float
    entropy: float
    clip_fraction: float
    engine_gap: float
    scored_tokens: int

    def metrics(self) -> dict[str, float]:
        """Name → value; what was not measured is left out."""
        values = {
            "loss": self.loss,
            "kl": self.kl,
            "entropy": self.entropy,
            "clip_fraction": self.clip_fraction,
            "engine_gap": self.engine_gap,
            "scored_tokens": self.scored_tokens,
        }
        return {name: value for name, value in values.items() if not math.isnan(value)}


def accumulate_gradients(
    policies: Policies,
    policy: str,
    groups: Sequence[Group],
    temperatures: Mapping[str, float],
    check: Callable[[], None],
) -> UpdateResult:
    """Put the gradient of the policy's loss over `groups` into its parameters.

    `temperatures`: sampling temperature by agent. The loss is the mean over all sampled tokens of the
    groups, so it does not depend on how they are cut into micro-batches. `check` is called between them.
    """
    actor = policies.plans[policy].actor
    low = first_set(actor.clip_ratio_low, actor.clip_ratio)
    high = first_set(actor.clip_ratio_high, actor.clip_ratio)
    tokens = sum(len(sample.completion.token_ids) for group in groups for sample in group.samples)
    by_temperature: dict[float, list[Group]] = {}
    for group in groups:
        by_temperature.setdefault(temperatures[group.key.agent], []).append(group)
    policies.optimizers[policy].zero_grad(set_to_none=True)
    sums = torch.zeros(5, dtype=torch.float64)
    for temperature, of_one in by_temperature.items():
        all_rows = rows(of_one, shared=policies.shared_prompt)
        for micro_batch in micro_batches(all_rows, policies.plans[policy].token_budget):
            check()
            batch = build_batch(micro_batch, policies.device)
            new = policies.logprobs(policy, batch, torch.full_like(batch.old_N, temperature))
            losses, clipped = ppo_clip(new, batch.old_N, batch.advantage_N, clip_low=low, clip_high=high)
            (losses.sum() / tokens).backward()
            with torch.no_grad():
                gap = batch.old_N - new
                parts = (losses.sum(), gap.sum(), -new.sum(), clipped.sum(), gap.abs().sum())
                sums += torch.stack([part.double().cpu() for part in parts])
    scored = sum(
        len(sample.completion.token_ids) for group in groups for sample in group.samples if sample.advantage
    )
    loss, kl, entropy, clip_fraction, gap_sum = sums.tolist()
    return UpdateResult(
        loss=loss / tokens,
        kl=kl / scored if scored else math.nan,
        entropy=entropy / scored if scored else math.nan,
        clip_fraction=clip_fraction / scored if scored else math.nan,
        engine_gap=gap_sum / scored if scored else math.nan,
        scored_tokens=scored,
    )


def apply_gradients(policies: Policies, policy: str) -> float:
    """Clip the gradient norm, step the optimizer, count the version; returns the norm before clipping."""
    parameters = policies.parameters(policy)
    norm = torch.nn.utils.clip_grad_norm_(parameters, policies.plans[policy].actor.grad_clip)
    policies.optimizers[policy].step()
    policies.versions[policy] += 1
    return float(norm)
