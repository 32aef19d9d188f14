"""How many weights a model has: counted from the headers of local files, or computed from its shape."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

from pettingllms.lint.model_files import local_folder, settings_at, shape_of

MAX_HEADER = 100 * 2**20
"""Bytes of the longest header that the format allows."""
FLOATS = {"F64", "F32", "F16", "BF16"}


def weights_of(path: str) -> int | None:
    """Weights of the model at `path`; None where it is no local or embedded model, or is quantised.

    They are counted from the headers of `*.safetensors` files where there are some, which is exact but for
    ties, and otherwise from `config.json`.
    """
    settings = settings_at(path)
    if settings is not None and settings.get("quantization_config"):
        return None
    folder = local_folder(path)
    files = sorted(folder.glob("*.safetensors")) if folder is not None else []
    counts = [_counted(file) for file in files]
    if counts and all(count is not None for count in counts):
        return sum(count or 0 for count in counts)
    shape = shape_of(path)
    return None if shape is None else shape.parameters


def _counted(file: Path) -> int | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return _in_file(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=512)
def _in_file(file: Path, _changed: int, size: int) -> int | None:
    """Weights in one file; None where it is no such file, or holds other than floating-point numbers."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 0 < length <= min(MAX_HEADER, size - 8):
                return None
            header: dict[str, Any] = json.loads(stream.read(length))
        tensors = [entry for name, entry in header.items() if name != "__metadata__"]
        if not all(entry["dtype"] in FLOATS for entry in tensors):
            return None
        total: int = sum(math.prod(entry["shape"]) for entry in tensors)
        return total
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
