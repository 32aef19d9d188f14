"""A model's weights in one line of text: weights that differ have different lines."""

from __future__ import annotations

import hashlib
from operator import itemgetter
from typing import Any

from pettingllms.errors import RolloutError

PROBES = 4
"""Rows that go through a matrix which cannot be read."""
CHUNK = 2**18
"""Elements that are summed at once, so that what is in between stays in the processor's caches."""


def fingerprint(model: Any) -> str:
    """SHA-256 of the parameters, buffers and packed linear layers of `model`, a torch module.

    For every parameter and buffer: name, type, shape, and Fletcher's checksum of its bits (their sum, and
    their sum weighted by position, modulo 2^64), summed on the device that holds it. vLLM keeps matrices on
    the CPU in a packed form that cannot be read: for each of these also the bits of its products with
    `PROBES` fixed rows, in which a change far below the rounding of a product may not show.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted([*model.named_parameters(), *model.named_buffers()], key=itemgetter(0)):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {_checksum(tensor)}\n".encode())
    for name, module in model.named_modules():
        if hasattr(module, "cpu_linear"):
            digest.update(f"{name} packed {_checksum(_products(module))}\n".encode())
    return digest.hexdigest()


def require_restored(found: object, at_start: object) -> None:
    """Raise RolloutError unless the fingerprints that were `found` are those of the engine's start."""
    if found != at_start:
        raise RolloutError("the engine could not be restored: its weights are not those of its start")


def _checksum(tensor: Any) -> list[int]:
    import torch

    kinds = {1: torch.int8, 2: torch.int16, 4: torch.int32}
    words_n = tensor.detach().reshape(-1).view(kinds.get(tensor.element_size(), torch.int64))
    sums = torch.zeros(2, dtype=torch.int64, device=tensor.device)
    for begin in range(0, len(words_n), CHUNK):
        part_n = words_n[begin : begin + CHUNK].long()
        place_n = torch.arange(begin + 1, begin + 1 + len(part_n), device=tensor.device)
        sums += torch.stack([part_n.sum(), (part_n * place_n).sum()])
    return list(sums.tolist())


def _products(module: Any) -> Any:
    """[PROBES, outputs]: what vLLM's packed form of the module's matrix makes of the same random rows."""
    import torch

    weight = module.weight
    # The readable form is left empty where nothing but the product needs the matrix.
    full = weight.numel() > 0
    width = weight.shape[1] if full else getattr(module, "input_size_per_partition", module.input_size)
    rows = torch.randn(PROBES, width, generator=torch.Generator().manual_seed(0)).to(weight.dtype)
    with torch.no_grad():
        return module.cpu_linear(rows, weight, None)
