"""All that a run is at the end of a step: what a broken-off step goes back to, and a checkpoint holds."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from pettingllms.errors import CheckpointError
from pettingllms.models.folders import identity
from pettingllms.training.policies import Snapshot

PartState = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors by name, and values that JSON can hold."""

RANDOM, ROOM = "random numbers", "room in memory"
OF_PROCESS = (RANDOM, ROOM)
"""The parts that every process of a run has its own of, where it has them."""


class Part(Protocol):
    """Something beside the policies that training changes, and that a run needs to go on."""

    def state(self) -> PartState:
        """Copies of all that changes, safe to be written by another thread while training goes on."""

    def load_state(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Be as when `state` returned these, bit for bit."""


@dataclass(frozen=True, slots=True)
class RunState:
    """The run after `step`, as copies. `parts`: by name, those of this process.

    Which tasks a step plays and at which learning rate follows from its number and the policies' versions,
    so that neither a data cursor nor a scheduler is part of it.
    """

    step: int
    policies: Snapshot
    parts: dict[str, PartState]

    def of_process(self) -> dict[str, PartState]:
        """The parts that other processes have others of."""
        return {name: part for name, part in self.parts.items() if name in OF_PROCESS}


class RandomNumbers:
    """The random generators of this process: Python's, torch's of all devices, NumPy's where it is imported.

    Nothing in this package draws from them while it trains; agents and environments of users may, and then
    they draw the same in two runs of one `seed`, as far as threads come in the same order.
    """

    def __init__(self, seed: int) -> None:
        random.seed(seed)
        torch.manual_seed(seed)
        if (numpy := sys.modules.get("numpy")) is not None:
            numpy.random.seed(seed % 2**32)

    def state(self) -> PartState:
        """The generators' states."""
        version, numbers, gauss = random.getstate()
        values: dict[str, Any] = {"python": [version, gauss]}
        tensors = {"python": torch.tensor(numbers), "cpu": torch.get_rng_state()}
        if torch.cuda.is_initialized():
            tensors |= {f"cuda{n}": one for n, one in enumerate(torch.cuda.get_rng_state_all())}
        if (numpy := sys.modules.get("numpy")) is not None:
            name, keys, *rest = numpy.random.get_state()
            values["numpy"] = [name, *rest]
            tensors["numpy"] = torch.tensor(keys.tolist())
        return tensors, values

    def load_state(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Go on drawing as the process that wrote it would have."""
        version, gauss = values["python"]
        random.setstate((version, tuple(tensors["python"].tolist()), gauss))
        torch.set_rng_state(tensors["cpu"])
        if devices := [one for name, one in tensors.items() if name.startswith("cuda")]:
            torch.cuda.set_rng_state_all(devices)
        if "numpy" in values:
            import numpy

            name, *rest = values["numpy"]
            numpy.random.set_state((name, tensors["numpy"].tolist(), *rest))


class BaseModel:
    """The files of the model that policies start from: a part that never changes, and is only compared.

    A path that comes from the environment may lead elsewhere at the next start, with the same experiment.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._identity = folder, identity(folder)

    def state(self) -> PartState:
        """What tells the files from others."""
        return {}, {"identity": self._identity}

    def load_state(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:  # noqa: ARG002 - Part
        """Raises CheckpointError when the files are others."""
        if values["identity"] != self._identity:
            raise CheckpointError(
                f"the checkpoint was trained on another base model than that in {self._folder}",
                help="let base_models.*.path lead to the model that the run began with",
            )


def optimizer_tensors(names: Sequence[str], state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The moments and counters of an optimizer's `state_dict`, named `<parameter>/<what>`.

    `names`: those of its parameters, in its order. Its settings are not taken: they are the experiment's.
    """
    return {
        f"{names[number]}/{key}": value
        for number, own in state["state"].items()
        for key, value in own.items()
    }


def load_optimizer(
    optimizer: torch.optim.Optimizer, names: Sequence[str], tensors: Mapping[str, Tensor]
) -> None:
    """Put what `optimizer_tensors` returned into `optimizer`, bit for bit; gradients are dropped.

    Raises CheckpointError for a parameter that the optimizer has not.
    """
    numbers = {name: number for number, name in enumerate(names)}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, _, what = key.rpartition("/")
        if name not in numbers:
            raise CheckpointError(
                f"the checkpoint has the moments of {name}, which is not trained",
                help="go on with the experiment that wrote it",
            )
        state.setdefault(numbers[name], {})[what] = value
    optimizer.zero_grad(set_to_none=True)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
