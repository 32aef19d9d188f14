"""Checkpoints of a search for prompts: what it remembers, laid out like those of a training run."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from pettingllms.errors import CheckpointError
from pettingllms.training.checkpoint import MANIFEST, _seal, _sync_folder
from pettingllms.training.prompt_memory import Memory

PART = "prompt search"
"""The name of the search among the parts of a checkpoint."""
FORMAT, STATE, TRIAL = 2, "state.json", "trial.toml"


def save_search(memory: Memory, metrics: Mapping[str, float], trial: str, root: Path, keep: int) -> Path:
    """Write `root/step_000012`, whole or not at all, and remove all but the newest `keep`.

    `metrics`: the validation of the best candidate; `trial`: the experiment as TOML. Returns the folder.
    Raises CheckpointError when the disk does not take it; older checkpoints stay.
    """
    final = root / f"step_{memory.step:06d}"
    partial = root / f".{final.name}.partial"
    _, values = memory.state()
    state = {
        "format": FORMAT,
        "step": memory.step,
        "policies": [],
        "parts": [{"name": PART, "values": values}],
        "metrics": dict(metrics),
    }
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        (partial / STATE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
        (partial / TRIAL).write_text(trial, encoding="utf-8")
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


def load_search(folder: Path, memory: Memory) -> None:
    """Put what a whole checkpoint holds into `memory`. Raises CheckpointError for one of another run."""
    state = json.loads((folder / STATE).read_text(encoding="utf-8"))
    own = [part for part in state["parts"] if part["name"] == PART]
    if not own:
        raise CheckpointError(
            f"checkpoint {folder} is of no search for prompts", help="go on with the experiment that wrote it"
        )
    memory.load_state({}, own[0]["values"])


def newest_checkpoint(root: Path) -> Path | None:
    """The newest whole checkpoint below `root`, None where there is none."""
    return next(filter(_is_whole, sorted(root.glob("step_*"), reverse=True)), None)


def _is_whole(folder: Path) -> bool:
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        return all(
            hashlib.sha256((folder / name).read_bytes()).hexdigest() == entry["sha256"]
            for name, entry in files.items()
        )
    except (OSError, ValueError, LookupError):
        return False
