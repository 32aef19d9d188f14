"""PLM1 and PLM9: the search for prompts, who reflects in it, and what has no effect with it or without it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pettingllms.compose.tree import MISSING, get
from pettingllms.config.fields import ExperimentSchema
from pettingllms.documents.source import Finding, KeyPath, dotted
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.policies import PPO, TRAINER, used_policies
from pettingllms.lint.rule import Context, rule
from pettingllms.lint.rules.graph import nearest

PROMPT: KeyPath = ("training", "prompt")
AGENTS: KeyPath = ("agent_policy_configs", "agent_configs")
SCHEMA = ExperimentSchema()

TRAINING = (
    *("train_batch_size", "train_sample_num", "sample_temperature", "val_freq", "resample_freq"),
    *("epoch_size", "rollout_mode", "if_greedy", "save_freq", "alternate_every"),
)
"""Keys of `training` that only the training of weights reads."""
BELOW_TRAINER = (
    "filter_method",
    "filter_ratio",
    "algorithm",
    "actor_rollout_ref.actor",
    "actor_rollout_ref.model.specialization",
    "critic",
    "trainer.critic_warmup",
)
"""Keys and sections of a policy's trainer that only the training of weights reads."""
OF_ENDPOINTS = ("reflection_key_variable", "reflection_timeout", "reflection_attempts")


@rule(
    "PLM115",
    "unknown-reflection-model",
    Severity.ERROR,
    reads=[
        "specialization",
        "training.prompt.reflection_model",
        "training.prompt.reflection_url",
        "base_models.*.name",
        "models.*.name",
        "agent_policy_configs.agent_configs.*.policy_name",
    ],
)
def unknown_reflection_model(context: Context) -> Iterator[Finding]:
    """`training.prompt.reflection_model` is no policy of an agent, or `reflection_url` stands without it.

    Without `reflection_url` a policy reflects: `reflection_model` is then the `name` of a base model that an
    agent uses, since the engine serves no others. With it, `reflection_model` is the name by which the
    endpoint knows its model.
    """
    config = context.config
    if config.specialization != "prompt":
        return
    asked = config.training.prompt
    if asked.reflection_url is not None:
        if asked.reflection_model is None:
            message = "reflection_url says where to ask, and nothing says which model"
            yield Finding((*PROMPT, "reflection_url"), message, "set training.prompt.reflection_model")
        return
    known = [policy.name for policy in used_policies(config)]
    if asked.reflection_model is not None and asked.reflection_model not in known:
        message = f"reflection_model {asked.reflection_model!r} is the policy of no agent"
        help_text = f"{nearest(asked.reflection_model, known)}; for another model set reflection_url"
        yield Finding((*PROMPT, "reflection_model"), message, help_text)


@rule(
    "PLM907",
    "prompt-search-without-effect",
    Severity.INFO,
    reads=[
        "specialization",
        "training.prompt",
        *(f"training.{key}" for key in TRAINING),
        "agent_policy_configs.agent_configs.*.train_llm_config",
        *(f"{TRAINER}.{path}" for path in BELOW_TRAINER),
    ],
)
def prompt_search_without_effect(context: Context) -> Iterator[Finding]:
    """A setting of the search for prompts stands where weights are trained, or the other way round.

    With `specialization = "prompt"` the weights stay as they are: nothing reads the optimizer, the loss, the
    advantages, the filters, or how training episodes are sampled, as a search plays all tasks with the
    sampling of validation. With any other specialization nothing reads `training.prompt`. Within it, some
    keys are those of an endpoint (`reflection_url`), and `reflection_prompt_length` is that of a policy.
    """
    kind = context.config.specialization
    because = f'specialization = "{kind}"'
    if kind != "prompt":
        yield from _idle(context, PROMPT, because)
        return
    for key in TRAINING:
        yield from _idle(context, ("training", key), because)
    for key in context.config.agent_policy_configs.agent_configs:
        yield from _idle(context, (*AGENTS, key, "train_llm_config"), because)
    for key in context.config.models:
        for path in BELOW_TRAINER:
            yield from _idle(context, ("models", key, PPO, *path.split(".")), because)
    if context.config.training.prompt.reflection_url is None:
        for key in OF_ENDPOINTS:
            yield from _idle(context, (*PROMPT, key), "a policy that reflects: reflection_url is not set")
    else:
        yield from _idle(context, (*PROMPT, "reflection_prompt_length"), "a reflection_url")


def _idle(context: Context, path: KeyPath, because: str) -> Iterator[Finding]:
    """One finding for each key at or below `path` that is set to another value than its default."""
    value: Any = get(context.data, path)
    if isinstance(value, Mapping):
        for key in value:
            yield from _idle(context, (*path, key), because)
    elif value is not MISSING and value is not None and value != SCHEMA.default(path):
        yield Finding(path, f"{dotted(path)} has no effect with {because}", at_key=True)
