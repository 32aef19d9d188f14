"""What is taken off rewards before advantages: the distance to the reference policy, and length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from pettingllms.config.ppo import KlControlConfig
from pettingllms.losses.kl import kl_estimate
from pettingllms.training.batching import build_batch, micro_batches, rows
from pettingllms.training.memory import Room, fitting
from pettingllms.training.policies import Policies
from pettingllms.training.state import PartState
from pettingllms.types import Episode, FinishReason, Sample, Scored, Turn


class KlControl:
    """The weight of the KL penalty of one policy; `adaptive` follows the measured distance.

    Source: Ziegler et al. 2019, section 2.2 (arXiv:1909.08593).
    """

    def __init__(self, settings: KlControlConfig) -> None:
        self._settings = settings
        self.coef = settings.kl_coef

    def follow(self, distances: Sequence[float]) -> None:
        """Move the weight after a step whose sequences were that far away, in nats per token."""
        if self._settings.type == "adaptive" and distances:
            error = min(max(fmean(distances) / self._settings.target_kl - 1, -0.2), 0.2)
            # A horizon below the samples of one step would turn the weight's sign, and the penalty with it.
            self.coef *= max(1 + error * len(distances) / self._settings.horizon, 0.0)

    def state(self) -> PartState:
        """The weight."""
        return {}, {"kl_coef": self.coef}

    def load_state(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:  # noqa: ARG002 - Part
        """Take the weight that `state` returned."""
        self.coef = values["kl_coef"]


def penalised(
    episodes: Sequence[Episode],
    policies: Policies,
    controls: Mapping[str, KlControl],
    check: Callable[[], None],
    room: Room,
) -> tuple[list[Episode], dict[str, list[float]]]:
    """The episodes with `Reward.penalty` set, and by policy how far each of its sequences is, per token.

    `controls`: the policies whose rewards hold the distance, estimated token by token and summed over a
    sequence. An action of several completions loses the mean of theirs. `room`: what fits into memory.
    """

    def distances_of(policy: str) -> dict[int, tuple[float, int]]:
        return room.fit(policy, lambda: _distances(policy, episodes, policies, check, room))

    distances = {policy: distances_of(policy) for policy in controls}
    sums = {key: total for of_policy in distances.values() for key, (total, _) in of_policy.items()}
    means = {
        policy: [total / tokens for total, tokens in of_policy.values()]
        for policy, of_policy in distances.items()
    }

    def penalty(policy: str, sample: Sample) -> float:
        algorithm = policies.plans[policy].algorithm
        long = sample.completion.finish_reason is FinishReason.LENGTH
        coef = controls[policy].coef if policy in controls else 0.0
        return coef * sums.get(id(sample), 0.0) + algorithm.overlong_penalty * long

    changed = [
        replace(episode, turns=tuple(_penalised_turn(turn, penalty) for turn in episode.turns))
        for episode in episodes
    ]
    return changed, means


def _penalised_turn(turn: Turn, penalty: Callable[[str, Sample], float]) -> Turn:
    by_candidate: dict[int, list[float]] = {}
    for sample in turn.samples:
        if sample.reward is not None:
            by_candidate.setdefault(sample.candidate, []).append(penalty(turn.policy, sample))
    samples = tuple(
        sample
        if sample.reward is None
        else replace(sample, reward=replace(sample.reward, penalty=fmean(by_candidate[sample.candidate])))
        for sample in turn.samples
    )
    return replace(turn, samples=samples)


def _distances(
    policy: str, episodes: Sequence[Episode], policies: Policies, check: Callable[[], None], room: Room
) -> dict[int, tuple[float, int]]:
    """Distance of each sampled sequence of `policy` to its reference and its tokens, by the sample's `id`."""
    scored = [
        Scored(sample, turn.prompt_ids, turn.sampling, 0.0, images=turn.images)
        for episode in episodes
        for turn in episode.turns
        if turn.policy == policy
        for sample in turn.samples
        if sample.reward is not None and sample.completion.token_ids
    ]
    plan = policies.plans[policy]
    found: dict[int, tuple[float, int]] = {}
    all_rows = rows(scored, range(len(scored)), shared=policies.shared_prompt)
    with torch.no_grad():
        for micro_batch in micro_batches(
            all_rows,
            token_budget=room.tokens(policy, plan.token_budget),
            sequences=None,
            packed=policies.packed,
        ):
            check()
            batch = build_batch(micro_batch, policies.device, packed=policies.packed)
            with fitting(batch):
                new, _ = policies.score(policy, batch)
                reference, _ = policies.score(policy, batch, reference=True)
            per_token = kl_estimate(plan.algorithm.kl_penalty, new, reference)
            sums = torch.zeros(len(batch.samples), device=per_token.device)
            sums.index_add_(0, batch.sequence_N, per_token)
            found |= {
                id(scored[index].sample): (total, tokens)
                for index, total, tokens in zip(
                    batch.samples, sums.tolist(), batch.length_S.tolist(), strict=True
                )
            }
    return found
