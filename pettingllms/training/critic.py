"""Critics: what they are made of, what they expect at each token, and all that training changes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pettingllms.config.homes import CriticPlan, PolicyPlan
from pettingllms.errors import CheckpointError
from pettingllms.training.batching import Batch
from pettingllms.training.full_weights import FullWeights
from pettingllms.training.lora_weights import lora_weights
from pettingllms.training.policies import Policies
from pettingllms.training.weights import Weights, load_model


@dataclass(frozen=True, slots=True)
class Body:
    """What a critic's head looks at.

    `hidden`: of a batch, the last hidden states [N, H] where its sampled tokens are predicted. `width`: H.
    `parameters`: what is trained of it, by name. `packed`: whether rows may lie one behind the other.
    """

    hidden: Callable[[Batch], Tensor]
    width: int
    parameters: Mapping[str, Tensor]
    packed: bool


class Critic:
    """The critic of one policy: a linear head on last hidden states, of the policy or of a model of its own.

    The head is float32 and begins with zeros: before the first update nothing is expected anywhere, and an
    advantage is a return. `updates`: training steps in which it was updated.
    """

    def __init__(self, plan: PolicyPlan, settings: CriticPlan, body: Body, device: torch.device) -> None:
        """`plan`: of the policy that it judges."""
        self.plan, self.settings, self.device, self.updates = plan, settings, device, 0
        self.packed = body.packed
        self._hidden = body.hidden
        self._head = torch.nn.Linear(body.width, 1, device=device, dtype=torch.float32)
        for parameter in self._head.parameters():
            torch.nn.init.zeros_(parameter)
        head = {f"head.{name}": parameter for name, parameter in self._head.named_parameters()}
        self._parameters = head | {f"model.{name}": one for name, one in body.parameters.items()}
        optim = settings.optim
        self.optimizer = torch.optim.AdamW(
            self._parameters.values(),
            lr=optim.lr,
            weight_decay=optim.weight_decay,
            betas=(optim.betas[0], optim.betas[1]),
            fused=True,
        )

    @property
    def name(self) -> str:
        """What it is called where policies are listed by name."""
        return f"{self.plan.name} (critic)"

    @property
    def parameters(self) -> list[Tensor]:
        """All that is trained, in a fixed order."""
        return list(self._parameters.values())

    def values(self, batch: Batch) -> Tensor:
        """What is expected before each sampled token, [N], float32, in units of the reward.

        With gradient unless the caller switched it off.
        """
        values_N: Tensor = self._head(self._hidden(batch).float()).squeeze(1)
        return values_N

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Copies of its parameters and the optimizer's moments, and how often it was updated."""
        tensors = {f"parameter/{name}": _copy(one) for name, one in self._parameters.items()}
        names, state = list(self._parameters), self.optimizer.state_dict()["state"]
        for number, moments in state.items():
            tensors |= {f"{what}/{names[number]}": _copy(one) for what, one in moments.items()}
        return tensors, {"updates": self.updates}

    def load_state(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Be as when `state` returned these, bit for bit; gradients are dropped.

        Raises CheckpointError where they are of another critic.
        """
        state: dict[int, dict[str, Tensor]] = {}
        numbers = {name: number for number, name in enumerate(self._parameters)}
        own = {f"parameter/{name}": one for name, one in self._parameters.items()}
        for key, tensor in tensors.items():
            what, _, name = key.partition("/")
            if name not in numbers or (key in own and own[key].shape != tensor.shape):
                raise self._unfit(f"{name} is none of its parameters, or has another shape")
            if key not in own:
                state.setdefault(numbers[name], {})[what] = tensor.clone()
        if missing := own.keys() - tensors.keys():
            raise self._unfit(f"{min(missing)} is missing")
        with torch.no_grad():
            for key, parameter in own.items():
                parameter.copy_(tensors[key])
        self.optimizer.zero_grad(set_to_none=True)
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.updates = values["updates"]

    def _unfit(self, why: str) -> CheckpointError:
        return CheckpointError(
            f"the critic of policy {self.plan.name!r} in the checkpoint is another one: {why}",
            help="go on with the experiment that wrote it",
        )


def build_critics(
    policies: Policies, folders: Mapping[str, Path], *, trust_remote_code: bool, seed: int
) -> dict[str, Critic]:
    """The critics, by policy, of those that have one. `folders`: where models are, by their paths.

    Critics that train adapters on the same model share its weights, which nothing changes.
    Raises RefusedError for a model that cannot be trained as asked, or has fewer tokens than the policy's.
    """
    judged = {name: (plan, plan.critic) for name, plan in policies.plans.items() if plan.critic is not None}
    bodies = {
        name: _of_the_policy(policies, name)
        for name, (_, critic) in judged.items()
        if critic.model.path is None
    }
    alone = [
        _own_plan(plan, critic, critic.model.path)
        for plan, critic in judged.values()
        if critic.model.path is not None
    ]
    for path in dict.fromkeys(plan.path for plan in alone):
        adapted = [plan for plan in alone if (plan.path, plan.specialization) == (path, "lora")]
        if adapted:
            shared = lora_weights(
                adapted, folders[path], policies.device, trust_remote_code=trust_remote_code, seed=seed
            )
            bodies |= {name: _own(weights, weights.named_parameters()) for name, weights in shared.items()}
    for plan in alone:
        if plan.specialization == "full":
            model, packed, _ = load_model(folders[plan.path], torch.float32, trust_remote_code)
            model.to(policies.device)
            # Values do not pass the output matrix: it has no gradient unless it is the embedding, too.
            ends = [model.get_output_embeddings().weight, model.get_input_embeddings().weight]
            trained = {
                name: one for name, one in model.named_parameters() if one is not ends[0] or one is ends[1]
            }
            bodies[plan.name] = _own(FullWeights(model, folders[plan.path], plan, None, packed), trained)
    return {
        name: Critic(plan, critic, bodies[name], policies.device) for name, (plan, critic) in judged.items()
    }


def _of_the_policy(policies: Policies, name: str) -> Body:
    """The policy's own hidden states, into which no gradient goes back."""

    def hidden(batch: Batch) -> Tensor:
        with torch.no_grad():
            return policies.hidden(name, batch)

    return Body(hidden, policies.weights[name].width, {}, policies.packed)


def _own(weights: Weights, parameters: Mapping[str, Tensor]) -> Body:
    return Body(partial(_last_hidden, weights), weights.width, parameters, weights.packed)


def _last_hidden(weights: Weights, batch: Batch) -> Tensor:
    return weights.forward(batch)[0]


def _own_plan(plan: PolicyPlan, critic: CriticPlan, path: str) -> PolicyPlan:
    """The plan of a policy whose weights are those of the critic's own model; nothing is compared with it."""
    model = critic.model
    return replace(
        plan,
        path=path,
        specialization="lora" if model.lora_rank else "full",
        lora_rank=model.lora_rank,
        lora_alpha=model.lora_alpha,
        target_modules=model.target_modules,
        adapter_path=None,
    )


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)
