"""PLM9, accepted but without effect: settings that other settings undo."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pettingllms.compose.tree import get
from pettingllms.config.agents import AgentConfig
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.fields import ExperimentSchema
from pettingllms.config.homes import specialization
from pettingllms.config.optim import OptimConfig
from pettingllms.config.ppo import ModelConfig
from pettingllms.config.shape import written
from pettingllms.config.turns import trained_policies
from pettingllms.documents.source import Finding, KeyPath, dotted
from pettingllms.envs import ENVS
from pettingllms.envs.homes import parts_named
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.policies import PPO, TRAINER
from pettingllms.lint.rule import Context, rule

AGENTS: KeyPath = ("agent_policy_configs", "agent_configs")
OURS = "actor_rollout_ref"
MODEL, ACTOR, ROLLOUT = f"{OURS}.model", f"{OURS}.actor", f"{OURS}.rollout"
CRITIC_MODEL, CRITIC_OPTIM = "critic.model", "critic.optim"
OPTIM, SCRIPTED = f"{ACTOR}.optim", f"{ROLLOUT}.engine_kwargs.scripted"
SHARED = ("specialization", "training.device")
"""Settings that decide and stand at the root, the first of them also in a policy's own trainer; all others
stand there only."""
SCHEMA = ExperimentSchema()
PIXELS = "cell_pixels"


class Undone(NamedTuple):
    """Keys of the section `at` of a policy's trainer, which have no effect where `undoes(value of by)`."""

    at: str
    keys: str
    by: str
    undoes: Callable[[Any], bool]


