"""What rules ask about policies: which ones agents use, and where a value of theirs stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from pettingllms.compose.tree import get
from pettingllms.config.agents import BaseModelConfig
from pettingllms.config.experiment import ExperimentConfig, Specialization
from pettingllms.config.homes import NO_ENTRY, engine_of, model_key, model_path, specialization
from pettingllms.config.ppo import ActorRolloutRefConfig, ModelConfig
from pettingllms.documents.source import KeyPath
from pettingllms.lint.rule import Context

PPO = "ppo_trainer_config"
TRAINER = f"models.*.{PPO}"
OURS = f"{TRAINER}.actor_rollout_ref"
"""Beginnings of what a rule reads."""
NAMES = ("base_models.*.name", "models.*.name")
"""What it takes to know the policies."""
USED = (*NAMES, "agent_policy_configs.agent_configs.*.policy_name")
"""What it takes to know the policies of agents."""
SPECIALIZATION = ("specialization", f"{OURS}.model.specialization")
"""What it takes to know what a policy trains."""
ENGINES = (
    *("base_models.*.path", "models.*.path", f"{OURS}.model.path", *SPECIALIZATION),
    *("training.device", "resource.n_gpus_per_node", f"{OURS}.rollout.lora_serving", *USED),
)
"""What it takes to know which policies share an engine."""
LENGTHS = (
    *("training.max_prompt_length", f"{TRAINER}.data.max_prompt_length", f"{OURS}.rollout.prompt_length"),
    *(
        "training.max_response_length",
        f"{TRAINER}.data.max_response_length",
        f"{OURS}.rollout.response_length",
    ),
)
"""What the lengths of sequences are made of."""
RANKS = ("lora_rank", "training.lora_rank", f"{OURS}.model.lora_rank")
"""What the ranks of adapters are made of."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy. `key`: its entry in `models`, None where it has none; `model` then holds the defaults."""

    name: str
    base_key: str
    base: BaseModelConfig
    key: str | None
    model: ModelConfig

    @property
    def ours(self) -> ActorRolloutRefConfig:
        """Its model, update and rollout."""
        return self.model.ppo_trainer_config.actor_rollout_ref

    def below(self, *path: str) -> list[KeyPath]:
        """Where `path` of its trainer may be set: nowhere without an entry of its own."""
        return [] if self.key is None else [("models", self.key, PPO, *path)]

    def rollout(self, key: str) -> list[KeyPath]:
        """Where `key` of its rollout may be set."""
        return self.below("actor_rollout_ref", "rollout", key)


def policies(config: ExperimentConfig) -> list[Policy]:
    """The distinct policies, in the order of `base_models`."""
    found: dict[str, Policy] = {}
    for base_key, base in config.base_models.items():
        if base.name not in found:
            key = model_key(config, base_key)
            model = config.models[key] if key is not None else NO_ENTRY
            found[base.name] = Policy(base.name, base_key, base, key, model)
    return list(found.values())


def trains(config: ExperimentConfig, policy: Policy) -> Specialization:
    """What the policy trains: `lora` or `full`; `prompt` where its weights stay as they are."""
    return specialization(config, policy.model)


def used_policies(config: ExperimentConfig) -> list[Policy]:
    """The policies that agents name."""
    used = {agent.policy_name for agent in config.agent_policy_configs.agent_configs.values()}
    return [policy for policy in policies(config) if policy.name in used]


def engines(config: ExperimentConfig) -> list[list[Policy]]:
    """The used policies, those of one engine together.

    Which share one is decided in `config.homes.engine_of`.
    """
    found: dict[tuple[str, ...], list[Policy]] = {}
    for policy in used_policies(config):
        path = model_path(policy.base.path, policy.model)
        found.setdefault(engine_of(config, policy.name, path, policy.model), []).append(policy)
    return list(found.values())


def rank_homes(policy: Policy) -> Iterator[KeyPath]:
    """Where the rank of its adapter may be set, the most specific place first."""
    yield from policy.below("actor_rollout_ref", "model", "lora_rank")
    yield from (("training", "lora_rank"), ("lora_rank",))


def length_homes(policy: Policy, kind: Literal["prompt", "response"]) -> Iterator[KeyPath]:
    """Where the length of its prompts or responses may be set, the most specific place first."""
    yield from policy.rollout(f"{kind}_length")
    yield from policy.below("data", f"max_{kind}_length")
    yield ("training", f"max_{kind}_length")


def home_of(context: Context, homes: Iterable[KeyPath], value: int) -> KeyPath:
    """The most general of `homes` that is set to `value`: the more specific ones mostly refer to it."""
    homes = list(homes)
    same = [home for home in homes if get(context.data, home) == value]
    return same[-1] if same else context.first_set(*homes)
