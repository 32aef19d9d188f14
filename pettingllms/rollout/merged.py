"""Merged weights: the base model with one policy's adapter added, matrix by matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pettingllms.errors import RolloutError
from pettingllms.rollout.adapters import Delta, read_deltas, weight_files


class MergedWeights:
    """The base weights, mapped from their files once, and what they are with an adapter added.

    Only the disk and the adapter decide: nothing is left of one merge in the next. Costs no memory of its
    own but for the matrices that are being taken: the system may drop mapped pages, as the files hold them.
    """

    def __init__(self, model_folder: Path) -> None:
        self._model_folder = model_folder

    def of(self, adapter_folder: Path | None) -> Iterator[tuple[str, Any]]:
        """(name, tensor) of all base weights, with the adapter added where it has something to add.

        W' = W + scale * B A, in float32. Whoever takes them gets every name of the base's files, each once,
        and must not write to them. A matrix is merged when it is asked for: whoever lets it go soon gets the
        next one in the same memory, instead of fresh pages. Raises RolloutError, before the first is taken,
        when the adapter does not fit.
        """
        from safetensors.torch import load_file

        if adapter_folder is None:
            return iter(self._base.items())
        deltas = read_deltas(adapter_folder)
        factors = load_file(adapter_folder / "adapter_model.safetensors")
        for name, delta in deltas.items():
            up, down = factors[delta.up].shape, factors[delta.down].shape
            if up[1] != down[0]:
                raise RolloutError(
                    f"the adapter in {adapter_folder} is damaged: "
                    f"its factors of {name} have the ranks {up[1]} and {down[0]}"
                )
            shape, added = tuple(self._base[name].shape), (up[0], down[1])
            if shape != added:
                raise RolloutError(
                    f"the adapter in {adapter_folder} is of another model: "
                    f"{name} is {shape}, what it adds {added}"
                )
        return self._merged(deltas, factors)

    @cached_property
    def _base(self) -> dict[str, Any]:
        from safetensors import safe_open

        tensors: dict[str, Any] = {}
        for file in weight_files(self._model_folder):
            with safe_open(file, "pt") as weights:
                # A tensor keeps its file mapped.
                tensors |= {name: weights.get_tensor(name) for name in weights.keys()}  # noqa: SIM118
        return tensors

    def _merged(self, deltas: Mapping[str, Delta], factors: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        import torch

        for name, tensor in self._base.items():
            if name in deltas:
                delta = deltas[name]
                up, down = factors[delta.up].float(), factors[delta.down].float()
                yield name, torch.addmm(tensor.float(), up, down, alpha=delta.scale)
            else:
                yield name, tensor
