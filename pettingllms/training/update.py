"""The policy update: epochs over mini-batches of tasks, each one optimizer step of micro-batches."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pettingllms.config.homes import PolicyPlan
from pettingllms.errors import Interrupted, InvariantError
from pettingllms.losses.policy_loss import LossSettings, LossTokens, policy_loss
from pettingllms.training.batching import Batch, Row, build_batch, micro_batches, rows
from pettingllms.training.memory import Room, fitting
from pettingllms.training.policies import Policies
from pettingllms.training.ranks import Ranks, dealt
from pettingllms.training.schedule import learning_rate
from pettingllms.types import Group, Scored


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """What an update of one policy did. `metrics`: name → value; names are listed in docs/records.md.

    `steps`: optimizer steps taken; a policy without any keeps its version. `nonfinite`: those left out
    because the loss or the gradient was no number.
    """

    metrics: dict[str, float]
    steps: int
    nonfinite: int


@dataclass(slots=True)
class _Sums:
    """What all updates of a step add up to, on this rank."""

    sums: dict[str, float] = field(default_factory=dict)

    def add(self, **values: float) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value


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


class Update:
    """One policy's update over the groups of one step, the same on every rank but for the rows it works on.

    The loss of a mini-batch is a weighted sum over its tokens, with weights that depend on counts over all
    ranks: how samples are cut into rows, micro-batches and ranks changes nothing but rounding.
    """

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
        """`check` is called between micro-batches; the Interrupted that it raises ends the update half done,
        on every rank at the same point. `room`: what fits into memory; None finds that out for this update.
        """
        self._room = Room(print) if room is None else room
        self._policies, self._policy, self._ranks = policies, policy, ranks
        self._plan = policies.plans[policy]
        self._settings = loss_settings(self._plan)
        self._seed, self._check = seed, check
        self._samples: list[Scored] = []
        self._places: list[int] = []
        for group in groups:
            kept = [one for one in group.members if one.dropped is None and one.sample.completion.token_ids]
            self._samples += kept
            self._places += [group.place] * len(kept)
        self._rows = self._own_rows()
        self._old: dict[int, Tensor] = {}
        self._reference: dict[int, Tensor] = {}
        self._sums = _Sums()
        self._stop: Interrupted | None = None

    def run(self) -> UpdateResult:
        """Train `ppo_epochs` times on all mini-batches."""
        actor = self._plan.actor
        everything = sorted(set(self._places))
        batches = [list(self._mini_batches(everything, epoch)) for epoch in range(actor.ppo_epochs)]
        # The ratio is that to the policy before the whole update, whom the first step still meets.
        wanted = {place for index, place in enumerate(self._places) if self._wanted(index)}
        first = next((set(one) for one in batches[0] if wanted & set(one)), set())
        later = [row for row in self._rows if self._places[row.indexes[0]] not in first]
        self._remember(self._old, later, reference=False)
        if self._settings.kl_coef:
            self._remember(self._reference, self._rows, reference=True)
        rate = learning_rate(
            actor.optim, self._plan.schedule_steps, self._policies.versions[self._policy] + 1
        )
        for group in self._policies.optimizers[self._policy].param_groups:
            group["lr"] = rate
        steps, skipped, nonfinite, norms = 0, 0, 0, []
        for mini_batch in (one for epoch in batches for one in epoch):
            norm = self._step(set(mini_batch))
            if norm is None:
                continue
            taken = math.isfinite(norm) and norm <= actor.grad_norm_threshold
            steps, skipped = steps + taken, skipped + (not taken)
            nonfinite += not math.isfinite(norm)
            norms += [norm] if taken else []
        if steps:
            self._policies.versions[self._policy] += 1
        return UpdateResult(self._metrics(norms, skipped, rate), steps, nonfinite)

    def _wanted(self, index: int) -> bool:
        """Whether the sample carries gradient; without KL and entropy, one of advantage 0 carries none."""
        return (
            self._samples[index].advantage != 0
            or self._settings.kl_coef > 0
            or self._settings.entropy_coeff > 0
        )

    def _own_rows(self) -> list[Row]:
        """The rows that this rank works on. No row spans two tasks, which may fall into two mini-batches."""
        by_place: dict[int, list[int]] = {}
        for index, place in enumerate(self._places):
            if self._wanted(index):
                by_place.setdefault(place, []).append(index)
        made = [
            row
            for wanted in by_place.values()
            for row in rows(self._samples, wanted, shared=self._policies.shared_prompt)
        ]
        owners = dealt([row.length for row in made], self._ranks.world)
        return [row for row, owner in zip(made, owners, strict=True) if owner == self._ranks.rank]

    def _mini_batches(self, places: Sequence[int], epoch: int) -> Iterator[Sequence[int]]:
        order = list(places)
        if self._plan.actor.shuffle:
            random.Random(f"mini-batches/{self._seed}/{self._policy}/{epoch}").shuffle(order)
        size = self._plan.actor.ppo_mini_batch_size or max(len(order), 1)
        for begin in range(0, len(order), size):
            yield order[begin : begin + size]

    def _batches(self, own: Sequence[Row]) -> Iterator[Batch]:
        """Micro-batches of the rows; none after a request to stop, on which ranks agree where they meet."""
        actor = self._plan.actor
        tokens = self._plan.token_budget if actor.use_dynamic_bsz else None
        sequences = None if actor.use_dynamic_bsz else (actor.ppo_micro_batch_size_per_gpu or 1)
        cut = micro_batches(
            own,
            token_budget=self._room.tokens(self._policy, tokens),
            sequences=self._room.sequences(self._policy, sequences),
            packed=self._policies.packed,
        )
        for micro_batch in cut:
            if self._stop is not None:
                return
            try:
                self._check()
            except Interrupted as asked:
                self._stop = asked
                return
            yield build_batch(micro_batch, self._policies.device, packed=self._policies.packed)

    def _remember(self, kept: dict[int, Tensor], own: Sequence[Row], *, reference: bool) -> None:
        """Score the samples of `own` and keep their log-probabilities."""

        def scored() -> None:
            with torch.no_grad():
                for batch in self._batches(own):
                    with fitting(batch):
                        logprobs, _ = self._policies.score(self._policy, batch, reference=reference)
                        self._keep(kept, batch, logprobs)

        self._room.fit(self._policy, scored)

    def _step(self, places: set[int]) -> float | None:
        """One optimizer step over the tasks of `places`; returns the gradient norm, None without gradient.

        It is no number where the loss is none, as no step is taken then either.
        """
        lengths = [
            len(one.sample.completion.token_ids)
            for one, place in zip(self._samples, self._places, strict=True)
            if place in places
        ]
        if not any(self._wanted(index) for index, place in enumerate(self._places) if place in places):
            return None
        optimizer = self._policies.optimizers[self._policy]
        own = [row for row in self._rows if self._places[row.indexes[0]] in places]
        known = dict(self._old)

        def gradient() -> tuple[int, float, _Sums]:
            # From the beginning, whatever an attempt that did not fit into memory has left.
            optimizer.zero_grad(set_to_none=True)
            self._old = dict(known)
            trained, loss, sums = 0, 0.0, _Sums()
            for batch in self._batches(own):
                with fitting(batch):
                    loss += self._accumulate(batch, sum(lengths), len(lengths), sums)
                trained += batch.tokens
            return trained, loss, sums

        trained, loss, sums = self._room.fit(self._policy, gradient)
        self._sums.add(**sums.sums)
        sampled = sum(
            len(self._samples[index].sample.completion.token_ids) for row in own for index in row.indexes
        )
        if trained != sampled and self._stop is None:
            raise InvariantError(
                f"{trained} tokens of policy {self._policy!r} were trained, {sampled} sampled"
            )
        parameters = self._policies.parameters(self._policy)
        loss = self._ranks.sum_gradients(parameters, self._stop, loss)
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self._plan.actor.grad_clip))
        norm = norm if math.isfinite(loss) else math.nan
        if math.isfinite(norm) and norm <= self._plan.actor.grad_norm_threshold:
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return norm

    def _accumulate(self, batch: Batch, total_tokens: int, total_sequences: int, measured: _Sums) -> float:
        """Add the gradient of one micro-batch, and to `measured` what it measures; returns its loss."""
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
        measured.add(tokens=batch.tokens, **{name: float(value) for name, value in sums.items()})
        return float(loss.detach())

    def _keep(self, kept: dict[int, Tensor], batch: Batch, logprobs_N: Tensor) -> None:
        """Keep the log-probabilities of `batch`, by the indexes of its samples."""
        kept |= zip(batch.samples, logprobs_N.split(batch.length_S.tolist()), strict=True)

    def _kept(self, kept: dict[int, Tensor], batch: Batch) -> Tensor:
        return torch.cat([kept[index] for index in batch.samples])

    def _metrics(self, norms: Sequence[float], skipped: int, rate: float) -> dict[str, float]:
        """Means over the tokens that carried gradient, over all mini-batches, epochs and ranks."""
        total = self._ranks.total(self._sums.sums, self._stop)
        tokens = total.pop("tokens", 0.0)
        metrics = {
            "scored_tokens": tokens,
            "dropped_steps": float(skipped),
            "lr": rate,
        }
        if norms:
            metrics["grad_norm"] = sum(norms) / len(norms)
        if not tokens:
            return metrics
        nonfinite = total.pop("nonfinite_engine")
        metrics["nonfinite_engine"] = nonfinite
        metrics["loss"] = total.pop("surrogate") / max(len(norms) + skipped, 1)
        metrics["engine_gap"] = total.pop("engine_gap") / max(tokens - nonfinite, 1)
        names = {"clipped": "clip_fraction", "is_weight": "is_weight", "is_capped": "is_capped"}
        return metrics | {names.get(name, name): value / tokens for name, value in total.items()}
