"""Full weights: a policy's own copy of a whole model, every parameter of it trained."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pettingllms.config.homes import PolicyPlan
from pettingllms.errors import CheckpointError, InvariantError
from pettingllms.models.images import ImageReader
from pettingllms.training.batching import Batch
from pettingllms.training.weights import DTYPES, Base, Recomputation, load_model, scored_hidden

GENERATION = "generation_config.json"


class FullWeights:
    """All weights of one policy, in float32, which small steps of the optimizer need to be seen.

    `model_dtype` is the format of products: with `bf16`, autocast rounds weights and inputs of each product,
    and the residual stream stays float32. Tied weights are one parameter.
    `start`: the model as it was at first, where the plan compares with it.
    """

    def __init__(
        self,
        model: Any,
        folder: Path,
        plan: PolicyPlan,
        start: Any | None,
        packed: bool,
        reader: ImageReader | None = None,
    ) -> None:
        """`folder`: where `model` was loaded from."""
        self.model = model
        self._reader = reader
        self._folder = folder
        self.start = start
        self.packed = packed
        self.width: int = model.get_output_embeddings().weight.shape[1]
        self._products = DTYPES[plan.model_dtype]
        if plan.gradient_checkpointing:
            Recomputation(model)

    def named_parameters(self) -> dict[str, Tensor]:
        """Every parameter of the model, tied ones once."""
        return dict(self.model.named_parameters())

    def forward(self, batch: Batch, *, reference: bool = False) -> tuple[Tensor, Tensor]:
        """Last hidden states [N, H] at `batch.scored_N`, and the output matrix [V, H].

        The matrix carries gradient, too; where it is tied, that of both ends adds up in the embedding.
        """
        model = self.start if reference else self.model
        if model is None:
            raise InvariantError("a policy that is compared with nothing keeps no copy of its start")
        kind = batch.input_BT.device.type
        with torch.autocast(kind, self._products, enabled=self._products != torch.float32):
            hidden_NH = scored_hidden(model, batch, self._reader)
        return hidden_NH, model.get_output_embeddings().weight

    def export(self, folder: Path, parameters: Mapping[str, Tensor]) -> None:
        """Write a Hugging Face folder: `config.json` and float32 weights in safetensors, tied ones once."""
        # Not the state that the model itself would give: tied weights are in there twice.
        kept = self.model.state_dict().keys()
        buffers = {name: one for name, one in self.model.named_buffers() if name in kept}
        self.model.save_pretrained(folder, state_dict={**parameters, **buffers})
        # transformers refuses to write some settings that it reads: they go as they came.
        (folder / GENERATION).unlink(missing_ok=True)
        if (self._folder / GENERATION).is_file():
            shutil.copyfile(self._folder / GENERATION, folder / GENERATION)

    def load(self, folder: Path) -> None:
        """Read the weights of a Hugging Face folder, bit for bit.

        Raises CheckpointError when they do not fit.
        """
        try:
            found, problems = type(self.model).from_pretrained(
                folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError) as cause:
            raise _unfit(folder, f"{type(cause).__name__}: {cause}") from cause
        weights = dict(found.named_parameters())
        own = self.named_parameters()
        wrong = sorted(
            {name for names in problems.values() for name in map(str, names)}
            | (weights.keys() ^ own.keys())
            | {name for name in weights.keys() & own.keys() if weights[name].shape != own[name].shape}
        )
        if wrong:
            raise _unfit(folder, f"what it has of {', '.join(wrong[:3])} is not what this model needs")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(weights[name])


def full_weights(
    plans: Sequence[PolicyPlan],
    folder: Path,
    device: torch.device,
    *,
    trust_remote_code: bool,
    images: bool = False,
) -> dict[str, FullWeights]:
    """The weights of `plans`, which all start from the model in `folder`: a copy for each.

    Those that compare with their start share one more copy, which nothing changes. `images`: what sees is
    trained, too.
    """
    from transformers import GenerationConfig

    def copy() -> Base:
        base = load_model(folder, torch.float32, trust_remote_code, images=images)
        base.model.generation_config = GenerationConfig()
        base.model.to(device)
        return base

    start = copy().model if any(plan.uses_reference for plan in plans) else None
    found = {}
    for plan in plans:
        model, packed, reader = copy()
        own_start = start if plan.uses_reference else None
        found[plan.name] = FullWeights(model, folder, plan, own_start, packed, reader)
    return found


def _unfit(folder: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"the weights in {folder} cannot be loaded: {why}",
        help="name a folder that a policy of the same model was saved to",
    )
