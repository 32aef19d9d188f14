"""Checkpoints: written aside, hashed, then put in place in one move; old ones are removed last."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch

from pettingllms.errors import CheckpointError
from pettingllms.training.policies import Policies

MANIFEST = "manifest.json"


def checkpoint_root(run_folder: Path, setting: str) -> Path:
    """The run's checkpoint folder: inside the run folder, or below an absolute one by the run's name."""
    root = Path(setting).expanduser()
    if root.is_absolute():
        return root / f"{run_folder.parent.name}-{run_folder.name}"
    return run_folder / root


def save_checkpoint(
    policies: Policies, kl_coefs: Mapping[str, float], step: int, root: Path, keep: int
) -> Path:
    """Write `root/step_000012` and remove all but the newest `keep` checkpoints; returns the folder.

    `kl_coefs`: by policy, the weight of the KL penalty in its reward, where it has one. The folder holds
    `adapters/<n>` in PEFT's format, `optimizer-<n>.pt` and `state.json`, which says what each number stands
    for. `manifest.json`, written last, has the size and SHA-256 of every file. A folder of that name is
    therefore whole. Raises CheckpointError when the disk does not take it; older checkpoints stay.
    """
    final, partial = root / f"step_{step:06d}", root / f".step_{step:06d}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for number, name in enumerate(policies.plans):
            policies.export(name, partial / "adapters" / str(number))
            torch.save(policies.optimizers[name].state_dict(), partial / f"optimizer-{number}.pt")
        state = {
            "step": step,
            "policies": [
                {"name": name, "version": policies.versions[name], "kl_coef": kl_coefs.get(name)}
                for name in policies.plans
            ],
        }
        (partial / "state.json").write_text(json.dumps(state, indent=2) + "\n")
        _seal(partial)
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
        _sync_folder(root)
    except OSError as cause:
        shutil.rmtree(partial, ignore_errors=True)
        raise CheckpointError(
            f"checkpoint {final} could not be written: {cause}",
            help="older checkpoints are untouched; free space or change training.model_checkpoints_dir",
        ) from cause
    for old in sorted(root.glob("step_*"))[:-keep]:
        shutil.rmtree(old)
    return final


def _seal(folder: Path) -> None:
    """Flush every file to the disk and list them, with hashes, in the manifest."""
    entries = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        entries[file.relative_to(folder).as_posix()] = {"bytes": file.stat().st_size, "sha256": digest}
    with (folder / MANIFEST).open("w") as stream:
        json.dump({"files": entries}, stream, indent=2)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where folders can be synced."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
