"""An update of some weights: epochs over mini-batches of tasks, each one optimizer step of micro-batches."""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pettingllms.config.homes import PolicyPlan
from pettingllms.errors import Interrupted, InvariantError
from pettingllms.training.batching import Batch, Row, build_batch, micro_batches, rows
from pettingllms.training.memory import Room, fitting
from pettingllms.training.ranks import Ranks, dealt
from pettingllms.types import Group, Scored


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """What an update of one set of weights did. `metrics`: name → value; docs/records.md lists the names.

    `steps`: optimizer steps taken; a policy without any keeps its version. `left_out`: steps that were not;
    `nonfinite`: those of them whose loss or gradient was no number.
    """

    metrics: dict[str, float]
    steps: int
    left_out: int = 0
    nonfinite: int = 0


@dataclass(frozen=True, slots=True)
class Trained:
    """What an update changes, and how.

    `name`: under which `Room` knows it. `rate`: learning rate of all its steps. `mini_batch_size`: in tasks;
    None: all. `grad_clip`: largest
    gradient norm; a step whose norm is above `norm_threshold`, or no number, is left out. `shared`: rows may
    have several responses. `packed`: the model takes rows one behind the other.
    """

    name: str
    parameters: Sequence[Tensor]
    optimizer: torch.optim.Optimizer
    rate: float
    epochs: int
    mini_batch_size: int | None
    grad_clip: float
    norm_threshold: float
    shared: bool
    packed: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where an update works. `seed`: of the order of mini-batches.

    `check` is called between micro-batches; the Interrupted that it raises ends the update half done, on
    every rank at the same point. `room`: what fits into memory.
    """

    device: torch.device
    ranks: Ranks
    seed: int
    check: Callable[[], None]
    room: Room


class TokenUpdate(ABC):
    """An update over the groups of one policy and step, the same on every rank but for the rows it works on.

    The loss of a mini-batch is a weighted sum over its tokens, with weights that depend on counts over all
    ranks: how samples are cut into rows, micro-batches and ranks changes nothing but rounding.
    """

    def __init__(self, plan: PolicyPlan, trained: Trained, groups: Sequence[Group], place: Place) -> None:
        """`groups`: of the policy of `plan`, by which mini-batches are dealt and micro-batches cut."""
        self._plan, self._trained, self._place = plan, trained, place
        self._ranks = place.ranks
        self._samples: list[Scored] = []
        self._places: list[int] = []
        for group in groups:
            kept = [one for one in group.members if self._counts(one) and one.sample.completion.token_ids]
            self._samples += kept
            self._places += [group.place] * len(kept)
        self._rows = self._own_rows()
        self._sums: dict[str, float] = {}
        self._stop: Interrupted | None = None

    def run(self) -> UpdateResult:
        """Train `epochs` times on all mini-batches."""
        everything = sorted(set(self._places))
        batches = [list(self._mini_batches(everything, epoch)) for epoch in range(self._trained.epochs)]
        self._prepare(batches[0])
        for group in self._trained.optimizer.param_groups:
            group["lr"] = self._trained.rate
        steps, skipped, nonfinite, norms = 0, 0, 0, []
        for mini_batch in (one for epoch in batches for one in epoch):
            norm = self._step(set(mini_batch))
            if norm is None:
                continue
            taken = math.isfinite(norm) and norm <= self._trained.norm_threshold
            steps, skipped = steps + taken, skipped + (not taken)
            nonfinite += not math.isfinite(norm)
            norms += [norm] if taken else []
        sums = self._ranks.total(self._sums, self._stop)
        return UpdateResult(self._metrics(sums, norms, skipped), steps, skipped, nonfinite)

    @abstractmethod
    def _counts(self, scored: Scored) -> bool:
        """Whether the sample is in the counts of its mini-batch."""

    @abstractmethod
    def _wanted(self, index: int) -> bool:
        """Whether the sample carries gradient."""

    @abstractmethod
    def _prepare(self, mini_batches: Sequence[Sequence[int]]) -> None:
        """Work out what the first of `epochs` needs; `mini_batches`: places of its tasks."""

    @abstractmethod
    def _accumulate(
        self, batch: Batch, total_tokens: int, total_sequences: int
    ) -> tuple[float, Mapping[str, float]]:
        """Add the gradient of one micro-batch; returns its loss, and sums over its tokens."""

    @abstractmethod
    def _begin(self) -> None:
        """Forget what an attempt at the same optimizer step has left that did not fit into memory."""

    @abstractmethod
    def _metrics(self, sums: dict[str, float], norms: Sequence[float], skipped: int) -> dict[str, float]:
        """What is logged. `sums`: of all steps and ranks, `tokens` among them. `norms`: of steps taken."""

    def _own_rows(self) -> list[Row]:
        """The rows that this rank works on. No row spans two tasks, which may fall into two mini-batches."""
        by_place: dict[int, list[int]] = {}
        for index, place in enumerate(self._places):
            if self._wanted(index):
                by_place.setdefault(place, []).append(index)
        made = [
            row
            for wanted in by_place.values()
            for row in rows(self._samples, wanted, shared=self._trained.shared)
        ]
        owners = dealt([row.length for row in made], self._ranks.world)
        return [row for row, owner in zip(made, owners, strict=True) if owner == self._ranks.rank]

    def _mini_batches(self, places: Sequence[int], epoch: int) -> Iterator[Sequence[int]]:
        order = list(places)
        if self._plan.actor.shuffle:
            label = f"mini-batches/{self._place.seed}/{self._plan.name}/{epoch}"
            random.Random(label).shuffle(order)
        size = self._trained.mini_batch_size or max(len(order), 1)
        for begin in range(0, len(order), size):
            yield order[begin : begin + size]

    def _batches(self, own: Sequence[Row]) -> Iterator[Batch]:
        """Micro-batches of the rows; none after a request to stop, on which ranks agree where they meet."""
        actor, name, room = self._plan.actor, self._trained.name, self._place.room
        tokens = self._plan.token_budget if actor.use_dynamic_bsz else None
        sequences = None if actor.use_dynamic_bsz else (actor.ppo_micro_batch_size_per_gpu or 1)
        cut = micro_batches(
            own,
            token_budget=room.tokens(name, tokens),
            sequences=room.sequences(name, sequences),
            packed=self._trained.packed,
        )
        for micro_batch in cut:
            if self._stop is not None:
                return
            try:
                self._place.check()
            except Interrupted as asked:
                self._stop = asked
                return
            yield build_batch(micro_batch, self._place.device, packed=self._trained.packed)

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
        optimizer = self._trained.optimizer
        own = [row for row in self._rows if self._places[row.indexes[0]] in places]

        def gradient() -> tuple[float, dict[str, float]]:
            # From the beginning, whatever an attempt that did not fit into memory has left.
            optimizer.zero_grad(set_to_none=True)
            self._begin()
            loss, added = 0.0, {"tokens": 0.0}
            for batch in self._batches(own):
                with fitting(batch):
                    part, sums = self._accumulate(batch, sum(lengths), len(lengths))
                loss += part
                for name, value in {"tokens": batch.tokens, **sums}.items():
                    added[name] = added.get(name, 0.0) + value
            return loss, added

        loss, added = self._place.room.fit(self._trained.name, gradient)
        self._sums |= {name: self._sums.get(name, 0.0) + value for name, value in added.items()}
        sampled = sum(
            len(self._samples[index].sample.completion.token_ids) for row in own for index in row.indexes
        )
        if added["tokens"] != sampled and self._stop is None:
            raise InvariantError(
                f"{added['tokens']:g} tokens of policy {self._plan.name!r} were trained, {sampled} sampled"
            )
        parameters = self._trained.parameters
        loss = self._ranks.sum_gradients(parameters, self._stop, loss)
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self._trained.grad_clip))
        norm = norm if math.isfinite(loss) else math.nan
        if math.isfinite(norm) and norm <= self._trained.norm_threshold:
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return norm
