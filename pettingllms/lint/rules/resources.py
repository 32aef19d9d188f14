"""PLM3, numbers and resources: GPUs, lengths, and one value written in two places."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pettingllms.compose.tree import get
from pettingllms.config.homes import gpus_per_node, model_key, plan_policies
from pettingllms.config.model import ConfigModel
from pettingllms.config.ppo import ModelConfig
from pettingllms.config.shape import written
from pettingllms.documents.source import Finding, KeyPath, dotted
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.rule import Context, model_settings, rule
from pettingllms.lint.rules.references import local_folder
from pettingllms.models import BUILTIN_MODELS

PPO = "ppo_trainer_config"


@rule(
    "PLM301", "tensor-parallel-exceeds-pool", Severity.ERROR, reads=["models", "resource", "training.device"]
)
def tensor_parallel_exceeds_pool(context: Context) -> Iterator[Finding]:
    """`tensor_model_parallel_size` is larger than the pool of GPUs of its engine.

    One engine serves all LoRA policies on the GPUs of the node. On the CPU the size is 1.
    """
    pool = gpus_per_node(context.config) if context.config.training.device == "cuda" else 1
    for key, model in context.config.models.items():
        size = model.ppo_trainer_config.actor_rollout_ref.rollout.tensor_model_parallel_size
        if size > max(pool, 1):
            where = ("models", key, PPO, "actor_rollout_ref", "rollout", "tensor_model_parallel_size")
            cuda = context.config.training.device == "cuda"
            there = f"the engine has {pool} GPU{'s' * (pool != 1)}" if cuda else 'with device = "cpu" it is 1'
            help_text = f"write at most {max(pool, 1)}"
            yield Finding(where, f"tensor_model_parallel_size = {size}, but {there}", help_text)


@rule("PLM302", "gpu-counts-disagree", Severity.ERROR, reads=["models", "resource", "training.device"])
def gpu_counts_disagree(context: Context) -> Iterator[Finding]:
    """GPU counts below `models` are not the count of `resource.n_gpus_per_node`.

    They may stand in `ppo_trainer_config.trainer` and in `actor_rollout_ref.trainer`.
    """
    there = gpus_per_node(context.config)
    for key, model in context.config.models.items():
        ppo = model.ppo_trainer_config
        sections: list[tuple[KeyPath, Any]] = [
            (("models", key, PPO, "trainer"), ppo.trainer),
            (("models", key, PPO, "actor_rollout_ref", "trainer"), ppo.actor_rollout_ref.trainer),
        ]
        for path, counts in sections:
            for name in ("n_gpus_per_node", "n_training_gpus_per_node"):
                said = getattr(counts, name)
                if said is not None and said != there:
                    message = f"{name} = {said}, but the run has {there} GPUs on each node"
                    yield Finding((*path, name), message, 'write "${resource.n_gpus_per_node}", or remove it')


@rule("PLM303", "more-gpus-than-machine", Severity.ERROR, reads=["resource", "training.device"])
def more_gpus_than_machine(context: Context) -> Iterator[Finding]:
    """The experiment asks for more GPUs than this machine has."""
    asked = gpus_per_node(context.config)
    if context.facts is None or context.facts.gpus is None or context.facts.gpus == 0:
        return
    if asked > context.facts.gpus:
        where = context.first_set(("resource", "n_gpus_per_node"), ("training", "device"))
        message = f"{asked} GPUs are asked for, and this machine has {context.facts.gpus}"
        yield Finding(where, message, f"write n_gpus_per_node = {context.facts.gpus}")


@rule("PLM304", "no-gpu-here", Severity.ERROR, reads=["resource", "training.device"])
def no_gpu_here(context: Context) -> Iterator[Finding]:
    """The experiment runs on CUDA (`training.device`, whose default is `cuda`), and there is no GPU here."""
    asked = gpus_per_node(context.config)
    if context.facts is None or context.facts.gpus != 0:
        return
    if context.config.training.device == "cuda":
        message = 'training.device is "cuda", and this machine has no GPU that can be used'
        yield Finding(("training", "device"), message, 'write device = "cpu", or check nvidia-smi')
    elif asked:
        message = f"{asked} GPUs are asked for, and this machine has none"
        yield Finding(("resource", "n_gpus_per_node"), message, "write n_gpus_per_node = 0")


@rule("PLM305", "exceeds-context", Severity.ERROR, reads=["training", "models", "base_models"])
def exceeds_context(context: Context) -> Iterator[Finding]:
    """`max_prompt_length` + `max_response_length` is longer than the model's context.

    Checked for embedded models, and for local folders by the `max_position_embeddings` of
    their `config.json`.
    """
    seen: set[KeyPath] = set()
    for policy in plan_policies(context.config).values():
        limit = _context_length(policy.path)
        total = policy.max_prompt_length + policy.max_response_length
        if limit is None or total <= limit:
            continue
        where = _length_home(context, policy.name)
        if where not in seen:
            seen.add(where)
            sizes = f"{policy.max_prompt_length} + {policy.max_response_length}"
            message = (
                f"prompt and response lengths {sizes} exceed the context of {policy.path}, {limit} tokens"
            )
            yield Finding(where, message, "shorten max_prompt_length or max_response_length")


def _context_length(path: str) -> int | None:
    if path in BUILTIN_MODELS:
        return BUILTIN_MODELS[path]
    folder = local_folder(path)
    settings = model_settings(folder) if folder else None
    limit = settings.get("max_position_embeddings") if settings else None
    return limit if isinstance(limit, int) else None


def _length_home(context: Context, policy: str) -> KeyPath:
    """Where the prompt length of `policy` was set."""
    base_key = next(key for key, base in context.config.base_models.items() if base.name == policy)
    key = model_key(context.config, base_key)
    own: list[KeyPath] = [] if key is None else [_below(key, PROMPT[0]), _below(key, PROMPT[1])]
    return context.first_set(*own, ("training", "max_prompt_length"))


ACTOR = ("actor_rollout_ref",)
PROMPT: tuple[KeyPath, ...] = ((*ACTOR, "rollout", "prompt_length"), ("data", "max_prompt_length"))
RESPONSE: tuple[KeyPath, ...] = ((*ACTOR, "rollout", "response_length"), ("data", "max_response_length"))
# Homes of one value, the most specific first: below the model's trainer, then the shared ones.
HOMES: tuple[tuple[tuple[KeyPath, ...], tuple[KeyPath, ...]], ...] = (
    (((*ACTOR, "model", "lora_rank"),), (("training", "lora_rank"), ("lora_rank",))),
    (((*ACTOR, "model", "lora_alpha"),), (("training", "lora_alpha"), ("lora_alpha",))),
    (((*ACTOR, "rollout", "temperature"),), (("training", "sample_temperature"),)),
    (PROMPT, (("training", "max_prompt_length"),)),
    (RESPONSE, (("training", "max_response_length"),)),
)


@rule(
    "PLM306", "two-homes-disagree", Severity.WARNING, reads=["models", "training", "lora_rank", "lora_alpha"]
)
def two_homes_disagree(context: Context) -> Iterator[Finding]:
    """One value is set in two places that disagree.

    The most specific place wins: `models.model_N.…` over `training` over the root. Setting one,
    and referring to it in the other, says the same thing once.
    """
    keys = list(context.config.models)
    seen: set[tuple[KeyPath, KeyPath]] = set()
    for own, shared in HOMES:
        chains = [(*(_below(key, path) for path in own), *shared) for key in keys] or [shared]
        for chain in chains:
            homes = [path for path in chain if context.is_set(path)]
            for winner, loser in pairwise(homes):
                here, there = get(context.data, winner), get(context.data, loser)
                if here != there and (winner, loser) not in seen:
                    seen.add((winner, loser))
                    message = (
                        f"{dotted(winner)} = {written(here)} wins over {dotted(loser)} = {written(there)}"
                    )
                    yield Finding(winner, message, f'set one, or write "${{{dotted(loser)}}}" here')


def _below(key: str, path: KeyPath) -> KeyPath:
    return ("models", key, PPO, *path)


SHARED_BY_ENGINE: tuple[KeyPath, ...] = (
    *((*ACTOR, "rollout", key) for key in ("name", "lora_serving", "dtype", "max_num_seqs")),
    *((*ACTOR, "rollout", key) for key in ("tensor_model_parallel_size", "gpu_memory_utilization")),
    (*ACTOR, "rollout", "engine_kwargs"),
    (*ACTOR, "actor", "fsdp_config", "model_dtype"),
)


@rule(
    "PLM308",
    "engine-settings-disagree",
    Severity.ERROR,
    reads=["models", "base_models", "agent_policy_configs"],
)
def engine_settings_disagree(context: Context) -> Iterator[Finding]:
    """Two policies want different settings of what they share.

    All LoRA policies are served by one engine and trained on one copy of the base weights. Write these
    settings in one entry of `models`, and refer to them in the entry of every other policy. Policies
    that no agent uses do not count.
    """
    used = {agent.policy_name for agent in context.config.agent_policy_configs.agent_configs.values()}
    bases = {key: base.name for key, base in context.config.base_models.items() if base.name in used}
    keys = {name: model_key(context.config, key) for key, name in bases.items()}
    first, *others = keys.values() or (None,)
    for key in others:
        for path in SHARED_BY_ENGINE:
            here, there = (
                _value(context.config.models.get(k or "", ModelConfig()), path) for k in (key, first)
            )
            if here != there:
                set_homes = [_below(k, path) for k in (key, first) if k is not None]
                name = dotted(path)
                message = f"{name} differs between policies of one engine: {written(here)}, {written(there)}"
                yield Finding(context.first_set(*set_homes), message, f"set {name} alike in all of `models`")


def _value(model: ModelConfig, path: KeyPath) -> Any:
    section: Any = model.ppo_trainer_config
    for key in path:
        section = getattr(section, str(key))
    return section.model_dump() if isinstance(section, ConfigModel) else section


@rule("PLM309", "several-base-models", Severity.ERROR, reads=["base_models"])
def several_base_models(context: Context) -> Iterator[Finding]:
    """Policies start from different base models, which would need an engine each.

    That is not available in this version.
    """
    bases = list(context.config.base_models.items())
    names: set[str] = set()
    for key, base in bases:
        # Equal names with two paths are another rule's fault.
        if base.path != bases[0][1].path and base.name not in names:
            message = "policies on several base models are not available in this version"
            help_text = f'write "${{base_models.{bases[0][0]}.path}}"'
            yield Finding(("base_models", key, "path"), message, help_text)
        names.add(base.name)


@rule("PLM307", "no-validation-between", Severity.INFO, reads=["training"])
def no_validation_between(context: Context) -> Iterator[Finding]:
    """`val_freq` is not below `total_training_steps`, so no validation falls between the first and last step.

    Validation still runs before the first and after the last step.
    """
    training = context.config.training
    if training.val_freq >= training.total_training_steps:
        where = context.first_set(("training", "val_freq"), ("training", "total_training_steps"))
        frequency, steps = training.val_freq, training.total_training_steps
        message = f"val_freq = {frequency} with {steps} steps: validation runs only before and after training"
        yield Finding(where, message)
