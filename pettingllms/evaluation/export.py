"""What `pettingllms export` does: check, write the policies aside, describe them, put them in place."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pettingllms.compose.secrets import redacted
from pettingllms.config.homes import plan_policies
from pettingllms.config.trial_file import trial_toml
from pettingllms.errors import RefusedError, UsageError
from pettingllms.evaluation.checkpoints import Checkpoint
from pettingllms.evaluation.model_card import Exported, adapter_rank, model_card, serve_commands
from pettingllms.evaluation.source import Source, read_source
from pettingllms.models.embedded import NAME as EMBEDDED
from pettingllms.models.embedded import cache_folder
from pettingllms.registry import closest
from pettingllms.sweep.launch import launch_environment
from pettingllms.sweep.packages import missing

WRITER = "pettingllms.training.export"
"""The module that writes weights, with a file of requests as its only argument."""
STANDARD_ERROR = 2
"""Where the process writes all that it says: standard output is for the commands."""
NEEDED = ("torch", "transformers", "peft", "safetensors")
EXPERIMENT = "experiment.toml"

Dtype = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asks to export. `policies`: names; empty for all. `dtype`: None keeps the base's."""

    named: Path
    out: Path
    merged: bool
    policies: tuple[str, ...] = ()
    dtype: Dtype | None = None
    step: int | None = None


def start_export(asked: Asked) -> int:
    """Export as `asked`; returns the exit status. The commands that serve it go to standard output.

    `asked.out` appears whole or not at all. Raises UsageError, RefusedError or CheckpointError.
    """
    source = read_source(asked.named, asked.step, (), here=False)
    if source.checkpoint is None:
        raise UsageError(f"{asked.named}: nothing of it is trained", help="name a run or a checkpoint")
    names = _chosen(source.checkpoint, asked)
    _require_free(asked.out)
    if absent := missing(NEEDED):
        raise RefusedError(f"an export needs {', '.join(absent)}", help="install with: uv sync --extra hf")
    out = asked.out.absolute()
    partial = out.parent / f".{out.name}-{secrets.token_hex(4)}"
    try:
        partial.mkdir(parents=True)
        policies = _exported(source, source.checkpoint, names, partial, merged=asked.merged)
        if status := _write_weights(source, source.checkpoint, policies, asked, partial / "requests.json"):
            return status
        final = [replace(one, folder=out / one.folder.name) for one in policies]
        _describe(source, policies, final, partial)
        partial.replace(out)
    except OSError as cause:
        raise RefusedError(
            f"{asked.out} cannot be written: {cause.strerror or cause}",
            help="free space, or name another folder",
        ) from cause
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    sys.stderr.write(f"{len(names)} policies of {source.title} in {asked.out}; they are served by\n")
    sys.stdout.write("\n".join(serve_commands(final)) + "\n")
    return 0


def _chosen(checkpoint: Checkpoint, asked: Asked) -> list[str]:
    known = checkpoint.policies
    for name in asked.policies:
        if name not in known:
            near = closest(name, known)
            raise UsageError(
                f"--policy {name}: the checkpoint holds no such policy",
                help=f"did you mean {near!r}?" if near else f"its policies: {', '.join(known)}",
            )
    names = [name for name in known if name in asked.policies or not asked.policies]
    if asked.dtype and not asked.merged and (left := [one for one in names if known[one].is_adapter]):
        raise UsageError(
            f"--dtype {asked.dtype}: adapters, as of {left[0]!r}, keep their own", help="write --merged, too"
        )
    return names


def _require_free(out: Path) -> None:
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        raise RefusedError(f"{out} exists already", help="name a folder that is not there, or an empty one")


def _exported(
    source: Source, checkpoint: Checkpoint, names: Iterable[str], parent: Path, *, merged: bool
) -> list[Exported]:
    """The policies, each with a folder of its own below `parent`."""
    plans, found, taken = plan_policies(source.config), [], {"README.md", EXPERIMENT}
    agents = source.config.agent_policy_configs.agent_configs.values()
    for name in names:
        wanted = re.sub(r"[^\w.-]+", "_", name).strip(".") or "policy"
        folder = next(one for one in _numbered(wanted) if one not in taken)
        taken.add(folder)
        path, saved = plans[name].path, checkpoint.policies[name]
        base, hub = _base(path)
        rank = adapter_rank(saved.folder) if saved.is_adapter else None
        found.append(
            Exported(
                policy=name,
                folder=parent / folder,
                base=base,
                hub=hub,
                rank=None if merged else rank,
                merged=rank if merged else None,
                agents=tuple(agent.name for agent in agents if agent.policy_name == name),
            )
        )
    return found


def _numbered(wanted: str) -> Iterable[str]:
    yield wanted
    yield from (f"{wanted}-{number}" for number in range(2, 1_000_000))


def _base(path: str) -> tuple[str, bool]:
    """The base model as other programs find it, and whether that is a Hugging Face id."""
    if path == EMBEDDED:
        return str(cache_folder()), False
    local = Path(path).expanduser()
    return (str(local.absolute()), False) if local.is_dir() else (path, True)


def _write_weights(
    source: Source, checkpoint: Checkpoint, policies: Iterable[Exported], asked: Asked, file: Path
) -> int:
    plans = plan_policies(source.config)
    requests = [
        {
            "weights": str(checkpoint.policies[one.policy].folder.absolute()),
            "base": plans[one.policy].path,
            "merged": asked.merged,
            "dtype": asked.dtype,
            "out": str(one.folder),
        }
        for one in policies
    ]
    file.write_text(json.dumps(requests), encoding="utf-8")
    environment = launch_environment(source.config, os.environ)
    done = subprocess.run(
        [sys.executable, "-m", WRITER, str(file)], env=environment, stdout=STANDARD_ERROR, check=False
    )
    file.unlink()
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def _describe(source: Source, policies: list[Exported], final: list[Exported], folder: Path) -> None:
    """Write the cards, and the experiment without secrets, next to the weights."""
    (folder / "README.md").write_text(model_card(source, final), encoding="utf-8")
    experiment = trial_toml(redacted(source.stored, None))
    (folder / EXPERIMENT).write_text(experiment, encoding="utf-8")
    for one, there in zip(policies, final, strict=True):
        (one.folder / "README.md").write_text(model_card(source, [there]), encoding="utf-8")
