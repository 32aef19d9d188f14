"""The trainer's weights: one frozen base, one LoRA adapter and one optimizer per policy."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pettingllms.config.homes import PolicyPlan
from pettingllms.errors import RefusedError
from pettingllms.losses.logprobs import chosen_logprobs
from pettingllms.rollout.seeds import derive
from pettingllms.training.batching import Batch, shares_prompt

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
SCALED_HEADS = ("final_logit_softcapping", "logit_scale", "logits_scaling")
"""Model settings that change logits after the output matrix; they are not applied here."""


class Policies:
    """All policies of one base model. Parameters of a policy are known by name, never by `requires_grad`."""

    def __init__(
        self,
        plans: Iterable[PolicyPlan],
        folder: Path,
        device: torch.device,
        *,
        trust_remote_code: bool,
        seed: int,
    ) -> None:
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        self.plans = {plan.name: plan for plan in plans}
        self.device = device
        dtype = DTYPES[next(iter(self.plans.values())).model_dtype]
        base = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation="sdpa", trust_remote_code=trust_remote_code
        )
        for setting in SCALED_HEADS:
            if getattr(base.config, setting, None) not in (None, 1, 1.0):
                raise RefusedError(
                    f"the model in {folder} sets {setting}, which is not available in this version",
                    help="use a model whose logits are the plain product of hidden state and output matrix",
                )
        self.shared_prompt = shares_prompt(base.config)
        # Adapter names go into module paths: a policy may be called anything, a path component may not.
        self._adapters = {name: f"policy{number}" for number, name in enumerate(self.plans)}
        self._model: Any = None
        for name, plan in self.plans.items():
            torch.manual_seed(derive(seed, "adapter", name))
            config = LoraConfig(
                r=plan.lora_rank,
                lora_alpha=plan.lora_alpha,
                target_modules=plan.target_modules,
                lora_dropout=0.0,
                task_type="CAUSAL_LM",
            )
            if self._model is None:
                self._model = get_peft_model(base, config, adapter_name=self._adapters[name])
            else:
                self._model.add_adapter(self._adapters[name], config)
        # Scoring and training run the same path: nothing random, nothing that depends on the mode.
        self._model.eval().to(device)
        self.versions = dict.fromkeys(self.plans, 0)
        self.optimizers = {
            name: torch.optim.AdamW(
                self.parameters(name),
                lr=plan.actor.optim.lr,
                weight_decay=plan.actor.optim.weight_decay,
                betas=(0.9, 0.999),
            )
            for name, plan in self.plans.items()
        }

    def parameters(self, policy: str) -> list[Tensor]:
        """The adapter's parameters, in a fixed order."""
        mark = f".{self._adapters[policy]}."
        return [parameter for name, parameter in self._model.named_parameters() if mark in name]

    def logprobs(self, policy: str, batch: Batch, temperature_N: Tensor) -> Tensor:
        """Log-probabilities [N] of `batch.chosen_N` under `policy`, in nats, with gradient."""
        self._model.set_adapter(self._adapters[policy])
        causal = self._model.base_model.model
        hidden = causal.base_model(
            input_ids=batch.input_BT,
            position_ids=batch.position_BT,
            attention_mask=batch.mask,
            use_cache=False,
        ).last_hidden_state
        # Siblings share the position that predicts their first token; index_select adds their gradients in
        # a fixed order.
        scored_NH = hidden.flatten(0, 1).index_select(0, batch.scored_N)
        return chosen_logprobs(
            scored_NH, causal.get_output_embeddings().weight, batch.chosen_N, temperature_N
        )

    def export(self, policy: str, folder: Path) -> None:
        """Write the adapter in PEFT's format: `adapter_config.json`, `adapter_model.safetensors`."""
        from peft import get_peft_model_state_dict
        from safetensors.torch import save_file

        adapter = self._adapters[policy]
        folder.mkdir(parents=True, exist_ok=True)
        state = get_peft_model_state_dict(self._model, adapter_name=adapter)
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()},
            folder / "adapter_model.safetensors",
        )
        self._model.peft_config[adapter].save_pretrained(folder)
