"""Reading the tensors of a small file, again and again."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load
from torch import Tensor


def load_tensors(file: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, read through memory.

    `load_file` of safetensors 0.8.0 never frees 64 bytes of each tensor: an adapter that is loaded in every
    step would make a long run grow.
    """
    tensors: dict[str, Tensor] = load(file.read_bytes())
    return tensors
