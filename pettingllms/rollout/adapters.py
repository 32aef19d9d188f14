"""Adapters as engines take them: which one each policy has, and which cannot be served."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pettingllms.errors import RolloutError
from pettingllms.rollout.plain_lora import not_plain

PREFIX = "base_model.model."
"""What PEFT puts before the names of the base model's modules."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The newest adapter of a policy. `number`: how many were loaded before it, of any policy, ever."""

    version: int
    folder: Path
    number: int


class Adapters:
    """Which adapter each policy has; a policy without one is the base model, version 0."""

    def __init__(self, model_folder: Path, max_rank: int | None) -> None:
        self._model_folder, self._max_rank = model_folder, max_rank
        self._count = 0
        self.newest: dict[str, Loaded] = {}

    def load(self, policy: str, version: int, folder: Path) -> None:
        """Take the adapter in `folder`. Raises RolloutError when it cannot be served, and changes nothing."""
        check_adapter(self._model_folder, folder, self._max_rank)
        self.newest[policy] = Loaded(version, folder, self._count)
        self._count += 1

    def forget(self) -> None:
        """Every policy is the base model again. Numbers go on: none is given twice."""
        self.newest.clear()

    def version(self, policy: str) -> int:
        """Updates behind the weights that `policy` has now."""
        return self.newest[policy].version if policy in self.newest else 0


@dataclass(frozen=True, slots=True)
class Delta:
    """What an adapter adds to one base matrix: `scale` * B A, with the names of A and B in its file."""

    down: str
    up: str
    rank: int
    scale: float


def check_adapter(model_folder: Path, adapter_folder: Path, max_rank: int | None) -> None:
    """Raise RolloutError unless the adapter is plain LoRA on matrices that the base model has.

    `max_rank`: the largest rank; None is no limit. A head that is tied to the embeddings cannot be adapted:
    it is one matrix with two uses.
    """
    deltas = read_deltas(adapter_folder)
    base = {name for file in weight_files(model_folder) for name in _names(file)}
    if unknown := sorted(deltas.keys() - base):
        raise RolloutError(
            f"the adapter in {adapter_folder} adapts {unknown[0]}, which the base model does not have"
            + (" as a matrix of its own" if _tied(model_folder) else "")
        )
    if _tied(model_folder) and (shared := [name for name in deltas if _may_be_tied(name)]):
        raise RolloutError(f"{shared[0]} cannot be adapted: the base model ties its head to its embeddings")
    if max_rank is not None and (large := [name for name, delta in deltas.items() if delta.rank > max_rank]):
        raise RolloutError(f"the adapter's rank at {large[0]} is above max_lora_rank = {max_rank}")


def read_deltas(adapter_folder: Path) -> dict[str, Delta]:
    """What the adapter adds, by the name of the base matrix.

    scale = alpha / r (Hu et al. 2021, arXiv:2106.09685, section 4.1), or alpha / sqrt(r) where the adapter
    says `use_rslora` (Kalajdzievski 2023, arXiv:2312.03732). Raises RolloutError for what is not plain LoRA.
    """
    settings = json.loads((adapter_folder / "adapter_config.json").read_text())
    if odd := not_plain(settings):
        raise RolloutError(
            f"the adapter in {adapter_folder} sets {odd[0]} = {settings[odd[0]]}, which engines cannot serve",
            help="only plain LoRA adapters are served, rank-stabilised ones included",
        )
    root = math.sqrt if settings.get("use_rslora") else float
    deltas = {}
    shapes = _names(adapter_folder / "adapter_model.safetensors")
    for name in sorted(shapes):
        base = name.removeprefix(PREFIX).replace(".base_layer.", ".")
        if name.endswith(".lora_A.weight"):
            up, rank = name.replace(".lora_A.", ".lora_B."), shapes[name][0]
            base = base.replace(".lora_A.", ".")
            deltas[base] = Delta(name, up, rank, settings["lora_alpha"] / root(rank))
        elif not name.endswith(".lora_B.weight") and not _may_be_tied(base):
            raise RolloutError(f"the adapter in {adapter_folder} holds {name}, which engines cannot serve")
    return deltas


def weight_files(model_folder: Path) -> list[Path]:
    """The files that hold the base weights. Raises RolloutError when there are none."""
    index = model_folder / "model.safetensors.index.json"
    if index.is_file():
        return [
            model_folder / name for name in sorted(set(json.loads(index.read_text())["weight_map"].values()))
        ]
    files = [model_folder / "model.safetensors"]
    if not files[0].is_file():
        files = sorted(model_folder.glob("*.safetensors"))
    if not files:
        raise RolloutError(f"{model_folder} holds no .safetensors weights", help="convert the model first")
    return files


def _may_be_tied(name: str) -> bool:
    """Whether it names embeddings or a head; PEFT writes frozen copies of both beside an adapter of one."""
    return name.endswith(("embed_tokens.weight", "lm_head.weight"))


def _tied(model_folder: Path) -> bool:
    config = json.loads((model_folder / "config.json").read_text())
    return bool(config.get("tie_word_embeddings") or config.get("text_config", {}).get("tie_word_embeddings"))


def _names(file: Path) -> dict[str, Any]:
    """Names and shapes of the tensors in `file`."""
    from safetensors import safe_open

    with safe_open(file, "pt") as weights:
        return {name: weights.get_slice(name).get_shape() for name in weights.keys()}  # noqa: SIM118
