"""The files of a model's weights: which they are, and what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pettingllms.errors import RolloutError


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


def may_be_tied(name: str) -> bool:
    """Whether it names embeddings or a head; PEFT writes frozen copies of both beside an adapter of one."""
    return name.endswith(("embed_tokens.weight", "lm_head.weight"))


def ties_its_ends(model_folder: Path) -> bool:
    """Whether the model's head is its embeddings."""
    config = json.loads((model_folder / "config.json").read_text())
    return bool(config.get("tie_word_embeddings") or config.get("text_config", {}).get("tie_word_embeddings"))


def shapes_in(file: Path) -> dict[str, Any]:
    """Names and shapes of the tensors in `file`."""
    from safetensors import safe_open

    with safe_open(file, "pt") as weights:
        return {name: weights.get_slice(name).get_shape() for name in weights.keys()}  # noqa: SIM118
