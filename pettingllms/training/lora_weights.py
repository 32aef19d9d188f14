"""LoRA weights: an adapter for each policy on frozen base weights, which policies of equal path share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pettingllms.config.homes import PolicyPlan
from pettingllms.errors import CheckpointError, RefusedError
from pettingllms.models.images import ImageReader
from pettingllms.rollout.seeds import derive
from pettingllms.training.batching import Batch
from pettingllms.training.lora import (
    WEIGHTS,
    Switch,
    load_adapter,
    outside_language,
    refuse_embedding_targets,
)
from pettingllms.training.weights import DTYPES, Recomputation, load_model, scored_hidden


class LoraWeights:
    """The adapter of one policy, float32, in a PEFT model that holds those of others as well.

    `adapter`: its name there. `reference`: that of the frozen copy it started from; None: the base model.
    Its parameters are known by name, never by `requires_grad`, which PEFT changes with every switch.
    """

    def __init__(
        self,
        model: Any,
        switch: Switch,
        recomputation: Recomputation | None,
        plan: PolicyPlan,
        adapter: str,
        reference: str | None,
        packed: bool,
        reader: ImageReader | None,
    ) -> None:
        self.model, self.switch = model, switch
        self._reader = reader
        self.adapter, self.reference = adapter, reference
        self.packed = packed
        self.width: int = model.base_model.model.get_output_embeddings().weight.shape[1]
        self._recomputation, self._recomputed = recomputation, plan.gradient_checkpointing

    def named_parameters(self) -> dict[str, Tensor]:
        """The adapter's matrices, by the names that PEFT saves them under."""
        return adapter_parameters(self.model, self.adapter)

    def forward(self, batch: Batch, *, reference: bool = False) -> tuple[Tensor, Tensor]:
        """Last hidden states [N, H] at `batch.scored_N`, and the base model's output matrix [V, H]."""
        if self._recomputation is not None:
            self._recomputation.on = self._recomputed
        if reference:
            with self.switch.using(self.reference):
                return self._forward(batch)
        # It stays switched on, so that a backward pass does not have to switch for every layer.
        self.switch.to(self.adapter)
        return self._forward(batch)

    def export(self, folder: Path, parameters: Mapping[str, Tensor]) -> None:
        """Write the adapter in PEFT's format: `adapter_config.json`, `adapter_model.safetensors`."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in parameters.items()},
            folder / WEIGHTS,
        )
        self.model.peft_config[self.adapter].save_pretrained(folder)

    def load(self, folder: Path) -> None:
        """Read an adapter in PEFT's format, bit for bit. Raises CheckpointError when it does not fit."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            found = load_file(folder / WEIGHTS)
        except (OSError, SafetensorError) as cause:
            raise _unfit(folder, f"{type(cause).__name__}: {cause}") from cause
        own = self.named_parameters()
        shapes, wanted = ({name: tuple(one.shape) for name, one in side.items()} for side in (found, own))
        if shapes != wanted:
            name = next(name for name in [*wanted, *shapes] if shapes.get(name) != wanted.get(name))
            raise _unfit(folder, f"{name} is {shapes.get(name)} there, and {wanted.get(name)} here")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(found[name])

    def _forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        base = self.model.base_model.model
        return scored_hidden(base, batch, self._reader), base.get_output_embeddings().weight


def lora_weights(
    plans: Sequence[PolicyPlan],
    folder: Path,
    device: torch.device,
    *,
    trust_remote_code: bool,
    seed: int,
    images: bool = False,
) -> dict[str, LoraWeights]:
    """The weights of `plans`, which all stand on the base model in `folder`, loaded once.

    Base weights have the plans' `model_dtype`. Of a model that is to see `images` the language part is
    adapted. Raises RefusedError for a model or a plan that cannot be trained as asked.
    """
    base, packed, reader = load_model(folder, _dtype(plans, folder), trust_remote_code, images=images)
    excluded = outside_language(base) if images else None
    model = base
    # Adapter names go into module paths: a policy may be called anything, a path component may not.
    adapters = {plan.name: f"policy{number}" for number, plan in enumerate(plans)}
    starts: dict[str, str | None] = dict.fromkeys(adapters)
    for plan in plans:
        refuse_embedding_targets(base, plan)
        torch.manual_seed(derive(seed, "adapter", plan.name))
        model = _with_adapter(model, adapters[plan.name], plan, excluded)
        if plan.adapter_path is not None:
            load_adapter(model, adapters[plan.name], plan)
            start = starts[plan.name] = f"{adapters[plan.name]}_start"
            model = _with_adapter(model, start, plan, excluded)
            load_adapter(model, start, plan)
    model.eval().to(device)
    trained = [one for adapter in adapters.values() for one in adapter_parameters(model, adapter).values()]
    switch = Switch(model, trained)
    recomputed = any(plan.gradient_checkpointing for plan in plans)
    recomputation = Recomputation(base, lambda: switch.using(switch.current)) if recomputed else None
    return {
        plan.name: LoraWeights(
            model, switch, recomputation, plan, adapters[plan.name], starts[plan.name], packed, reader
        )
        for plan in plans
    }


def adapter_parameters(model: Any, adapter: str) -> dict[str, Tensor]:
    """The parameters of one adapter of a PEFT model, by names without the adapter's."""
    return {
        name.replace(f".{adapter}.", "."): parameter
        for name, parameter in model.named_parameters()
        if f".{adapter}." in name
    }


def _dtype(plans: Sequence[PolicyPlan], folder: Path) -> torch.dtype:
    first, *others = plans
    for other in others:
        if other.model_dtype != first.model_dtype:
            raise RefusedError(
                f"policies {first.name!r} ({first.model_dtype}) and {other.name!r} ({other.model_dtype}) "
                f"share the base weights in {folder}, which have one model_dtype",
                help="give both the same actor_rollout_ref.actor.fsdp_config.model_dtype",
            )
    return DTYPES[first.model_dtype]


def _with_adapter(model: Any, adapter: str, plan: PolicyPlan, excluded: str | None) -> Any:
    """`model`, a base model or a PEFT model, as a PEFT model with a fresh `adapter`, the identity.

    `excluded`: a pattern of names of modules that take none.
    """
    from peft import LoraConfig, PeftModel, get_peft_model

    config = LoraConfig(
        r=plan.lora_rank,
        lora_alpha=plan.lora_alpha,
        target_modules=plan.target_modules,
        exclude_modules=excluded,
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
    )
    try:
        if not isinstance(model, PeftModel):
            return get_peft_model(model, config, adapter_name=adapter)
        model.add_adapter(adapter, config)
    except ValueError as cause:
        raise RefusedError(
            f"policy {plan.name!r}: no adapter can be made: {cause}",
            help='target_modules: "all-linear", or names of layers of this model',
        ) from cause
    return model


def _unfit(folder: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"the adapter in {folder} cannot be loaded: {why}",
        help="name a folder that this policy was saved to",
    )
