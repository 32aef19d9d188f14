"""A trial and its run folder: everything that is known about a run before it starts.

The folder is the border between this process and the worker. Before the start it holds

- `experiment.toml` (or `.yaml`): the source as written; `resolved.toml`: the same with included files,
  swept values and overrides in place and references followed, but those to environment variables;
  `trial.toml`: what the worker reads;
- `.hydra/config.yaml` and `.hydra/overrides.yaml`, for tools that know Hydra's layout;
- `manifest.json`: versions, platform, sandbox, git state, seed, source file, command line, swept values,
  start time;
- `accelerate.json`: the launcher's settings.

- `.run.lock`: who follows the run; it is held as long as that lasts.

The worker adds `metrics.jsonl`, `events.jsonl`, `samples/`, `checkpoints/` and `engine.log`; what it
prints goes to `log.txt`.
"""

from __future__ import annotations

import io
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pettingllms.agents.sandboxed import sandbox_record
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.load import LoadedExperiment
from pettingllms.config.trial_file import trial_toml
from pettingllms.documents.read import is_yaml
from pettingllms.documents.source import KeyPath, dotted
from pettingllms.hiding import without_passwords
from pettingllms.lint.engine import CheckedCell
from pettingllms.sweep.folders import create_folder
from pettingllms.sweep.launch import accelerate_settings
from pettingllms.sweep.packages import installed_versions


@dataclass(frozen=True, slots=True)
class Trial:
    """One resolved grid point in its run folder; `values` are the swept ones, `title` is for people."""

    number: int
    folder: Path
    values: Mapping[KeyPath, Any]
    config: ExperimentConfig
    title: str


def create_trial(experiment: LoadedExperiment, cell: CheckedCell, folder: Path, title: str) -> Trial:
    """Create the run folder of one cell of `experiment`, with all its files.

    Raises RefusedError when the folder cannot be written.
    """
    values, config, stored = cell.values, cell.config, cell.stored
    toml = trial_toml(stored)
    swept = [f"{dotted(path)}={shown(value)}" for path, value in values.items()]
    made = create_folder(
        folder,
        {
            source_name(experiment): experiment.text,
            "resolved.toml": toml,
            "trial.toml": toml,
            ".hydra/config.yaml": yaml_text(stored),
            ".hydra/overrides.yaml": yaml_text([*experiment.overrides, *swept]),
            "manifest.json": json.dumps(
                {"source": str(experiment.path.absolute()), **manifest(config, values)}, indent=2, default=str
            )
            + "\n",
            "accelerate.json": accelerate_text(config),
        },
    )
    return Trial(cell.number, made.absolute(), values, config, title)


def accelerate_text(config: ExperimentConfig) -> str:
    """The launcher's settings as they lie in the run folder."""
    return json.dumps(accelerate_settings(config), indent=2) + "\n"


def source_name(experiment: LoadedExperiment) -> str:
    """The name under which a folder keeps the experiment as it was written."""
    return "experiment.yaml" if is_yaml(experiment.path) else "experiment.toml"


def shown(value: Any) -> str:
    """A swept value as people and command lines write it."""
    return json.dumps(value, ensure_ascii=False, default=str)


def manifest(config: ExperimentConfig, values: Mapping[KeyPath, Any]) -> dict[str, Any]:
    """What a later reader needs to know about the run beside its configuration."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "argv": [without_passwords(word) for word in sys.argv],
        "seed": config.training.seed,
        "values": {dotted(path): value for path, value in values.items()},
        "git": git_state(Path.cwd()),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "sandbox": sandbox_record(config),
        "packages": {name: version for name, version in installed_versions().items() if version},
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the repository around `folder` and whether files differ from it; None where there is none."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit.strip(), "dirty": bool(_git(folder, "status", "--porcelain"))}


def _git(folder: Path, *words: str) -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *words], cwd=folder, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def yaml_text(data: Mapping[str, Any] | Sequence[Any]) -> str:
    """Return `data` as YAML that readers of version 1.1 (Hydra, PyYAML) and of 1.2 understand alike."""
    yaml = YAML()
    # 1.1 quotes what only 1.1 would take for a boolean or a time; its directive line is not needed.
    yaml.version = (1, 1)
    yaml.width = 4096
    stream = io.StringIO()
    yaml.dump(data, stream)
    return stream.getvalue().split("---\n", 1)[-1]
