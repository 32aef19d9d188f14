"""The trainer's policies: weights, optimizers and versions; what a step changes can be kept and undone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pettingllms.config.homes import PolicyPlan
from pettingllms.losses.logprobs import chosen_logprobs
from pettingllms.training.batching import Batch
from pettingllms.training.full_weights import full_weights
from pettingllms.training.lora_weights import lora_weights
from pettingllms.training.weights import Weights


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that training changes, by policy, in main memory: parameters, optimizer state, update counts."""

    parameters: dict[str, list[Tensor]]
    optimizers: dict[str, dict[str, Any]]
    versions: dict[str, int]


class Policies:
    """All policies of a run; `weights` says what each of them trains.

    `folder`: where the base models are, by the plans' `path`; a single one is that of all plans. `images`:
    whether they see some.
    Raises RefusedError for a model or a plan that cannot be trained as asked.
    """

    def __init__(
        self,
        plans: Iterable[PolicyPlan],
        folder: Path | Mapping[str, Path],
        device: torch.device,
        *,
        trust_remote_code: bool,
        seed: int,
        images: bool = False,
    ) -> None:
        self.plans = {plan.name: plan for plan in plans}
        self.device = device
        self.weights: dict[str, Weights] = {}
        for path in dict.fromkeys(plan.path for plan in self.plans.values()):
            here = folder if isinstance(folder, Path) else folder[path]
            own = [plan for plan in self.plans.values() if plan.path == path]
            if lora := [plan for plan in own if plan.specialization == "lora"]:
                self.weights |= lora_weights(
                    lora, here, device, trust_remote_code=trust_remote_code, seed=seed, images=images
                )
            if full := [plan for plan in own if plan.specialization == "full"]:
                self.weights |= full_weights(
                    full, here, device, trust_remote_code=trust_remote_code, images=images
                )
        self.packed = self.shared_prompt = all(own.packed for own in self.weights.values())
        """How rows are made and batched: several responses to a row, rows without padding."""
        self._parameters = {name: self.weights[name].named_parameters() for name in self.plans}
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

    def named_parameters(self, policy: str) -> dict[str, Tensor]:
        """What is trained of the policy, by names that do not depend on other policies, in a fixed order."""
        return self._parameters[policy]

    def parameters(self, policy: str) -> list[Tensor]:
        """The values of `named_parameters`."""
        return list(self._parameters[policy].values())

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
        sampling = replace(batch.sampling, top_p=1.0, top_k=-1, min_p=0.0) if reference else batch.sampling
        weights = self.weights[policy]
        with torch.set_grad_enabled(torch.is_grad_enabled() and not reference):
            hidden_NH, head_VH = weights.forward(batch, reference=reference)
            return chosen_logprobs(hidden_NH, head_VH, batch.chosen_N, sampling, entropy=entropy)

    def hidden(self, policy: str, batch: Batch) -> Tensor:
        """Last hidden states [N, H] of `policy` at `batch.scored_N`: where sampled tokens are predicted.

        With gradient unless the caller switched it off.
        """
        return self.weights[policy].forward(batch)[0]

    def export(self, policy: str, folder: Path, parameters: Sequence[Tensor] | None = None) -> None:
        """Write the weights: a LoRA adapter in PEFT's format, or a Hugging Face folder of full weights.

        `parameters`: those of a snapshot, written instead of the policy's own, which may change meanwhile.
        """
        own = self.named_parameters(policy)
        written = own if parameters is None else dict(zip(own, parameters, strict=True))
        self.weights[policy].export(folder, written)

    def load(self, policy: str, folder: Path) -> None:
        """Read what `export` wrote into the parameters, bit for bit.

        Raises CheckpointError when the folder cannot be read or holds other weights than those of the policy.
        """
        self.weights[policy].load(folder)

    def snapshot(self) -> Snapshot:
        """A copy of all that training changes, in main memory: the device's own may have no room for it."""
        return Snapshot(
            {name: [_copy(one) for one in self.parameters(name)] for name in self.plans},
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


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)


def _copied(state: dict[str, Any]) -> dict[str, Any]:
    """A copy of an optimizer's state in main memory, as `deepcopy` makes it, but quickly."""
    moments = {
        number: {key: _copy(value) if isinstance(value, Tensor) else value for key, value in own.items()}
        for number, own in state["state"].items()
    }
    return {"state": moments, "param_groups": deepcopy(state["param_groups"])}
