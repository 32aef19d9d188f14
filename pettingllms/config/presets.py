"""The shipped presets: experiments by name, fragments to mount, and overlays for the size of a run."""

from __future__ import annotations

from pathlib import Path, PurePath

from pettingllms.errors import UsageError
from pettingllms.registry import closest

TASKS = ("math", "code", "search", "stateful")
FRAGMENTS, PHASES = "ppo_trainer", "progressive"
SUFFIXES = (".toml", ".yaml", ".yml")


def config_root() -> Path:
    """The folder of all shipped files, one folder below it for each task."""
    return Path(__file__).parent


def preset_files() -> dict[str, Path]:
    """The experiments by name, such as `math_L3_model`, in the order of tasks and levels."""
    return {path.stem: path for task in TASKS for path in _files(task)}


def fragment_files() -> dict[str, Path]:
    """The trainer fragments by name; a `defaults` list mounts them below `models`."""
    return {path.stem: path for path in _files(FRAGMENTS)}


def phase_files() -> dict[str, Path]:
    """The overlays that make a run small or large, by name."""
    return {path.stem: path for path in _files(PHASES)}


def find_preset(name: str) -> Path:
    """Return the experiment called `name`: with or without a suffix, with or without the task's folder.

    Raises UsageError, with the nearest name, where there is none.
    """
    wanted, presets = PurePath(name), preset_files()
    stem = wanted.stem if wanted.suffix in SUFFIXES else wanted.name
    path = presets.get(stem)
    if path is not None and wanted.parent.as_posix() in (".", path.parent.name):
        return path
    raise UsageError(f"there is no preset {name!r}", help=_advice(stem, presets))


def summary(path: Path) -> str:
    """What a preset is, in the words of its first comment."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(line[2:].rstrip(".") for line in lines if line.startswith("# "))


def _advice(stem: str, presets: dict[str, Path]) -> str:
    if stem in fragment_files():
        return f"{FRAGMENTS}/{stem} is a trainer fragment: mount it in the `defaults` list of an experiment"
    if stem in phase_files():
        return f"{PHASES}/{stem} goes on top of an experiment: --with {PHASES}/{stem}"
    near = closest(stem, presets)
    listed = f"presets: {', '.join(presets)}"
    return f"did you mean {near}? {listed}" if near else listed


def _files(folder: str) -> list[Path]:
    return sorted((config_root() / folder).glob("*.toml"))
