"""PLM9, accepted but without effect: keys of other trainers, old spellings, settings that others undo."""

from __future__ import annotations

from collections.abc import Iterator

from pettingllms.config.agents import AgentConfig
from pettingllms.documents.source import Finding, KeyPath, dotted
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.policies import OURS, PPO, TRAINER
from pettingllms.lint.rule import Context, loading_rule, rule

ACTOR = "actor_rollout_ref"
AGENTS: KeyPath = ("agent_policy_configs", "agent_configs")


@loading_rule("PLM901", "no-effect-key", Severity.INFO)
def no_effect_key() -> None:
    """Keys of the original or of a verl trainer are set, which have no effect here.

    Real files mount the whole of a trainer's settings: how it shards weights, profiles itself, or trains
    a critic. They are accepted, so that such files work as they are, and told of once for each section.
    A key whose value would change what is learned is not among them: that is PLM007. A key that neither
    has is PLM003.
    """


@loading_rule("PLM902", "honoured-elsewhere", Severity.INFO)
def honoured_elsewhere() -> None:
    """The section `actor_rollout_ref.trainer` sets GPU counts, as the guide and most real files have it.

    They belong in `ppo_trainer_config.trainer`, the only place where verl reads them. Here both places
    are one; nothing needs to be changed.
    """


@loading_rule("PLM903", "misplaced-key", Severity.INFO)
def misplaced_key() -> None:
    """A key stands where nothing reads it, neither here nor in the original, and has an effect elsewhere.

    What is used is the value of the right place, or its default. The help says where that is; the fix
    moves the key there where that place is free.
    """


@loading_rule("PLM904", "old-spelling", Severity.INFO)
def old_spelling() -> None:
    """A key or a value of the original has another name here, and takes effect under it.

    `rollout_mode` and `if_greedy` at the root are keys of `training`; `no_tree` is the mode
    `independent`; `env.map_size` is an option of the environment; `agent_untrained` is `trained = false`
    of each agent that it lists; the specialization `model` is `full`; a `save_freq` of -1 is null. Where
    the new name is set too, it wins.
    """


LORA_KEYS = ("lora_rank", "lora_alpha")


@rule(
    "PLM905",
    "lora-without-effect",
    Severity.INFO,
    reads=[
        "specialization",
        *LORA_KEYS,
        *(f"training.{key}" for key in LORA_KEYS),
        *(f"{OURS}.model.{key}" for key in LORA_KEYS),
    ],
)
def lora_without_effect(context: Context) -> Iterator[Finding]:
    """`lora_rank` or `lora_alpha` is set, and the specialization has no adapters.

    Under `prompt` the weights stay frozen, under `full` all of them are trained. The original code looks
    at `lora_rank` alone, and trains adapters wherever it is above 0: `specialization = "lora"` is what
    does that here. `lora_rank = 0` says what is so anyway, and is not remarked on.
    """
    kind = context.config.specialization
    if kind == "lora":
        return
    homes: list[KeyPath] = [(), ("training",)]
    homes += [("models", key, PPO, ACTOR, "model") for key in context.config.models]
    for home in homes:
        found = [(*home, key) for key in LORA_KEYS if context.is_set((*home, key))]
        if found:
            names = " and ".join(map(dotted, found))
            verb = "has" if len(found) == 1 else "have"
            message = f'{names} {verb} no effect with specialization = "{kind}"'
            yield Finding(found[0], message, 'write specialization = "lora" for adapters', at_key=True)


@rule(
    "PLM906",
    "setting-without-effect",
    Severity.INFO,
    reads=[
        "specialization",
        "training.device",
        "training.sample_temperature",
        "training.rollout_mode",
        "training.if_greedy",
        "training.ray_wait_register_center_timeout",
        f"{TRAINER}.filter_method",
        f"{TRAINER}.filter_ratio",
        f"{OURS}.model.target_modules",
        *(f"{OURS}.actor.{key}" for key in ("clip_ratio", "clip_ratio_low", "clip_ratio_high")),
        *(f"{OURS}.rollout.{key}" for key in ("name", "engine_kwargs", "gpu_memory_utilization")),
        "agent_policy_configs.agent_configs.*.train_llm_config.temperature",
        *(
            f"agent_policy_configs.agent_configs.*.val_llm_config.{key}"
            for key in ("temperature", "top_p", "top_k", "min_p")
        ),
    ],
)
def setting_without_effect(context: Context) -> Iterator[Finding]:
    """A key is set, and another one decides that it has no effect.

    For example `filter_ratio` beside `filter_method = "none"`, or `top_p` in a `val_llm_config` whose
    temperature is 0. The setting does no harm, but a change of it does nothing.
    """
    training = context.config.training
    if training.rollout_mode == "independent":
        yield from _idle(context, ("training", "if_greedy"), 'rollout_mode = "independent"')
    ray = ("training", "ray_wait_register_center_timeout")
    yield from _idle(context, ray, "trials that start no Ray cluster, as those of this version")
    yield from _temperature(context)
    for key, agent in context.config.agent_policy_configs.agent_configs.items():
        if agent.val_llm_config.temperature == 0:
            for name, off in (("top_p", 1.0), ("top_k", -1), ("min_p", 0.0)):
                if getattr(agent.val_llm_config, name) != off:
                    path = (*AGENTS, key, "val_llm_config", name)
                    yield from _idle(context, path, "temperature = 0, which is greedy")
    for key in context.config.models:
        yield from _of_model(context, key)


def _of_model(context: Context, key: str) -> Iterator[Finding]:
    ppo, at = context.config.models[key].ppo_trainer_config, ("models", key, PPO)
    if ppo.filter_method in ("none", "dapo"):
        yield from _idle(context, (*at, "filter_ratio"), f'filter_method = "{ppo.filter_method}"')
    actor, rollout, weights = (getattr(ppo.actor_rollout_ref, name) for name in ("actor", "rollout", "model"))
    bounds = (actor.clip_ratio_low, actor.clip_ratio_high)
    if None not in bounds and actor.clip_ratio not in bounds:
        yield from _idle(context, (*at, ACTOR, "actor", "clip_ratio"), "clip_ratio_low and clip_ratio_high")
    if rollout.name != "scripted":
        scripted = (*at, ACTOR, "rollout", "engine_kwargs", "scripted")
        yield from _idle(context, scripted, f'the engine "{rollout.name}"')
    if context.config.training.device == "cpu":
        memory = (*at, ACTOR, "rollout", "gpu_memory_utilization")
        yield from _idle(context, memory, 'training.device = "cpu"')
    if context.config.specialization != "lora" and weights.target_modules != "all-linear":
        modules = (*at, ACTOR, "model", "target_modules")
        yield from _idle(context, modules, f'specialization = "{context.config.specialization}"')


def _temperature(context: Context) -> Iterator[Finding]:
    """`sample_temperature` where every agent sets another one for itself."""
    agents: list[AgentConfig] = list(context.config.agent_policy_configs.agent_configs.values())
    own = [agent.train_llm_config.temperature for agent in agents]
    if own and None not in own and context.config.training.sample_temperature not in own:
        path = ("training", "sample_temperature")
        yield from _idle(context, path, "the temperature in the train_llm_config of every agent")


def _idle(context: Context, path: KeyPath, because: str) -> Iterator[Finding]:
    if context.is_set(path):
        yield Finding(path, f"{dotted(path)} has no effect with {because}", at_key=True)
