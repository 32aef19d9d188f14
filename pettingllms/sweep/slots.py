"""Slots: the GPUs, cores and ports of this machine, divided among trials that run side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from pettingllms.errors import RefusedError
from pettingllms.sweep.launch import free_port

Owned = TypeVar("Owned", int, str)


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of one trial. `gpus`: as `CUDA_VISIBLE_DEVICES` names them; `cores`: as the system does.

    None of either: all that this process may use.
    """

    number: int = 0
    gpus: tuple[str, ...] | None = None
    cores: frozenset[int] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a process keeps to its GPUs."""
        return {} if self.gpus is None else {"CUDA_VISIBLE_DEVICES": ",".join(self.gpus)}

    @property
    def core_count(self) -> int | None:
        """How many cores the place has; None: all that this process may use."""
        return None if self.cores is None else len(self.cores)


WHOLE_MACHINE = Slot()


def divide(jobs: int, gpus: Sequence[str], cores: Sequence[int]) -> list[Slot]:
    """`jobs` slots that share nothing: neighbouring GPUs and cores go to the same one.

    A single slot is the machine as it is. Without GPUs the slots differ in their cores only. Raises
    RefusedError where there are fewer GPUs or cores than jobs.
    """
    if jobs == 1:
        return [WHOLE_MACHINE]
    for name, owned in (("GPUs", gpus), ("CPU cores", cores)):
        if (name == "CPU cores" or owned) and len(owned) < jobs:
            raise RefusedError(
                f"--jobs {jobs}: this process may use {len(owned)} {name}, and trials share none",
                help=f"--jobs {len(owned)}, or fewer",
            )
    return [
        Slot(
            number,
            tuple(_share(gpus, number, jobs)) if gpus else None,
            frozenset(_share(cores, number, jobs)),
        )
        for number in range(jobs)
    ]


def _share(owned: Sequence[Owned], number: int, jobs: int) -> Sequence[Owned]:
    return owned[len(owned) * number // jobs : len(owned) * (number + 1) // jobs]


def visible_gpus(count: int) -> list[str]:
    """The names of the `count` GPUs that a run could use here, as `CUDA_VISIBLE_DEVICES` has them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return [str(number) for number in range(count)]
    return [part.strip() for part in named.split(",")][:count]


def usable_core_numbers() -> list[int]:
    """The numbers of the cores that this process may use, in order."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


class Ports:
    """Free ports of this machine, none of them handed out twice at a time."""

    def __init__(self) -> None:
        self._out: set[int] = set()

    def take(self) -> int:
        """A port that nobody listens on, and that is not out."""
        while (port := free_port()) in self._out:
            pass
        self._out.add(port)
        return port

    def give(self, port: int) -> None:
        """`port` is not needed any more."""
        self._out.discard(port)
