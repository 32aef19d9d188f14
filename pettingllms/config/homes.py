"""One value, several homes: what each policy and agent effectively uses.

The most specific home wins: `models.model_N.…` over `training.*` over the root.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar

from pettingllms.config.agents import AgentConfig
from pettingllms.config.critic import Aggregation, CriticModelConfig
from pettingllms.config.experiment import ExperimentConfig, Specialization
from pettingllms.config.optim import OptimConfig
from pettingllms.config.ppo import ActorConfig, AlgorithmConfig, ModelConfig, PpoTrainerConfig, RolloutConfig
from pettingllms.config.turns import turns_of
from pettingllms.process import usable_cores
from pettingllms.types import TokenSampling

V = TypeVar("V")

NO_ENTRY = ModelConfig()
"""The trainer's settings of a policy that has none of its own."""

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Values that vLLM takes as `max_lora_rank`."""


@dataclass(frozen=True, slots=True)
class CriticPlan:
    """The critic of one policy with every value settled.

    `warmup`: training steps at the beginning in which the policy is not updated.
    """

    model: CriticModelConfig
    optim: OptimConfig
    schedule_steps: int
    epochs: int
    mini_batch_size: int | None
    clip: float
    grad_clip: float
    aggregation: Aggregation
    warmup: int


@dataclass(frozen=True, slots=True)
class PolicyPlan:
    """One policy with every value settled."""

    name: str
    path: str
    specialization: Specialization
    lora_rank: int
    lora_alpha: float
    target_modules: str | list[str]
    temperature: float
    max_prompt_length: int
    max_response_length: int
    model_dtype: str
    phases: bool
    serving: str
    engine: tuple[str, ...]
    engine_dtype: str
    token_budget: int
    gradient_checkpointing: bool
    adapter_path: str | None
    enforce_eager: bool
    clip_low: float
    clip_high: float
    loss_scale: int
    schedule_steps: int
    filter_method: str
    filter_ratio: float
    rollout: RolloutConfig
    actor: ActorConfig
    algorithm: AlgorithmConfig
    critic: CriticPlan | None

    @property
    def uses_reference(self) -> bool:
        """Whether the policy is compared with the one that it started as."""
        in_loss = self.actor.use_kl_loss and self.actor.kl_loss_coef > 0
        return in_loss or self.algorithm.use_kl_in_reward


def gpus_per_node(config: ExperimentConfig) -> int:
    """GPUs of each node that the experiment asks for."""
    asked = config.resource.n_gpus_per_node
    if asked is not None:
        return asked
    return 1 if config.training.device == "cuda" else 0


def cpu_threads(config: ExperimentConfig, cores: int | None = None) -> int:
    """Threads of each trainer and its engine; by default all `cores`, shared out.

    `cores`: those of the run; by default all that this process may use.
    """
    share = max((cores or usable_cores()) // config.launch.num_processes, 1)
    return first_set(config.launch.num_cpu_threads_per_process, share)


def model_key(config: ExperimentConfig, base_key: str) -> str | None:
    """The `models.*` entry that belongs to `base_models.<base_key>`: by name, else by number."""
    name = config.base_models[base_key].name
    named = [key for key, model in config.models.items() if model.name == name]
    if named:
        return named[0]
    number = re.sub(r"\D*", "", base_key)
    key = f"model_{number}"
    return key if key in config.models and config.models[key].name in (None, name) else None


def first_set(*homes: V | None) -> V:
    """The first value that is not None; the last home always has one."""
    return next(value for value in homes if value is not None)


def plan_policies(config: ExperimentConfig) -> dict[str, PolicyPlan]:
    """Return the distinct policies by name, in the order of `base_models`."""
    plans: dict[str, PolicyPlan] = {}
    for key, base in config.base_models.items():
        if base.name not in plans:
            own = model_key(config, key)
            model = config.models[own] if own else NO_ENTRY
            plans[base.name] = _plan(config, base.name, base.path, model)
    return plans


def model_path(path: str, model: ModelConfig) -> str:
    """Where a policy starts from, whose base model says `path` and whose entry in `models` is `model`."""
    return first_set(model.ppo_trainer_config.actor_rollout_ref.model.path, model.path, path)


def specialization(config: ExperimentConfig, model: ModelConfig) -> Specialization:
    """What a policy trains whose entry in `models` is `model`: nothing where prompts are searched for."""
    if config.specialization == "prompt":
        return "prompt"
    return first_set(model.ppo_trainer_config.actor_rollout_ref.model.specialization, config.specialization)


def lora_rank(config: ExperimentConfig, model: ModelConfig) -> int:
    """The rank of the adapter of a policy whose entry in `models` is `model`."""
    own = model.ppo_trainer_config.actor_rollout_ref.model.lora_rank
    return first_set(own, config.training.lora_rank, config.lora_rank)


def sequence_lengths(config: ExperimentConfig, model: ModelConfig) -> tuple[int, int]:
    """The longest prompt and the longest response of a policy, in tokens."""
    ppo, training = model.ppo_trainer_config, config.training
    rollout = ppo.actor_rollout_ref.rollout
    return (
        first_set(rollout.prompt_length, ppo.data.max_prompt_length, training.max_prompt_length),
        first_set(rollout.response_length, ppo.data.max_response_length, training.max_response_length),
    )


def serving(config: ExperimentConfig, model: ModelConfig) -> str:
    """How a policy is served: as an `adapter` beside others, or `merged`: the engine's weights are its own.

    Weights without an adapter can only be the latter.
    """
    if specialization(config, model) != "lora":
        return "merged"
    said = model.ppo_trainer_config.actor_rollout_ref.rollout.lora_serving
    return said if said != "auto" else ("adapter" if config.training.device == "cuda" else "merged")


def engine_of(config: ExperimentConfig, name: str, path: str, model: ModelConfig) -> tuple[str, ...]:
    """What tells the engine of a policy from others: policies of equal value share one.

    They share it where they start from one base model and are served alike: adapters side by side, or one
    policy's weights after the other. Full policies have an engine each where there is a GPU for each of
    them to have: taking turns costs a reload of all weights at every turn.
    """
    alone = specialization(config, model) == "full" and gpus_per_node(config) > 1
    return (path, serving(config, model), *((name,) if alone else ()))


def engine_groups(config: ExperimentConfig, plans: dict[str, PolicyPlan]) -> list[list[PolicyPlan]]:
    """The policies that agents use, those of one engine together; others need none."""
    used = {agent.policy_name for agent in config.agent_policy_configs.agent_configs.values()}
    found: dict[tuple[str, ...], list[PolicyPlan]] = {}
    for plan in plans.values():
        if plan.name in used:
            found.setdefault(plan.engine, []).append(plan)
    return list(found.values())


def _plan(config: ExperimentConfig, name: str, path: str, model: ModelConfig) -> PolicyPlan:
    training, ppo = config.training, model.ppo_trainer_config
    weights, rollout, actor = (
        ppo.actor_rollout_ref.model,
        ppo.actor_rollout_ref.rollout,
        ppo.actor_rollout_ref.actor,
    )
    cuda = training.device == "cuda"
    own_path = model_path(path, model)
    prompt, response = sequence_lengths(config, model)
    return PolicyPlan(
        name=name,
        path=own_path,
        specialization=specialization(config, model),
        lora_rank=lora_rank(config, model),
        lora_alpha=first_set(weights.lora_alpha, training.lora_alpha, config.lora_alpha),
        target_modules=weights.target_modules,
        temperature=first_set(rollout.temperature, training.sample_temperature),
        max_prompt_length=prompt,
        max_response_length=response,
        model_dtype=first_set(actor.fsdp_config.model_dtype, "bf16" if cuda else "fp32"),
        phases=first_set(
            rollout.mode,
            # Where all policies play with the weights that they start from, none waits for another.
            "async"
            if cuda and (config.specialization == "prompt" or serving(config, model) == "adapter")
            else "sync",
        )
        == "sync",
        serving=serving(config, model),
        engine=engine_of(config, name, own_path, model),
        engine_dtype=rollout.dtype if rollout.dtype != "auto" else ("bfloat16" if cuda else "float32"),
        token_budget=first_set(actor.ppo_max_token_len_per_gpu, 8192 if cuda else 512),
        gradient_checkpointing=first_set(weights.enable_gradient_checkpointing, cuda),
        adapter_path=weights.lora_adapter_path,
        enforce_eager=first_set(rollout.enforce_eager, not cuda),
        clip_low=first_set(actor.clip_ratio_low, actor.clip_ratio),
        clip_high=first_set(actor.clip_ratio_high, actor.clip_ratio),
        loss_scale=first_set(actor.loss_scale_factor, response),
        schedule_steps=_schedule_steps(config, name, actor.optim),
        filter_method=ppo.filter_method,
        filter_ratio=ppo.filter_ratio,
        rollout=rollout,
        actor=actor,
        algorithm=ppo.algorithm,
        critic=_critic(config, name, ppo) if ppo.algorithm.adv_estimator == "gae" else None,
    )


def _critic(config: ExperimentConfig, name: str, ppo: PpoTrainerConfig) -> CriticPlan:
    critic, actor = ppo.critic, ppo.actor_rollout_ref.actor
    return CriticPlan(
        model=critic.model,
        optim=critic.optim,
        schedule_steps=_schedule_steps(config, name, critic.optim),
        epochs=first_set(critic.ppo_epochs, actor.ppo_epochs),
        mini_batch_size=actor.ppo_mini_batch_size
        if critic.ppo_mini_batch_size is None
        else critic.ppo_mini_batch_size,
        clip=critic.cliprange_value,
        grad_clip=critic.grad_clip,
        aggregation=first_set(critic.loss_agg_mode, actor.loss_agg_mode),
        warmup=ppo.trainer.critic_warmup,
    )


def _schedule_steps(config: ExperimentConfig, policy: str, optim: OptimConfig) -> int:
    own = optim.total_training_steps
    return own if own > 0 else turns_of(config, policy)


def reflecting_policy(config: ExperimentConfig) -> str | None:
    """The policy that reads what came of prompts and writes better ones; None where an endpoint does it."""
    asked = config.training.prompt
    if config.specialization != "prompt" or asked.reflection_url is not None:
        return None
    agents = list(config.agent_policy_configs.agent_configs.values())
    return first_set(asked.reflection_model, agents[0].policy_name)


def reflection_length(config: ExperimentConfig, served_policies: Collection[str]) -> int:
    """Tokens of the longest prompt and answer where one of `served_policies` reflects; 0 otherwise."""
    asked = config.training.prompt
    served = reflecting_policy(config) in served_policies
    return asked.reflection_prompt_length + asked.reflection_response_length if served else 0


def train_sampling(agent: AgentConfig, policy: PolicyPlan) -> TokenSampling:
    """Token sampling of `agent` in training rollouts."""
    own = agent.train_llm_config
    return TokenSampling(
        temperature=first_set(own.temperature, policy.temperature),
        max_tokens=policy.max_response_length,
        top_p=first_set(own.top_p, policy.rollout.top_p),
        top_k=first_set(own.top_k, policy.rollout.top_k) or -1,
        min_p=first_set(own.min_p, policy.rollout.min_p),
        stop=tuple(own.stop),
    )


def evaluation_sampling(agent: AgentConfig, policy: PolicyPlan) -> TokenSampling:
    """Token sampling of `agent` in validation and test."""
    own = agent.val_llm_config
    return TokenSampling(
        temperature=own.temperature,
        max_tokens=policy.max_response_length,
        top_p=own.top_p,
        top_k=own.top_k or -1,
        min_p=own.min_p,
        stop=tuple(own.stop),
    )
