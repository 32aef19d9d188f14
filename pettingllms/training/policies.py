"""The trainer's weights: one frozen base, one LoRA adapter and one optimizer per policy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pettingllms.config.homes import PolicyPlan
from pettingllms.errors import CheckpointError, RefusedError
from pettingllms.losses.logprobs import chosen_logprobs
from pettingllms.rollout.seeds import derive
from pettingllms.training.batching import Batch, packs
from pettingllms.training.branches import use_branches
from pettingllms.training.lora import WEIGHTS, Recomputation, Switch, load_adapter, refuse_embedding_targets
from pettingllms.types import TokenSampling

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
SCALED_HEADS = ("final_logit_softcapping", "logit_scale", "logits_scaling")
"""Model settings that change logits after the output matrix; they are not applied here."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that training changes, by policy: adapter parameters, optimizer state, number of updates."""

    parameters: dict[str, list[Tensor]]
    optimizers: dict[str, dict[str, Any]]
    versions: dict[str, int]


class Policies:
    """All policies of one base model. Parameters of a policy are known by name, never by `requires_grad`.

    The model is in evaluation mode at all times: scoring and training run the same path, with nothing
    random in it. Base weights have the plans' `model_dtype`, adapters are float32.
    Raises RefusedError for a model or a plan that cannot be trained as asked.
    """

    def __init__(
        self,
        plans: Iterable[PolicyPlan],
        folder: Path,
        device: torch.device,
        *,
        trust_remote_code: bool,
        seed: int,
    ) -> None:
        self.plans = {plan.name: plan for plan in plans}
        self.device = device
        base = _load_base(folder, _dtype(self.plans, folder), trust_remote_code)
        self.packed = self.shared_prompt = packs(base)
        """How rows are made and batched: several responses to a row, rows without padding."""
        if self.packed:
            use_branches(base)
        # Adapter names go into module paths: a policy may be called anything, a path component may not.
        self._adapters = {name: f"policy{number}" for number, name in enumerate(self.plans)}
        self._references: dict[str, str | None] = dict.fromkeys(self.plans)
        self._model = base
        for name, plan in self.plans.items():
            refuse_embedding_targets(base, plan)
            torch.manual_seed(derive(seed, "adapter", name))
            self._model = _with_adapter(self._model, self._adapters[name], plan)
            if plan.adapter_path is not None:
                load_adapter(self._model, self._adapters[name], plan)
                start = self._references[name] = f"{self._adapters[name]}_start"
                self._model = _with_adapter(self._model, start, plan)
                load_adapter(self._model, start, plan)
        self._model.eval().to(device)
        self._parameters = {name: self._named(adapter) for name, adapter in self._adapters.items()}
        self._switch = Switch(self._model, [one for name in self.plans for one in self.parameters(name)])
        recomputed = any(plan.gradient_checkpointing for plan in self.plans.values())
        self._recomputation = Recomputation(base, self._switch) if recomputed else None
        self.versions = dict.fromkeys(self.plans, 0)
        self.optimizers = {
            name: torch.optim.AdamW(
                self.parameters(name),
                lr=plan.actor.optim.lr,
                weight_decay=plan.actor.optim.weight_decay,
                betas=(plan.actor.optim.betas[0], plan.actor.optim.betas[1]),
                fused=True,  # An adapter is hundreds of small matrices: one call for all of them.
            )
            for name, plan in self.plans.items()
        }

    def parameters(self, policy: str) -> list[Tensor]:
        """The adapter's parameters, in a fixed order."""
        return list(self._parameters[policy].values())

    def named_parameters(self, policy: str) -> dict[str, Tensor]:
        """The adapter's parameters under their names in PEFT's files, in the order of `parameters`."""
        return self._parameters[policy]

    def score(
        self, policy: str, batch: Batch, *, reference: bool = False, entropy: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Log-probabilities [N] of `batch.chosen_N` under `policy` in nats, and entropies [N] if asked.

        Both are float32, of the distribution that `batch.sampling` draws from, with gradient unless the
        caller switched it off. `reference`: under the policy as it started, without gradient: the base model,
        or the trained adapter that the plan names; at the same temperature, but with no token cut. The
        tokens that the policy draws from are then among those of the reference, so that the mean of
        log policy - log reference over its draws is KL(policy || reference).
        """
        if reference:
            whole = replace(batch.sampling, top_p=1.0, top_k=-1, min_p=0.0)
            with torch.no_grad(), self._switch.using(self._references[policy]):
                return self._logprobs(batch, whole, entropy)
        # It stays switched on, so that a backward pass does not have to switch for every layer.
        self._switch.to(self._adapters[policy])
        if self._recomputation is not None:
            self._recomputation.on = self.plans[policy].gradient_checkpointing
        return self._logprobs(batch, batch.sampling, entropy)

    def export(self, policy: str, folder: Path, parameters: Sequence[Tensor] | None = None) -> None:
        """Write the adapter in PEFT's format: `adapter_config.json`, `adapter_model.safetensors`.

        `parameters`: those of a snapshot, written instead of the policy's own, which may change meanwhile.
        """
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        written = self.parameters(policy) if parameters is None else parameters
        save_file(
            {
                name: tensor.detach().cpu().contiguous()
                for name, tensor in zip(self.named_parameters(policy), written, strict=True)
            },
            folder / WEIGHTS,
        )
        self._model.peft_config[self._adapters[policy]].save_pretrained(folder)

    def load(self, policy: str, folder: Path) -> None:
        """Read what `export` wrote into the policy's parameters, bit for bit.

        Raises CheckpointError when the file cannot be read or is of other parameters.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            found = load_file(folder / WEIGHTS)
        except (OSError, SafetensorError) as cause:
            raise CheckpointError(f"{folder / WEIGHTS} cannot be read: {cause}") from cause
        own = self.named_parameters(policy)
        shapes, wanted = ({n: (*one.shape, one.dtype) for n, one in side.items()} for side in (found, own))
        if shapes != wanted:
            name = next(n for n in [*wanted, *shapes] if shapes.get(n) != wanted.get(n))
            raise CheckpointError(
                f"{folder / WEIGHTS} does not fit policy {policy!r}: {name} is {shapes.get(name)} there, and "
                f"{wanted.get(name)} here",
                help="go on with the experiment that wrote it",
            )
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(found[name])

    def snapshot(self) -> Snapshot:
        """A copy of all that training changes."""
        return Snapshot(
            {name: [one.detach().clone() for one in self.parameters(name)] for name in self.plans},
            {name: _copied(optimizer.state_dict()) for name, optimizer in self.optimizers.items()},
            dict(self.versions),
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Bring back what `snapshot` holds, bit for bit, and drop all gradients."""
        with torch.no_grad():
            for name, copies in snapshot.parameters.items():
                for parameter, copy in zip(self.parameters(name), copies, strict=True):
                    parameter.copy_(copy)
        for name, state in snapshot.optimizers.items():
            self.optimizers[name].zero_grad(set_to_none=True)
            self.optimizers[name].load_state_dict(_copied(state))
        self.versions.update(snapshot.versions)

    def _named(self, adapter: str) -> dict[str, Tensor]:
        return {
            name.replace(f".{adapter}.", "."): parameter
            for name, parameter in self._model.named_parameters()
            if f".{adapter}." in name
        }

    def _logprobs(self, batch: Batch, sampling: TokenSampling, entropy: bool) -> tuple[Tensor, Tensor | None]:
        head_VH = self._model.base_model.model.get_output_embeddings().weight
        return chosen_logprobs(self._scored_hidden(batch), head_VH, batch.chosen_N, sampling, entropy=entropy)

    def _scored_hidden(self, batch: Batch) -> Tensor:
        """Last hidden states [N, H] at the positions that predict the sampled tokens."""
        hidden_BTH: Tensor = self._model.base_model.model.base_model(
            input_ids=batch.input_BT,
            position_ids=batch.position_BT,
            use_cache=False,
            **batch.attention,
        ).last_hidden_state
        # Siblings share the position that predicts their first token; their gradients are added there.
        return hidden_BTH.flatten(0, 1).index_select(0, batch.scored_N)


def _copied(state: dict[str, Any]) -> dict[str, Any]:
    """A copy of an optimizer's state, as `deepcopy` makes it, but quickly."""
    moments = {
        number: {key: value.clone() if isinstance(value, Tensor) else value for key, value in own.items()}
        for number, own in state["state"].items()
    }
    return {"state": moments, "param_groups": deepcopy(state["param_groups"])}


def _dtype(plans: dict[str, PolicyPlan], folder: Path) -> torch.dtype:
    first, *others = plans.values()
    for other in others:
        if other.model_dtype != first.model_dtype:
            raise RefusedError(
                f"policies {first.name!r} ({first.model_dtype}) and {other.name!r} ({other.model_dtype}) "
                f"share the base weights in {folder}, which have one model_dtype",
                help="give both the same actor_rollout_ref.actor.fsdp_config.model_dtype",
            )
    return DTYPES[first.model_dtype]


def _load_base(folder: Path, dtype: torch.dtype, trust_remote_code: bool) -> Any:
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="sdpa", trust_remote_code=trust_remote_code
    )
    scaled = [name for name in SCALED_HEADS if getattr(base.config, name, None) not in (None, 1, 1.0)]
    if getattr(base.get_output_embeddings(), "bias", None) is not None:
        scaled.append("a bias of the output matrix")
    if scaled:
        raise RefusedError(
            f"the model in {folder} sets {', '.join(scaled)}, which is not available in this version",
            help="use a model whose logits are the plain product of hidden state and output matrix",
        )
    return base


def _with_adapter(model: Any, adapter: str, plan: PolicyPlan) -> Any:
    """`model`, a base model or a PEFT model, as a PEFT model with a fresh `adapter`, the identity."""
    from peft import LoraConfig, PeftModel, get_peft_model

    config = LoraConfig(
        r=plan.lora_rank,
        lora_alpha=plan.lora_alpha,
        target_modules=plan.target_modules,
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
