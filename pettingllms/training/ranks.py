"""The processes of one run: what they tell each other, and how work is dealt among them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from pettingllms.errors import Interrupted, LostRankError

T = TypeVar("T")

LONGEST_WAIT = timedelta(days=1)
"""How long a rank waits for the others: a rollout may take hours, and one that died is noticed at once."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """One process of `world`. `objects`: the group over which Python objects travel, None when alone."""

    rank: int = 0
    world: int = 1
    objects: Any = None

    @classmethod
    def joined(cls) -> Ranks:
        """The ranks of the process group that accelerate has set up; one where there is none."""
        if not dist.is_initialized() or dist.get_world_size() == 1:
            return cls()
        # Objects travel over gloo also where tensors travel over NCCL: they live in the CPU's memory.
        group = dist.new_group(backend="gloo", timeout=LONGEST_WAIT)
        return cls(dist.get_rank(), dist.get_world_size(), group)

    @property
    def leads(self) -> bool:
        """Whether this process writes what a run leaves."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """The items that this process works on."""
        return items[self.rank :: self.world]

    def together(self, work: Callable[[], T]) -> list[T]:
        """What `work` gives on every rank, in the order of ranks, on every rank.

        A rank that is asked to stop while it works still meets the others here, and all of them raise
        Interrupted at this same point: none waits for one that has gone.
        """
        if self.world == 1:
            return [work()]
        stop: Interrupted | None = None
        value: Any = None
        try:
            value = work()
        except Interrupted as asked:
            stop = asked
        shares: list[Any] = [None] * self.world
        with _others_are_there():
            dist.all_gather_object(shares, (stop is not None, value), group=self.objects)
        if any(stopped for stopped, _ in shares):
            raise stop or Interrupted(signal.SIGTERM)
        return [share for _, share in shares]

    def sum_gradients(
        self, parameters: Sequence[Tensor], stop: Interrupted | None, loss: float = 0.0
    ) -> float:
        """Add up the gradients of all ranks, in place; a rank without one counts as zeros.

        All tensors travel as one, so that a rank that saw no sample of a policy takes part like any other.
        Returns the sum of each rank's `loss`. Where one rank passes a `stop`, all of them raise Interrupted.
        """
        if self.world == 1:
            if stop is not None:
                raise stop
            return loss
        parts = [
            (torch.zeros_like(one) if one.grad is None else one.grad).flatten().float() for one in parameters
        ]
        beside = torch.tensor([loss, float(stop is not None)], device=parts[0].device)
        flat = torch.cat([*parts, beside])
        with _others_are_there():
            dist.all_reduce(flat)
        if flat[-1] > 0:
            raise stop or Interrupted(signal.SIGTERM)
        sizes = [one.numel() for one in parameters]
        for parameter, part in zip(parameters, flat[:-2].split(sizes), strict=True):
            parameter.grad = part.view_as(parameter).to(parameter.dtype)
        return float(flat[-2])

    def total(self, sums: dict[str, float], stop: Interrupted | None) -> dict[str, float]:
        """The sums of all ranks, name by name; a `stop` as in `sum_gradients`."""

        def own() -> dict[str, float]:
            if stop is not None:
                raise stop
            return sums

        parts = self.together(own)
        names = dict.fromkeys(name for part in parts for name in part)
        return {name: sum(part.get(name, 0.0) for part in parts) for name in names}


@contextmanager
def _others_are_there() -> Iterator[None]:
    """A process that ended takes the connections with it, which torch tells in words of its own."""
    try:
        yield
    except RuntimeError as cause:
        raise LostRankError(
            f"another process of the run ended: {(str(cause).splitlines() or [''])[0]}",
            help="log.txt of the run folder says which one and why",
        ) from cause


def dealt(lengths: Sequence[int], world: int) -> list[int]:
    """Which of `world` ranks takes each item, so that all get about the same sum of lengths.

    Longest first, each to the rank that has least; ties go to the lower rank. The same on every rank.
    """
    loads = [0] * world
    owners = [0] * len(lengths)
    for item in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        owner = min(range(world), key=loads.__getitem__)
        owners[item] = owner
        loads[owner] += lengths[item]
    return owners
