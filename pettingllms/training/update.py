"""The policy update: what its tokens add to the gradient, and what is measured of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from pettingllms.config.homes import PolicyPlan
from pettingllms.losses.policy_loss import LossSettings, LossTokens, policy_loss
from pettingllms.training.batching import Batch, Row
from pettingllms.training.memory import Room, fitting
from pettingllms.training.policies import Policies
from pettingllms.training.ranks import Ranks
from pettingllms.training.schedule import learning_rate
from pettingllms.training.token_update import Place, TokenUpdate, Trained, UpdateResult
from pettingllms.types import Group, Scored


def loss_settings(plan: PolicyPlan) -> LossSettings:
    """The policy's numbers as the loss takes them."""
    actor, algorithm = plan.actor, plan.algorithm
    return LossSettings(
        clip_low=plan.clip_low,
        clip_high=plan.clip_high,
        clip_c=actor.clip_ratio_c,
        aggregation=actor.loss_agg_mode,
        scale=plan.loss_scale,
        kl_coef=actor.kl_loss_coef if actor.use_kl_loss else 0.0,
        kl_kind=actor.kl_loss_type,
        kl_bias_correction=actor.use_bias_correction_kl,
        entropy_coeff=actor.entropy_coeff,
        rollout_is=algorithm.rollout_is,
        is_level=algorithm.rollout_is_level,
        is_mode=algorithm.rollout_is_mode,
        is_threshold=algorithm.rollout_is_threshold,
        is_lower=algorithm.rollout_is_threshold_lower or 1 / algorithm.rollout_is_threshold,
    )


class Update(TokenUpdate):
    """One policy's update over the groups of one step."""

    def __init__(
        self,
        policies: Policies,
        policy: str,
        groups: Sequence[Group],
        ranks: Ranks,
        *,
        seed: int,
        check: Callable[[], None],
        room: Room | None = None,
    ) -> None:
        """`check`, `seed` and `room`: as in `Place`; None finds out for this update what fits."""
        self._policies, self._policy = policies, policy
        plan = policies.plans[policy]
        self._settings = loss_settings(plan)
        self._old: dict[int, Tensor] = {}
        self._known: dict[int, Tensor] = {}
        """`_old` before the optimizer step that is being taken."""
        self._reference: dict[int, Tensor] = {}
        actor = plan.actor
        trained = Trained(
            policy,
            policies.parameters(policy),
            policies.optimizers[policy],
            learning_rate(actor.optim, plan.schedule_steps, policies.versions[policy] + 1),
            epochs=actor.ppo_epochs,
            mini_batch_size=actor.ppo_mini_batch_size,
            grad_clip=actor.grad_clip,
            norm_threshold=actor.grad_norm_threshold,
            shared=policies.shared_prompt,
            packed=policies.packed,
        )
        super().__init__(
            plan, trained, groups, Place(policies.device, ranks, seed, check, room or Room(print))
        )

    def run(self) -> UpdateResult:
        """Train `ppo_epochs` times on all mini-batches; an optimizer step makes another version."""
        result = super().run()
        if result.steps:
            self._policies.versions[self._policy] += 1
        return result

    def _counts(self, scored: Scored) -> bool:
        return scored.dropped is None

    def _wanted(self, index: int) -> bool:
        """Whether the sample carries gradient; without KL and entropy, one of advantage 0 carries none."""
        return (
            any(self._samples[index].advantages)
            or self._settings.kl_coef > 0
            or self._settings.entropy_coeff > 0
        )

    def _prepare(self, mini_batches: Sequence[Sequence[int]]) -> None:
        """Score what later mini-batches need."""
        # The ratio is that to the policy before the whole update, whom the first step still meets.
        wanted = {place for index, place in enumerate(self._places) if self._wanted(index)}
        first = next((set(one) for one in mini_batches if wanted & set(one)), set())
        later = [row for row in self._rows if self._places[row.indexes[0]] not in first]
        self._remember(self._old, later, reference=False)
        if self._settings.kl_coef:
            self._remember(self._reference, self._rows, reference=True)

    def _remember(self, kept: dict[int, Tensor], own: Sequence[Row], *, reference: bool) -> None:
        """Score the samples of `own` and keep their log-probabilities."""

        def scored() -> None:
            with torch.no_grad():
                for batch in self._batches(own):
                    with fitting(batch):
                        logprobs, _ = self._policies.score(self._policy, batch, reference=reference)
                        self._keep(kept, batch, logprobs)

        self._place.room.fit(self._policy, scored)

    def _step(self, places: set[int]) -> float | None:
        self._known = dict(self._old)
        return super()._step(places)

    def _begin(self) -> None:
        self._old = dict(self._known)

    def _accumulate(
        self, batch: Batch, total_tokens: int, total_sequences: int
    ) -> tuple[float, Mapping[str, float]]:
        new, entropy = self._policies.score(self._policy, batch, entropy=self._settings.entropy_coeff > 0)
        if batch.samples[0] not in self._old:
            # The first mini-batch: no step was taken yet.
            self._keep(self._old, batch, new.detach())
        loss, sums = policy_loss(
            LossTokens(
                new_N=new,
                old_N=self._kept(self._old, batch),
                engine_N=batch.engine_N,
                advantage_N=batch.advantage_N,
                sequence_N=batch.sequence_N,
                length_S=batch.length_S,
                reference_N=self._kept(self._reference, batch) if self._reference else None,
                entropy_N=entropy,
            ),
            self._settings,
            total_tokens=total_tokens,
            total_sequences=total_sequences,
        )
        loss.backward()
        return float(loss.detach()), {name: float(value) for name, value in sums.items()}

    def _keep(self, kept: dict[int, Tensor], batch: Batch, logprobs_N: Tensor) -> None:
        """Keep the log-probabilities of `batch`, by the indexes of its samples."""
        kept |= zip(batch.samples, logprobs_N.split(batch.length_S.tolist()), strict=True)

    def _kept(self, kept: dict[int, Tensor], batch: Batch) -> Tensor:
        return torch.cat([kept[index] for index in batch.samples])

    def _metrics(self, sums: dict[str, float], norms: Sequence[float], skipped: int) -> dict[str, float]:
        """Means over the tokens that carried gradient, over all mini-batches, epochs and ranks."""
        tokens = sums.pop("tokens", 0.0)
        metrics = {
            "scored_tokens": tokens,
            "dropped_steps": float(skipped),
            "lr": self._trained.rate,
        }
        if norms:
            metrics["grad_norm"] = sum(norms) / len(norms)
        if not tokens:
            return metrics
        nonfinite = sums.pop("nonfinite_engine")
        metrics["nonfinite_engine"] = nonfinite
        metrics["loss"] = sums.pop("surrogate") / max(len(norms) + skipped, 1)
        metrics["engine_gap"] = sums.pop("engine_gap") / max(tokens - nonfinite, 1)
        names = {"clipped": "clip_fraction", "is_weight": "is_weight", "is_capped": "is_capped"}
        return metrics | {names.get(name, name): value / tokens for name, value in sums.items()}
