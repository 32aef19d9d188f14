"""Checkpoint folders: their names, the manifest that seals one, and which of them are whole.

A checkpoint is `step_000012/`:

- `policies/<n>/`: the weights of policy n, as other tools read them;
- `state.safetensors`, `state.json`: everything else, as tensors and as values; `state.json` has `format` and
  says what each number stands for;
- `trial.toml`: the experiment under which it was trained;
- `manifest.json`, written last: size and SHA-256 of every other file.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pettingllms.errors import CheckpointError, RefusedError

FORMAT = 2
"""The layout of checkpoints that this package writes and reads."""
MANIFEST, STATE, TENSORS, TRIAL = "manifest.json", "state.json", "state.safetensors", "trial.toml"
POLICIES = "policies"
DAMAGED = ".damaged"
"""What the name of a checkpoint ends with that was set aside."""


def checkpoint_root(run_folder: Path, setting: str) -> Path:
    """The run's checkpoint folder: inside the run folder, or below an absolute one by the run's name."""
    root = Path(setting).expanduser()
    if root.is_absolute():
        return root / f"{run_folder.parent.name}-{run_folder.name}"
    return run_folder / root


def step_folder(root: Path, step: int) -> Path:
    """Where the checkpoint after `step` lies."""
    return root / f"step_{step:06d}"


def checkpoints(root: Path) -> dict[int, Path]:
    """All checkpoint folders below `root` by their step, the oldest first, whole or not."""
    if not root.is_dir():
        return {}
    found = {
        int(match[1]): path
        for path in root.iterdir()
        if (match := re.fullmatch(r"step_(\d+)", path.name)) and path.is_dir()
    }
    return dict(sorted(found.items()))


def checkpoint_step(folder: Path) -> int:
    """The step after which a checkpoint was written, by its name."""
    return int(folder.name.removeprefix("step_"))


def seal(folder: Path) -> None:
    """Flush every file to the disk and list all of them, with sizes and hashes, in the manifest."""
    sizes = {path: path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}
    longest_first = sorted(sizes, key=lambda path: -sizes[path])
    # The disk and two cores work at the same time.
    with ThreadPoolExecutor(max_workers=1) as disk, ThreadPoolExecutor(max_workers=2) as cores:
        flushed = [disk.submit(_flush, path) for path in longest_first]
        digests = {path: cores.submit(_digest, path) for path in longest_first}
        for one in flushed:
            one.result()
        files = {
            path.relative_to(folder).as_posix(): {"bytes": size, "sha256": digests[path].result()}
            for path, size in sizes.items()
        }
    with (folder / MANIFEST).open("w", encoding="utf-8") as stream:
        stream.write(_manifest_text(files))
        stream.flush()
        os.fsync(stream.fileno())
    for inner in [path for path in folder.rglob("*") if path.is_dir()]:
        sync_folder(inner)
    sync_folder(folder)


def _flush(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Make names in the folder durable, where folders can be synced."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def fault(folder: Path) -> str | None:
    """What is wrong with a checkpoint: the first file that is not as its manifest says; None when whole.

    Raises RefusedError for one that this user may not read: it may well be whole.
    """
    try:
        return _fault(folder)
    except PermissionError as cause:
        raise RefusedError(
            f"checkpoint {folder} cannot be read: {cause.filename}: {cause.strerror}",
            help="change its permissions, or run as the user who wrote it",
        ) from cause


def _fault(folder: Path) -> str | None:
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        files = json.loads(text)["files"]
    except FileNotFoundError:
        return f"{MANIFEST} is missing"
    except PermissionError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as cause:
        return f"{MANIFEST} cannot be read: {cause}"
    if not isinstance(files, dict) or text != _manifest_text(files):
        return f"{MANIFEST} is not as it was written"
    faults = (_file_fault(folder / name, name, entry) for name, entry in files.items())
    return next(filter(None, faults), None)


def _file_fault(path: Path, name: str, entry: Mapping[str, Any]) -> str | None:
    try:
        size = path.stat().st_size
        digest = _digest(path)
    except PermissionError:
        raise
    except OSError as cause:
        return f"{name} cannot be read: {cause.strerror}"
    if size != entry["bytes"]:
        return f"{name} has {size} bytes, not {entry['bytes']}"
    return None if digest == entry["sha256"] else f"{name} has other content than was written"


def newest_whole(root: Path, warn: Callable[[str], None]) -> Path | None:
    """The newest checkpoint that is whole; `warn` is told of each newer one, with the file and what it has.

    Raises RefusedError for one that another version wrote.
    """
    newest, damaged = _newest(root)
    _tell(damaged, warn)
    return newest


def newest_to_go_on(root: Path, warn: Callable[[str], None]) -> Path | None:
    """As `newest_whole`; None only where there are no checkpoints at all, so that the run begins.

    Raises CheckpointError where all are damaged: a run that began anew would take its records with it.
    """
    newest, damaged = _newest(root)
    if newest is None and damaged:
        told = "; ".join(f"{folder.name}: {found}" for folder, found in damaged.items())
        raise CheckpointError(
            f"no checkpoint in {root} is whole, and nothing was changed: {told}",
            help="put back a whole one, if there is a copy; or train into a new folder: pettingllms train "
            f"FILE --output DIR; or delete {root}, and the run begins anew without what it measured so far",
        )
    _tell(damaged, warn)
    return newest


def _newest(root: Path) -> tuple[Path | None, dict[Path, str]]:
    """The newest checkpoint that is whole, and what is wrong with each newer one."""
    if root.exists() and not root.is_dir():
        raise RefusedError(f"{root} is no folder, and should hold checkpoints", help="move that file away")
    damaged: dict[Path, str] = {}
    for folder in reversed(checkpoints(root).values()):
        _refuse_first_layout(folder)
        if (found := fault(folder)) is None:
            read_state(folder)
            return folder, damaged
        damaged[folder] = found
    return None, damaged


def _tell(damaged: Mapping[Path, str], warn: Callable[[str], None]) -> None:
    for folder, found in damaged.items():
        warn(f"checkpoint {folder} is damaged and left out: {found}")


def read_state(folder: Path) -> dict[str, Any]:
    """What `state.json` of a whole checkpoint holds. Raises RefusedError when another version wrote it."""
    state: dict[str, Any] = json.loads((folder / STATE).read_text(encoding="utf-8"))
    if state["format"] != FORMAT:
        raise RefusedError(
            f"checkpoint {folder} has format {state['format']}, and this version reads format {FORMAT}",
            help="go on with the version that wrote it; requirements are in manifest.json of the run folder",
        )
    return state


def set_aside(root: Path, after: int) -> None:
    """Rename the checkpoints of later steps than `after`, from where the run goes on and writes them anew.

    Left under their names they would count among the newest, and the whole ones would be removed.
    """
    for step, folder in checkpoints(root).items():
        if step > after:
            target = folder.with_name(folder.name + DAMAGED)
            number = 2
            while target.exists():
                target = folder.with_name(f"{folder.name}{DAMAGED}-{number}")
                number += 1
            folder.rename(target)


def superseded(root: Path, keep: int, metric: str | None, direction: str) -> list[Path]:
    """The checkpoints that may go: all but the newest `keep` and the one whose `metric` is best.

    Of equals the first one stays. `metric`: None keeps the newest only.
    """
    found = checkpoints(root)
    kept = set(list(found)[-keep:])
    sign = 1 if direction == "maximize" else -1
    scores = {step: sign * _metrics(folder).get(metric or "", math.nan) for step, folder in found.items()}
    if valued := {step: score for step, score in scores.items() if not math.isnan(score)}:
        kept.add(max(valued, key=valued.__getitem__))
    return [folder for step, folder in found.items() if step not in kept]


def _metrics(folder: Path) -> Mapping[str, float]:
    try:
        found: dict[str, float] = json.loads((folder / STATE).read_text(encoding="utf-8"))["metrics"]
    except (OSError, ValueError, KeyError):
        return {}
    return found


def _refuse_first_layout(folder: Path) -> None:
    """The first layout had `adapters/<n>`, `optimizer-<n>.pt` and no `format`."""
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if (folder / "adapters").is_dir() and isinstance(state, dict) and "format" not in state:
        raise RefusedError(
            f"checkpoint {folder} has the layout of an earlier version, which lacks random states and epoch "
            "means: a run cannot go on from it as if it had never stopped",
            help="its adapters are good: start a new run with actor_rollout_ref.model.lora_adapter_path = "
            f'"{folder / "adapters" / "0"}" for the first policy, …/1 for the second',
        )


def _manifest_text(files: Mapping[str, Any]) -> str:
    """The one text of a manifest, so that a change anywhere in it is seen."""
    digest = hashlib.sha256(json.dumps(files).encode()).hexdigest()
    return json.dumps({"files": files, "sha256": digest}, indent=2) + "\n"
