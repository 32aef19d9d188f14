"""Adapters as engines take them: what they add to the base weights, and which cannot be served."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from pettingllms.errors import RolloutError
from pettingllms.rollout.model_files import may_be_tied, shapes_in, ties_its_ends, weight_files
from pettingllms.rollout.plain_lora import not_plain

PREFIX = "base_model.model."
"""What PEFT puts before the names of the base model's modules."""


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
    base = {name for file in weight_files(model_folder) for name in shapes_in(file)}
    if unknown := sorted(deltas.keys() - base):
        raise RolloutError(
            f"the adapter in {adapter_folder} adapts {unknown[0]}, which the base model does not have"
            + (" as a matrix of its own" if ties_its_ends(model_folder) else "")
        )
    if ties_its_ends(model_folder) and (shared := [name for name in deltas if may_be_tied(name)]):
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
    shapes = shapes_in(adapter_folder / "adapter_model.safetensors")
    for name in sorted(shapes):
        base = name.removeprefix(PREFIX).replace(".base_layer.", ".")
        if name.endswith(".lora_A.weight"):
            up, rank = name.replace(".lora_A.", ".lora_B."), shapes[name][0]
            base = base.replace(".lora_A.", ".")
            deltas[base] = Delta(name, up, rank, settings["lora_alpha"] / root(rank))
        elif not name.endswith(".lora_B.weight") and not may_be_tied(base):
            raise RolloutError(f"the adapter in {adapter_folder} holds {name}, which engines cannot serve")
    return deltas
