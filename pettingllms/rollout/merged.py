"""One policy's weights for an engine: its own, or the base model's with its adapter added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pettingllms.errors import RolloutError
from pettingllms.rollout.adapters import Delta, read_deltas
from pettingllms.rollout.loaded import is_adapter
from pettingllms.rollout.model_files import weight_files


class MergedWeights:
    """The base weights, mapped from their files once, and those of policies.

    Only what is on the disk decides: nothing is left of one merge in the next. Costs no memory of its
    own but for the matrices that are being taken: the system may drop mapped pages, as the files hold them.
    """

    def __init__(self, model_folder: Path) -> None:
        self._model_folder = model_folder

    def of(self, folder: Path | None) -> Iterator[tuple[str, Any]]:
        """(name, tensor) of all weights: the base model's, or those of the policy in `folder`.

        An adapter is added where it has something to add: W' = W + scale * B A, in float32. Whoever takes
        them gets every name of the files, each once, and must not write to them. A matrix is merged when it
        is asked for: whoever lets it go soon gets the next one in the same memory, instead of fresh pages.
        Raises RolloutError, before the first is taken, when the adapter does not fit.
        """
        from pettingllms.models.tensors import load_tensors

        if folder is None:
            return iter(self._base.items())
        if not is_adapter(folder):
            return iter(_mapped(folder).items())
        deltas = read_deltas(folder)
        factors = load_tensors(folder / "adapter_model.safetensors")
        for name, delta in deltas.items():
            up, down = factors[delta.up].shape, factors[delta.down].shape
            if up[1] != down[0]:
                raise RolloutError(
                    f"the adapter in {folder} is damaged: "
                    f"its factors of {name} have the ranks {up[1]} and {down[0]}"
                )
            shape, added = tuple(self._base[name].shape), (up[0], down[1])
            if shape != added:
                raise RolloutError(
                    f"the adapter in {folder} is of another model: {name} is {shape}, what it adds {added}"
                )
        return self._merged(deltas, factors)

    @cached_property
    def _base(self) -> dict[str, Any]:
        return _mapped(self._model_folder)

    def _merged(self, deltas: Mapping[str, Delta], factors: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        import torch

        for name, tensor in self._base.items():
            if name in deltas:
                delta = deltas[name]
                up, down = factors[delta.up].float(), factors[delta.down].float()
                yield name, torch.addmm(tensor.float(), up, down, alpha=delta.scale)
            else:
                yield name, tensor


def _mapped(folder: Path) -> dict[str, Any]:
    """The tensors of a model's files by name, mapped."""
    from safetensors import safe_open

    tensors: dict[str, Any] = {}
    for file in weight_files(folder):
        with safe_open(file, "pt") as weights:
            # A tensor keeps its file mapped.
            tensors |= {name: weights.get_tensor(name) for name in weights.keys()}  # noqa: SIM118
    return tensors
