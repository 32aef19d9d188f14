"""PLM3, numbers and resources: what the engine takes, and what all policies of one engine share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pettingllms.config.homes import (
    LORA_RANKS,
    lora_rank,
    model_path,
    reflection_length,
    sequence_lengths,
    serving,
)
from pettingllms.config.model import ConfigModel
from pettingllms.config.ppo import ModelConfig, RolloutConfig
from pettingllms.config.shape import written
from pettingllms.documents.source import Finding, KeyPath, dotted
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.model_files import context_at, settings_at
from pettingllms.lint.policies import (
    ENGINES,
    LENGTHS,
    OURS,
    RANKS,
    SPECIALIZATION,
    TRAINER,
    USED,
    Policy,
    engines,
    home_of,
    length_homes,
    policies,
    rank_homes,
    trains,
    used_policies,
)
from pettingllms.lint.rule import Context, rule
from pettingllms.lint.unchecked import model_is_unknown

ROLLOUT = f"{OURS}.rollout"


@rule(
    "PLM305",
    "exceeds-context",
    Severity.ERROR,
    reads=[
        *LENGTHS,
        *(f"{ROLLOUT}.max_model_len", f"{ROLLOUT}.name", "base_models.*.path", *USED),
        *("specialization", "training.prompt"),
    ],
)
def exceeds_context(context: Context) -> Iterator[Finding]:
    """`max_prompt_length` + `max_response_length`, or `max_model_len`, is longer than the model's context.

    The same goes for the lengths of reflection (`training.prompt`) where a policy reflects.
    Checked for embedded models, and for local folders by the `max_position_embeddings` of their
    `config.json`, unless that scales its positions. vLLM refuses such an engine: `User-specified
    max_model_len (…) is greater than the derived max_model_len`.
    """
    seen: set[KeyPath] = set()
    for policy in policies(context.config):
        path = policy.base.path
        limit = context_at(settings_at(path))
        if limit is None:
            model_is_unknown(context, path)
            continue
        prompt, response = sequence_lengths(context.config, policy.model)
        rollout = policy.ours.rollout
        longest = rollout.max_model_len if rollout.name == "vllm" else None
        longer: Literal["prompt", "response"] = "prompt" if prompt >= response else "response"
        where = home_of(context, length_homes(policy, longer), max(prompt, response))
        if prompt + response > limit and where not in seen:
            seen.add(where)
            sizes = f"{prompt} + {response}"
            message = f"prompt and response lengths {sizes} exceed the context of {path}, {limit} tokens"
            yield Finding(where, message, "shorten max_prompt_length or max_response_length")
        if longest is not None and longest > limit:
            for where in policy.rollout("max_model_len"):
                message = f"max_model_len = {longest} exceeds the context of {path}, {limit} tokens"
                yield Finding(where, message, "remove it: it follows the lengths of prompt and response")
        where = ("training", "prompt", "reflection_prompt_length")
        if longest is None and reflection_length(context.config, [policy.name]) > limit and where not in seen:
            seen.add(where)
            message = f"prompts and answers of reflection exceed the context of {path}, {limit} tokens"
            yield Finding(where, message, "shorten reflection_prompt_length or reflection_response_length")


ACTOR = ("actor_rollout_ref",)
SHARED_BY_ENGINE: tuple[tuple[str, ...], ...] = (
    *((*ACTOR, "rollout", key) for key in ("name", "mode", "dtype", "max_num_seqs")),
    *((*ACTOR, "rollout", key) for key in ("max_model_len", "max_num_batched_tokens")),
    *((*ACTOR, "rollout", key) for key in ("enable_chunked_prefill", "max_lora_rank")),
    *((*ACTOR, "rollout", key) for key in ("free_cache_engine", "enforce_eager")),
    *((*ACTOR, "rollout", key) for key in ("tensor_model_parallel_size", "gpu_memory_utilization")),
    (*ACTOR, "rollout", "engine_kwargs"),
)
SHARED_BY_ADAPTERS: tuple[tuple[str, ...], ...] = ((*ACTOR, "actor", "fsdp_config", "model_dtype"),)


@rule(
    "PLM308",
    "engine-settings-disagree",
    Severity.ERROR,
    reads=[*(f"{TRAINER}.{dotted(path)}" for path in SHARED_BY_ENGINE + SHARED_BY_ADAPTERS), *ENGINES],
)
def engine_settings_disagree(context: Context) -> Iterator[Finding]:
    """Two policies want different settings of what they share.

    Policies that start from one base model and are served alike have one engine, and LoRA policies are
    trained on one copy of their base model's weights. Write these settings in one entry of `models`, and
    refer to them in the entry of every other policy. Policies that no agent uses do not count.
    """
    for group in engines(context.config):
        yield from _disagreements(context, group, SHARED_BY_ENGINE, "of one engine")
    bases: dict[str, list[Policy]] = {}
    for policy in used_policies(context.config):
        if trains(context.config, policy) == "lora":
            bases.setdefault(model_path(policy.base.path, policy.model), []).append(policy)
    for group in bases.values():
        yield from _disagreements(context, group, SHARED_BY_ADAPTERS, "on one base model")


def _disagreements(
    context: Context, group: list[Policy], shared: tuple[tuple[str, ...], ...], what: str
) -> Iterator[Finding]:
    first, *others = group
    for policy in others:
        for path in shared:
            here, there = _value(policy.model, path), _value(first.model, path)
            if here != there:
                homes = [*policy.below(*path), *first.below(*path)]
                name = dotted(path)
                values = f"{written(there)} for {first.name!r}, {written(here)} for {policy.name!r}"
                message = f"{name} differs between policies {what}: {values}"
                yield Finding(context.first_set(*homes), message, f"set {name} alike in all of `models`")


def _value(model: ModelConfig, path: tuple[str, ...]) -> Any:
    section: Any = model.ppo_trainer_config
    for key in path:
        section = getattr(section, key)
    return section.model_dump() if isinstance(section, ConfigModel) else section


@rule(
    "PLM326",
    "async-on-the-cpu",
    Severity.WARNING,
    reads=["training.device", f"{ROLLOUT}.mode", f"{ROLLOUT}.name", *USED],
)
def async_on_the_cpu(context: Context) -> Iterator[Finding]:
    """`rollout.mode` is set to `async` on the CPU, where two runs of one experiment then give other numbers.

    Requests then go to the engine as they come, and what is computed together depends on who is ready first.
    Where `mode` is not set, it is `sync` on the CPU, and runs give the same numbers again. Files of verl
    often say `async`. The replies of the `scripted` engine are the same in both modes, and policies that no
    agent uses do not count.
    """
    if context.config.training.device != "cpu":
        return
    for policy in used_policies(context.config):
        rollout = policy.ours.rollout
        if rollout.mode == "async" and rollout.name != "scripted":
            for where in policy.rollout("mode"):
                message = 'mode = "async" with device = "cpu": numbers differ from run to run'
                yield Finding(where, message, "remove it: the default on the CPU gives equal numbers")


@rule(
    "PLM313",
    "lora-rank-limit",
    Severity.ERROR,
    reads=[
        *(*SPECIALIZATION, "training.device", *RANKS, *USED),
        *(f"{ROLLOUT}.{key}" for key in ("name", "max_lora_rank", "lora_serving")),
    ],
)
def lora_rank_limit(context: Context) -> Iterator[Finding]:
    """The rank of an adapter is larger than the engine takes.

    vLLM takes adapters up to its `max_lora_rank`, which is 1, 8, 16, 32, 64, 128, 256, 320 or 512
    (`LoRA rank 64 is greater than max_lora_rank 16`). Where the experiment does not set it, it follows
    the ranks of the policies. Merged weights have no such limit.
    """
    seen: set[KeyPath] = set()
    ranks = ", ".join(map(str, LORA_RANKS))
    served = (
        one
        for one in used_policies(context.config)
        if one.ours.rollout.name == "vllm" and trains(context.config, one) == "lora"
    )
    for policy in served:
        rank, said = lora_rank(context.config, policy.model), policy.ours.rollout.max_lora_rank
        adapters = serving(context.config, policy.model) == "adapter"
        if said is not None and said not in LORA_RANKS and adapters:
            for where in policy.rollout("max_lora_rank"):
                yield Finding(where, f"vLLM takes no max_lora_rank = {said}", f"it takes {ranks}")
        limit = said if said is not None else LORA_RANKS[-1]
        if rank <= limit or not (adapters or said is not None):
            continue
        where = home_of(context, rank_homes(policy), rank)
        where = context.first_set(where, *policy.rollout("max_lora_rank"))
        if where not in seen:
            seen.add(where)
            source = "max_lora_rank = " if said is not None else "the largest max_lora_rank of vLLM, "
            help_text = f"write at most {limit}"
            if said is not None:
                help_text += ", or remove max_lora_rank: it then follows the ranks"
            yield Finding(where, f"lora_rank = {rank} is above {source}{limit}", help_text)


@rule(
    "PLM314",
    "engine-batch-limits",
    Severity.ERROR,
    reads=[
        *("training.device", *LENGTHS, *ENGINES),
        *(f"{ROLLOUT}.{key}" for key in ("name", "max_model_len", "max_num_batched_tokens")),
        *(f"{ROLLOUT}.{key}" for key in ("enable_chunked_prefill", "max_num_seqs")),
    ],
)
def engine_batch_limits(context: Context) -> Iterator[Finding]:
    """Sizes of the engine contradict each other, so that vLLM does not start, or fails while it samples.

    - `max_model_len` holds the longest prompt and the longest response.
    - `max_num_batched_tokens` is not below `max_num_seqs`: each sequence adds a token to every step
      (`max_num_batched_tokens (32) must be greater than or equal to max_num_seqs (64)`).
    - Without chunked prefill a whole prompt is worked off in one step: `max_num_batched_tokens` is not
      below `max_model_len` (`max_num_batched_tokens (2048) is smaller than max_model_len (6144)`).
    - On the CPU no prompt may be spread over several steps, as the seeds of requests do not allow it
      (`CPU Generator does not use offset`): `max_num_batched_tokens` has room for `max_num_seqs` prompts.
    """
    cpu = context.config.training.device == "cpu"
    for group in engines(context.config):
        lengths = [sequence_lengths(context.config, policy.model) for policy in group]
        for policy in group:
            if policy.ours.rollout.name == "vllm":
                for key, message, help_text in _batch_faults(policy.ours.rollout, lengths, cpu=cpu):
                    for where in policy.rollout(key):
                        yield Finding(where, message, help_text)


def _batch_faults(
    rollout: RolloutConfig, lengths: list[tuple[int, int]], *, cpu: bool
) -> Iterator[tuple[str, str, str]]:
    """Key, message and help; `lengths` are those of all policies of the engine."""
    prompt, response = max(lengths, key=sum)
    longest, tokens, sequences = rollout.max_model_len, rollout.max_num_batched_tokens, rollout.max_num_seqs
    if longest is not None and longest < prompt + response:
        message = f"max_model_len = {longest} is below the prompt and response lengths, {prompt} + {response}"
        yield "max_model_len", message, "remove it, or write shorter lengths"
    if tokens is None:
        return
    said, at_least = f"max_num_batched_tokens = {tokens}", "write at least {}, or remove it"
    longest = longest if longest is not None else prompt + response
    prompt = max(prompt for prompt, _ in lengths)
    chunked = rollout.enable_chunked_prefill is not False
    if tokens < sequences:
        message, help_text = f"{said} is below max_num_seqs = {sequences}", at_least.format(sequences)
    elif not chunked and tokens < longest:
        message = f"{said} without chunked prefill is below the longest sequence, {longest} tokens"
        help_text = at_least.format(longest)
    elif chunked and cpu and tokens < sequences * prompt:
        room = f"{sequences} sequences x {prompt} tokens of a prompt"
        message = f"{said} is below {room}: on the CPU vLLM cannot split a prompt"
        help_text = "remove it, lower max_num_seqs, or write enable_chunked_prefill = false"
    else:
        return
    yield "max_num_batched_tokens", message, help_text
