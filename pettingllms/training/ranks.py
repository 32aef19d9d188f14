"""The processes of one run: what they tell each other, and how work is dealt among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

T = TypeVar("T")


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
        return cls(dist.get_rank(), dist.get_world_size(), dist.new_group(backend="gloo"))

    @property
    def leads(self) -> bool:
        """Whether this process writes what a run leaves."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """The items that this process works on."""
        return items[self.rank :: self.world]

    def gather(self, value: T) -> list[T]:
        """What every rank passes, in the order of ranks, on every rank."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value, group=self.objects)
        return values

    def sum_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Add up the gradients of all ranks, in place; a rank without one counts as zeros.

        All tensors travel as one, so that a rank that saw no sample of a policy takes part like any other.
        """
        if self.world == 1:
            return
        flat = torch.cat(
            [
                (torch.zeros_like(one) if one.grad is None else one.grad).flatten().float()
                for one in parameters
            ]
        )
        dist.all_reduce(flat)
        for parameter, part in zip(parameters, flat.split([one.numel() for one in parameters]), strict=True):
            parameter.grad = part.view_as(parameter).to(parameter.dtype)

    def total(self, sums: dict[str, float]) -> dict[str, float]:
        """The sums of all ranks, name by name."""
        parts = self.gather(sums)
        names = dict.fromkeys(name for part in parts for name in part)
        return {name: sum(part.get(name, 0.0) for part in parts) for name in names}


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
