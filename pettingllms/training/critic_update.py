"""The critic's update: what its tokens add to the gradient, and what is measured of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

import torch
from torch import Tensor

from pettingllms.losses.aggregation import token_weights
from pettingllms.losses.value_loss import value_loss
from pettingllms.training.batching import Batch
from pettingllms.training.critic import Critic
from pettingllms.training.memory import Room
from pettingllms.training.ranks import Ranks
from pettingllms.training.schedule import learning_rate
from pettingllms.training.token_update import Place, TokenUpdate, Trained, UpdateResult
from pettingllms.types import Group, Scored


class CriticUpdate(TokenUpdate):
    """One critic's update over the groups of one step, by which it judges those of the next.

    It learns from every sample that has a return, those that a filter leaves out of the policy's loss too: a
    critic that saw what turned out well only would expect too much.
    """

    def __init__(
        self,
        critic: Critic,
        groups: Sequence[Group],
        ranks: Ranks,
        *,
        seed: int,
        check: Callable[[], None],
        room: Room | None = None,
    ) -> None:
        """`check`, `seed` and `room`: as in `Place`; None finds out for this update what fits."""
        self._critic = critic
        settings = critic.settings
        trained = Trained(
            critic.name,
            critic.parameters,
            critic.optimizer,
            learning_rate(settings.optim, settings.schedule_steps, critic.updates + 1),
            epochs=settings.epochs,
            mini_batch_size=settings.mini_batch_size,
            grad_clip=settings.grad_clip,
            norm_threshold=critic.plan.actor.grad_norm_threshold,
            shared=critic.packed,
            packed=critic.packed,
        )
        super().__init__(
            critic.plan, trained, groups, Place(critic.device, ranks, seed, check, room or Room(print))
        )

    def run(self) -> UpdateResult:
        """Train `epochs` times on all mini-batches."""
        result = super().run()
        self._critic.updates += result.steps > 0
        return result

    def _counts(self, scored: Scored) -> bool:
        return scored.per_token is not None

    def _wanted(self, index: int) -> bool:
        return self._counts(self._samples[index])

    def _prepare(self, mini_batches: Sequence[Sequence[int]]) -> None:
        """Nothing: the values before the update came with the samples."""

    def _begin(self) -> None:
        """Nothing: the values before the update came with the samples."""

    def _accumulate(
        self, batch: Batch, total_tokens: int, total_sequences: int
    ) -> tuple[float, Mapping[str, float]]:
        value_N = self._critic.values(batch)
        old_N, return_N = self._of(batch, _values), self._of(batch, _returns)
        loss_N, clipped_N = value_loss(value_N, old_N, return_N, clip=self._critic.settings.clip)
        weight_N = token_weights(
            self._critic.settings.aggregation,
            batch.sequence_N,
            batch.length_S,
            tokens=total_tokens,
            sequences=total_sequences,
            scale=self._plan.loss_scale,
        )
        loss = (weight_N * loss_N).sum()
        loss.backward()
        return float(loss.detach()), {"loss": float(loss.detach()), "clipped": float(clipped_N.sum())}

    def _of(self, batch: Batch, numbers: Callable[[Scored], Sequence[float]]) -> Tensor:
        """`numbers` of the tokens of each sample of `batch`, one behind the other, [N]."""
        found = [number for index in batch.samples for number in numbers(self._samples[index])]
        return torch.tensor(found, dtype=torch.float32, device=batch.chosen_N.device)

    def _metrics(self, sums: dict[str, float], norms: Sequence[float], skipped: int) -> dict[str, float]:
        metrics = {"critic_lr": self._trained.rate, "critic_dropped_steps": float(skipped)}
        if norms:
            metrics["critic_grad_norm"] = fmean(norms)
        if sums:
            metrics["value_loss"] = sums["loss"] / (len(norms) + skipped)
            metrics["value_clip_fraction"] = sums["clipped"] / sums["tokens"]
        explained = explained_variance(
            [value for one in self._samples for value in _values(one)],
            [value for one in self._samples for value in _returns(one)],
        )
        return metrics if explained is None else metrics | {"explained_variance": explained}


def explained_variance(values: Sequence[float], returns: Sequence[float]) -> float | None:
    """1 - variance of (return - value) / variance of the returns; None where all returns are equal.

    1: every return was foreseen; 0: a constant would have done as well; below 0: it would have done better.
    """
    if not returns or min(returns) == max(returns):
        return None
    back = torch.tensor(returns, dtype=torch.float64)
    errors = back - torch.tensor(values, dtype=torch.float64)
    return float(1 - errors.var(correction=0) / back.var(correction=0))


def _values(scored: Scored) -> Sequence[float]:
    return scored.sample.values or ()


def _returns(scored: Scored) -> Sequence[float]:
    return () if scored.per_token is None else scored.per_token.returns