def _is(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value in values


def _is_not(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value not in values


SETTINGS = (
    Undone("", "filter_ratio", "filter_method", _is("none", "dapo")),
    Undone("algorithm.filter_groups", "max_num_gen_batches", "filter_method", _is_not("dapo")),
    Undone("algorithm", "norm_adv_by_std_in_grpo", "algorithm.adv_estimator", _is_not("grpo")),
    *(
        Undone(at, keys, "algorithm.adv_estimator", _is_not("gae"))
        for at, keys in (
            ("algorithm", "gamma lam"),
            ("trainer", "critic_warmup"),
            ("critic", "ppo_epochs ppo_mini_batch_size cliprange_value grad_clip loss_agg_mode"),
            (CRITIC_MODEL, "path lora_rank lora_alpha target_modules"),
            (CRITIC_OPTIM, " ".join(OptimConfig.model_fields)),
        )
    ),
    Undone(CRITIC_MODEL, "lora_rank lora_alpha target_modules", f"{CRITIC_MODEL}.path", _is(None)),
    Undone(CRITIC_MODEL, "lora_alpha target_modules", f"{CRITIC_MODEL}.lora_rank", _is(0)),
    Undone("algorithm", "kl_penalty", "algorithm.use_kl_in_reward", _is(False)),
    Undone("algorithm.kl_ctrl", "type kl_coef horizon target_kl", "algorithm.use_kl_in_reward", _is(False)),
    Undone("algorithm.kl_ctrl", "horizon target_kl", "algorithm.kl_ctrl.type", _is("fixed")),
    Undone(
        "algorithm",
        "rollout_is_threshold rollout_is_threshold_lower rollout_is_level rollout_is_mode",
        "algorithm.rollout_is",
        _is(False),
    ),
    Undone("algorithm", "rollout_is_threshold_lower", "algorithm.rollout_is_mode", _is_not("mask")),
    Undone(ACTOR, "kl_loss_coef kl_loss_type use_bias_correction_kl", f"{ACTOR}.use_kl_loss", _is(False)),
    Undone(ACTOR, "loss_scale_factor", f"{ACTOR}.loss_agg_mode", _is_not("seq-mean-token-sum-norm")),
    Undone(ACTOR, "ppo_micro_batch_size_per_gpu", f"{ACTOR}.use_dynamic_bsz", _is(True)),
    Undone(ACTOR, "ppo_max_token_len_per_gpu", f"{ACTOR}.use_dynamic_bsz", _is(False)),
    *(
        Undone(optim, "min_lr_ratio num_cycles", f"{optim}.warmup_style", _is("constant"))
        for optim in (OPTIM, CRITIC_OPTIM)
    ),
    *(
        Undone(optim, "lr_warmup_steps_ratio", f"{optim}.lr_warmup_steps", lambda steps: steps >= 0)
        for optim in (OPTIM, CRITIC_OPTIM)
    ),
    Undone(MODEL, "target_modules lora_adapter_path", "specialization", _is_not("lora")),
    Undone(ROLLOUT, "lora_serving max_lora_rank", "specialization", _is_not("lora")),
    Undone(
        ROLLOUT,
        "tensor_model_parallel_size max_num_batched_tokens enable_chunked_prefill max_lora_rank "
        "enforce_eager gpu_memory_utilization",
        f"{ROLLOUT}.name",
        _is_not("vllm"),
    ),
    Undone(ROLLOUT, "dtype lora_serving free_cache_engine", f"{ROLLOUT}.name", _is("scripted")),
    Undone(ROLLOUT, "gpu_memory_utilization free_cache_engine", "training.device", _is("cpu")),
    Undone(SCRIPTED, "replies", f"{ROLLOUT}.name", _is_not("scripted")),
)
"""What one setting undoes. Of two that undo a key the first is named."""

BOUNDS = ("clip_ratio_low", "clip_ratio_high")
SCHEDULE = ("total_training_steps", "warmup_style", "lr_warmup_steps", "lr_warmup_steps_ratio")


def _read_by(row: Undone) -> Iterator[str]:
    """What it takes to judge a row: its keys, and the setting that decides."""
    yield from (f"{TRAINER}.{'.'.join(filter(None, (row.at, key)))}" for key in row.keys.split())
    yield row.by if row.by in SHARED else f"{TRAINER}.{row.by}"
    if row.by == "specialization":
        yield f"{TRAINER}.{MODEL}.specialization"


def _undone(config: ExperimentConfig, model: ModelConfig) -> Iterator[tuple[str, str]]:
    """Keys below the trainer of a policy that have no effect, and what undoes them, in words."""
    ppo = model.ppo_trainer_config
    for at, keys, by, undoes in SETTINGS:
        value: Any = config if by in SHARED else ppo
        for part in by.split("."):
            value = getattr(value, part)
        if by == "specialization":
            value = specialization(config, model)
        if undoes(value):
            because = f"{by.removeprefix(f'{OURS}.')} = {written(value)}"
            yield from ((".".join(filter(None, (at, key))), because) for key in keys.split())
    actor = ppo.actor_rollout_ref.actor
    bounds = (actor.clip_ratio_low, actor.clip_ratio_high)
    if None not in bounds and actor.clip_ratio not in bounds:
        yield f"{ACTOR}.clip_ratio", " and ".join(BOUNDS)
    if (actor.ppo_mini_batch_size or math.inf) >= config.training.train_batch_size:
        yield f"{ACTOR}.shuffle", "mini-batches that hold the whole batch"
    for at, optim in ((OPTIM, actor.optim), (CRITIC_OPTIM, ppo.critic.optim)):
        by_share = optim.lr_warmup_steps < 0 and optim.lr_warmup_steps_ratio > 0
        if optim.warmup_style == "constant" and not by_share:
            name = f"{at.removeprefix(f'{OURS}.')}.warmup_style"
            yield f"{at}.total_training_steps", f'{name} = "constant"'


@rule(
    "PLM906",
    "setting-without-effect",
    Severity.INFO,
    reads=[
        "training.sample_temperature",
        "training.rollout_mode",
        "training.if_greedy",
        "training.ray_wait_register_center_timeout",
        "training.alternate_every",
        "base_models.*.name",
        "agent_policy_configs.agent_configs.*.name",
        "multi_agent_interaction.turn_order",
        "agent_policy_configs.agent_configs.*.policy_name",
        "agent_policy_configs.agent_configs.*.trained",
        "agent_policy_configs.agent_configs.*.train_llm_config.temperature",
        *(
            f"agent_policy_configs.agent_configs.*.val_llm_config.{key}"
            for key in ("temperature", "top_p", "top_k", "min_p")
        ),
        "training.train_batch_size",
        *(f"{TRAINER}.{ACTOR}.{key}" for key in ("clip_ratio", *BOUNDS, "shuffle", "ppo_mini_batch_size")),
        *(f"{TRAINER}.{optim}.{key}" for optim in (OPTIM, CRITIC_OPTIM) for key in SCHEDULE),
        *("env.name", "env.options", "env.multi_modal"),
        *dict.fromkeys(key for row in SETTINGS for key in _read_by(row)),
    ],
)
def setting_without_effect(context: Context) -> Iterator[Finding]:
    """A key is set to another value than its default, and another key decides that it has no effect.

    For example `filter_ratio` beside `filter_method = "none"`, `kl_loss_coef` without `use_kl_loss`,
    a setting of the critic with another estimator than `gae`, `min_lr_ratio` where the learning rate is
    constant, a setting of vLLM with another engine, or `top_p` in
    a `val_llm_config` whose temperature is 0. The setting does no harm, but a change of it does nothing.
    """
    training = context.config.training
    if training.rollout_mode == "independent":
        yield from _idle(context, ("training", "if_greedy"), 'rollout_mode = "independent"')
    ray = ("training", "ray_wait_register_center_timeout")
    yield from _idle(context, ray, "trials that start no Ray cluster, as those of this version")
    if len(trained_policies(context.config)) < 2:
        yield from _idle(context, ("training", "alternate_every"), "fewer than two trained policies")
    yield from _temperature(context)
    yield from _pixels(context)
    for key, agent in context.config.agent_policy_configs.agent_configs.items():
        if agent.val_llm_config.temperature == 0:
            for name in ("top_p", "top_k", "min_p"):
                path = (*AGENTS, key, "val_llm_config", name)
                yield from _idle(context, path, "temperature = 0, which is greedy")
    for key, model in context.config.models.items():
        told: set[str] = set()
        for name, because in _undone(context.config, model):
            if name not in told:
                yield from _idle(context, ("models", key, PPO, *name.split(".")), because)
            told.add(name)


def _temperature(context: Context) -> Iterator[Finding]:
    """`sample_temperature` where every agent sets another one for itself."""
    agents: list[AgentConfig] = list(context.config.agent_policy_configs.agent_configs.values())
    own = [agent.train_llm_config.temperature for agent in agents]
    if own and None not in own and context.config.training.sample_temperature not in own:
        path = ("training", "sample_temperature")
        yield from _idle(context, path, "the temperature in the train_llm_config of every agent")


def _pixels(context: Context) -> Iterator[Finding]:
    """The size of images where none are drawn: of `stateful_env`, or of such a part of a mixture."""
    env = context.config.env
    homes: list[tuple[KeyPath, str, Any]] = [(("env", "options"), env.name, env.options)]
    homes += [((*place, "options"), name, part.get("options")) for place, name, part in parts_named(env)]
    for place, name, options in homes:
        if name == "stateful_env" and not env.multi_modal and isinstance(options, dict):
            default = ENVS.load(name).Options.model_fields[PIXELS].default if PIXELS in options else None
            if options.get(PIXELS) != default:
                path = (*place, PIXELS)
                message = f"{dotted(path)} has no effect with env.multi_modal = false"
                yield Finding(path, message, at_key=True)


def _idle(context: Context, path: KeyPath, because: str) -> Iterator[Finding]:
    if context.is_set(path) and get(context.data, path) != SCHEMA.default(path):
        yield Finding(path, f"{dotted(path)} has no effect with {because}", at_key=True)
