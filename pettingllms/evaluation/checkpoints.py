"""Checkpoints as they lie on the disk: which there are, whether one is whole, and which policies it holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pettingllms.errors import CheckpointError, UsageError

STATE, MANIFEST, POLICIES = "state.json", "manifest.json", "policies"
ADAPTER = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class SavedPolicy:
    """What a checkpoint holds of a policy. `folder`: a PEFT adapter, or a Hugging Face folder of all weights.

    `version`: number of updates behind it.
    """

    folder: Path
    version: int

    @property
    def is_adapter(self) -> bool:
        """Whether it is added to a base model, instead of standing alone."""
        return (self.folder / ADAPTER).is_file()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint whose policies are whole, by their hashes. `step`: after which it was written."""

    folder: Path
    step: int
    policies: dict[str, SavedPolicy]


def checkpoint_root(run_folder: Path, setting: str) -> Path:
    """The run's checkpoint folder: inside the run folder, or below an absolute one by the run's name."""
    root = Path(setting).expanduser()
    if root.is_absolute():
        return root / f"{run_folder.parent.name}-{run_folder.name}"
    return run_folder / root


def newest_checkpoint(root: Path, say: Callable[[str], None]) -> Checkpoint:
    """The newest checkpoint in `root` that is whole; `say` is told of newer ones that are not.

    Raises UsageError where there is none.
    """
    damaged = 0
    for folder in sorted(root.glob("step_*"), key=lambda one: one.name, reverse=True):
        try:
            return read_checkpoint(folder)
        except CheckpointError as error:
            damaged += 1
            say(f"warning: {error}; an older one is taken")
    raise UsageError(
        f"{root} holds no {'whole ' if damaged else ''}checkpoint",
        help="a run writes them after `training.save_freq` steps and after its last one; "
        "name the experiment file to evaluate its base models",
    )


def checkpoint_of_step(root: Path, step: int) -> Checkpoint:
    """The checkpoint of `step` in `root`. Raises as `read_checkpoint`, and UsageError for none."""
    folder = root / f"step_{step:06d}"
    if not folder.is_dir():
        there = ", ".join(str(int(one.name[5:])) for one in sorted(root.glob("step_*"))) or "none"
        raise UsageError(f"{root} holds no checkpoint of step {step}", help=f"steps with one: {there}")
    return read_checkpoint(folder)


def read_checkpoint(folder: Path) -> Checkpoint:
    """The checkpoint in `folder`.

    Raises CheckpointError where a file that is needed here is missing, or not what the manifest says.
    """
    manifest = _json(folder / MANIFEST)
    listed = manifest.get("files")
    if not isinstance(listed, dict) or STATE not in listed:
        raise _damaged(folder, f"its {MANIFEST} lists no {STATE}")
    for name, entry in sorted(listed.items()):
        if name == STATE or name.startswith(f"{POLICIES}/"):
            _verify(folder, name, entry)
    state = _json(folder / STATE)
    try:
        policies = {
            str(policy["name"]): SavedPolicy(folder / POLICIES / str(number), int(policy["version"]))
            for number, policy in enumerate(state["policies"])
        }
        step = int(state["step"])
    except (KeyError, TypeError, ValueError) as cause:
        raise _damaged(folder, f"its {STATE} has no {cause}") from cause
    for name, saved in policies.items():
        if not any(file.startswith(f"{POLICIES}/{saved.folder.name}/") for file in listed):
            raise _damaged(folder, f"it holds no weights of policy {name!r}")
    return Checkpoint(folder, step, policies)


def looks_like_checkpoint(folder: Path) -> bool:
    """Whether `folder` is a checkpoint, whole or not, and no run folder."""
    return (folder / STATE).is_file() or (folder / POLICIES).is_dir()


def run_of(folder: Path) -> Path:
    """The run folder around a checkpoint. Raises UsageError where it lies outside of its run."""
    for parent in folder.absolute().parents:
        if (parent / "trial.toml").is_file():
            return parent
    raise UsageError(
        f"the run of checkpoint {folder} is not found: no folder above it holds trial.toml",
        help="name the run's folder; `--step` chooses one of its checkpoints",
    )


def _verify(folder: Path, name: str, entry: Any) -> None:
    try:
        with (folder / name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as cause:
        raise _damaged(folder, f"{name}: {cause.strerror}") from cause
    if not isinstance(entry, dict) or digest != entry.get("sha256"):
        raise _damaged(folder, f"{name} is not what was written: its SHA-256 differs from the manifest's")


def _json(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise _damaged(file.parent, f"{file.name} cannot be read: {cause}") from cause
    if not isinstance(data, dict):
        raise _damaged(file.parent, f"{file.name} is no JSON object")
    return data


def _damaged(folder: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"checkpoint {folder} is damaged: {why}", help="name another one, or the run's folder for its newest"
    )
