"""Checkpoints: a run's state written aside, hashed, then put in place in one move; and read back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from pettingllms.errors import CheckpointError
from pettingllms.runs.checkpoints import (
    FORMAT,
    POLICIES,
    STATE,
    TENSORS,
    TRIAL,
    read_state,
    seal,
    step_folder,
    sync_folder,
)
from pettingllms.training.policies import Policies, Snapshot
from pettingllms.training.state import (
    OF_PROCESS,
    Part,
    PartState,
    RunState,
    load_optimizer,
    optimizer_tensors,
)

BESIDE_TENSORS = 1 << 20
"""Bytes that a checkpoint may take beside its tensors: names, values, the experiment, ends of blocks."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is written.

    `own`: the parts that each process has its own of; `metrics`: the validation of the step, empty without
    one.
    """

    state: RunState
    own: Sequence[Mapping[str, PartState]]
    metrics: Mapping[str, float]

    @property
    def parts(self) -> dict[str, PartState]:
        """The parts under the names that they have in a checkpoint: those of each process with its rank."""
        shared = {name: part for name, part in self.state.parts.items() if name not in OF_PROCESS}
        return shared | {
            stored_name(name, rank): part for rank, own in enumerate(self.own) for name, part in own.items()
        }


def stored_name(part: str, rank: int) -> str:
    """The name under which a checkpoint has a part of the process `rank`."""
    return f"{part} of process {rank}" if part in OF_PROCESS else part


def write_checkpoint(checkpoint: Checkpoint, policies: Policies, root: Path, trial: str) -> Path:
    """Write `root/step_000012`, laid out as `pettingllms.runs.checkpoints` says; returns the folder.

    `trial`: the experiment under which it was trained, as TOML. The folder appears whole or not at all.
    Nothing that training changes is read. Raises CheckpointError when the disk does not take it, saying how
    much it needs; older checkpoints stay.
    """
    step = checkpoint.state.step
    final = step_folder(root, step)
    partial = root / f".{final.name}.partial"
    needed = BESIDE_TENSORS + sum(tensor.nbytes for tensor in _all_tensors(checkpoint))
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        if shutil.disk_usage(root).free < needed:
            # A disk that is filled to the brim takes others down with this run.
            raise OSError("the disk is too full")
        _write_files(checkpoint, policies, partial)
        (partial / TRIAL).write_text(trial, encoding="utf-8")
        seal(partial)
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
        sync_folder(root)
    # safetensors has errors of its own for what the system says.
    except Exception as cause:
        if not isinstance(cause, OSError) and "SafetensorError" not in type(cause).__name__:
            raise
        shutil.rmtree(partial, ignore_errors=True)
        raise CheckpointError(
            f"checkpoint {final} could not be written: {cause}; {_room(needed, root)}",
            help="older checkpoints are untouched; free space, change training.model_checkpoints_dir, or let "
            'the run go on without: training.on_save_failure = "continue"',
        ) from cause
    return final


def load_checkpoint(folder: Path, policies: Policies, parts: Mapping[str, Part], rank: int) -> int:
    """Put all that a whole checkpoint holds into `policies` and `parts`, bit for bit; returns its step.

    `rank`: whose the parts are that each process has its own of. Raises CheckpointError when it is of other
    policies or parts.
    """
    state, tensors = read_state(folder), load_file(folder / TENSORS)
    found = {part["name"]: (number, part["values"]) for number, part in enumerate(state["parts"])}
    wanted = {name: stored_name(name, rank) for name in parts}
    names = [policy["name"] for policy in state["policies"]]
    theirs = {name for name in found if not name.startswith(OF_PROCESS) or name in wanted.values()}
    if names != list(policies.plans) or theirs != set(wanted.values()):
        have, want = [*names, *sorted(theirs)], [*policies.plans, *sorted(wanted.values())]
        raise CheckpointError(
            f"checkpoint {folder} holds {', '.join(have)}, and the experiment has {', '.join(want)}",
            help="go on with the experiment that wrote it",
        )
    for number, policy in enumerate(state["policies"]):
        name = policy["name"]
        policies.load(name, folder / POLICIES / str(number))
        load_optimizer(
            policies.optimizers[name],
            list(policies.named_parameters(name)),
            _below(f"policy{number}/", tensors),
        )
        policies.versions[name] = policy["version"]
    for name, part in parts.items():
        number, values = found[wanted[name]]
        part.load_state(_below(f"part{number}/", tensors), values)
    step: int = state["step"]
    return step


def _write_files(checkpoint: Checkpoint, policies: Policies, folder: Path) -> None:
    snapshot = checkpoint.state.policies
    for number, name in enumerate(policies.plans):
        policies.export(name, folder / POLICIES / str(number), snapshot.parameters[name])
    tensors = _moments(policies, snapshot)
    for number, (own, _) in enumerate(checkpoint.parts.values()):
        tensors |= {f"part{number}/{name}": tensor for name, tensor in own.items()}
    save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, folder / TENSORS)
    state = {
        "format": FORMAT,
        "step": checkpoint.state.step,
        "policies": [{"name": name, "version": snapshot.versions[name]} for name in policies.plans],
        "parts": [{"name": name, "values": values} for name, (_, values) in checkpoint.parts.items()],
        "metrics": dict(checkpoint.metrics),
    }
    (folder / STATE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")


def _moments(policies: Policies, snapshot: Snapshot) -> dict[str, Tensor]:
    return {
        f"policy{number}/{name}": tensor
        for number, policy in enumerate(policies.plans)
        for name, tensor in optimizer_tensors(
            list(policies.named_parameters(policy)), snapshot.optimizers[policy]
        ).items()
    }


def _all_tensors(checkpoint: Checkpoint) -> list[Tensor]:
    snapshot = checkpoint.state.policies
    weights = [one for own in snapshot.parameters.values() for one in own]
    moments = [
        one
        for state in snapshot.optimizers.values()
        for own in state["state"].values()
        for one in own.values()
    ]
    return weights + moments + [one for tensors, _ in checkpoint.parts.values() for one in tensors.values()]


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _room(needed: int, root: Path) -> str:
    """How much the checkpoint needs and how much there is."""
    try:
        free = shutil.disk_usage(root).free
    except OSError:
        return f"it needs {needed} bytes"
    missing = f", {needed - free} are missing" if needed > free else ""
    return f"it needs {needed} bytes, and {free} are free in {root}{missing}"
