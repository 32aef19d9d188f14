"""Merged weights: the base model with one policy's adapter added, matrix by matrix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pettingllms.rollout.adapters import read_deltas, weight_files


def merged_weights(model_folder: Path, adapter_folder: Path | None) -> Iterator[tuple[str, Any]]:
    """Yield (name, tensor) of all base weights, with the adapter added where it has something to add.

    W' = W + scale * B A, in float32. Whoever takes them gets every name of the base's files, each once.
    """
    from safetensors import safe_open
    from safetensors.torch import load_file

    deltas = read_deltas(adapter_folder) if adapter_folder is not None else {}
    tensors = load_file(adapter_folder / "adapter_model.safetensors") if adapter_folder is not None else {}
    for file in weight_files(model_folder):
        with safe_open(file, "pt") as weights:
            for name in weights.keys():  # noqa: SIM118 - not a mapping
                tensor = weights.get_tensor(name)
                if name in deltas:
                    delta = deltas[name]
                    up, down = tensors[delta.up].float(), tensors[delta.down].float()
                    tensor = tensor.float().addmm_(up, down, alpha=delta.scale)
                yield name, tensor
