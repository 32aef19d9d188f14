"""PLM3, numbers and resources: whether weights, activations and checkpoints fit the machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pettingllms.documents.source import Finding, KeyPath
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.model_files import ModelShape, shape_of
from pettingllms.lint.policies import (
    ENGINES,
    LENGTHS,
    NAMES,
    OURS,
    RANKS,
    SPECIALIZATION,
    TRAINER,
    Policy,
    engines,
)
from pettingllms.lint.rule import Context, rule
from pettingllms.lint.rules.resources import GPU_COUNT, counted
from pettingllms.lint.sizes import (
    checkpoint_bytes,
    engine_needs,
    recomputes,
    size_in_words,
    trainer_needs,
)
from pettingllms.lint.unchecked import machine_fact, model_is_unknown

UNREMARKABLE = 2**30
"""Bytes of checkpoints that fit almost anywhere, so that nobody needs to hear that they were not checked."""
CHECKPOINTS: KeyPath = ("training", "model_checkpoints_dir")


@rule(
    "PLM315",
    "gpu-memory",
    Severity.WARNING,
    reads=[
        *("resource.nnodes", *GPU_COUNT, *RANKS, *LENGTHS, *ENGINES),
        *("env.max_turns", "env.turn_unit", "multi_agent_interaction.turn_order"),
        *("training.train_batch_size", "training.train_sample_num"),
        *(f"{OURS}.model.{key}" for key in ("target_modules", "enable_gradient_checkpointing")),
        *(f"{OURS}.actor.{key}" for key in ("fsdp_config.model_dtype", "use_dynamic_bsz")),
        *(f"{OURS}.actor.ppo_{key}_per_gpu" for key in ("max_token_len", "micro_batch_size")),
        *(f"{OURS}.rollout.{key}" for key in ("name", "dtype", "max_model_len", "gpu_memory_utilization")),
        *(f"{OURS}.rollout.{key}" for key in ("tensor_model_parallel_size", "free_cache_engine")),
    ],
)
def gpu_memory(context: Context) -> Iterator[Finding]:
    """The run needs more memory than a GPU has (`RuntimeError: CUDA out of memory`).

    Estimated from the `config.json` of the model, per GPU, and low rather than high:

    - The engine takes `gpu_memory_utilization` of the memory. That holds its share of the weights, 2 bytes
      each in bfloat16, and the keys and values of one sequence of the longest length.
    - The trainer keeps its weights beside the engine: frozen ones, and 16 bytes for each weight of an
      adapter (AdamW), or 12 for each weight of a policy whose weights are all trained.
    - While it updates, it also needs the gradient of full weights, the activations of one micro-batch
      (`ppo_max_token_len_per_gpu` tokens, or `ppo_micro_batch_size_per_gpu` sequences), the output matrix
      in float32 and the logits of 256 positions. For all this it has the whole memory while the engine
      sleeps, and the rest of it with `free_cache_engine = false`. With gradient checkpointing
      (`enable_gradient_checkpointing`, the default on CUDA) activations are those of one layer, and what
      goes into each of the others.

    What helps: gradient checkpointing, a smaller `train_batch_size` or micro-batch, a shorter
    `max_prompt_length` or `max_response_length`, LoRA instead of full weights (`specialization = "lora"`),
    fewer candidates (`train_sample_num`), and another share for the engine.
    """
    config = context.config
    memory = machine_fact(context, "gpu_memory") if config.training.device == "cuda" else None
    if memory is None:
        return
    for group in engines(config):
        shape = shape_of(group[0].base.path)
        if shape is None:
            model_is_unknown(context, group[0].base.path)
            continue
        yield from _engine_memory(context, group, shape, memory)
        if config.specialization != "prompt":
            yield from _trainer_memory(context, group, shape, memory)


def _engine_memory(
    context: Context, group: list[Policy], shape: ModelShape, memory: int
) -> Iterator[Finding]:
    first = group[0]
    rollout = first.ours.rollout
    if rollout.name != "vllm":
        return
    needs = engine_needs(context.config, group, shape)
    share = int(rollout.gpu_memory_utilization * memory)
    if needs.weights + needs.cache <= share:
        return
    where = context.first_set(
        *first.rollout("gpu_memory_utilization"), ("base_models", first.base_key, "path")
    )
    over = f" / {needs.gpus} GPUs" if needs.gpus > 1 else ""
    message = (
        f"the engine does not fit: weights of {first.base.path}{over} {size_in_words(needs.weights)} + "
        f"one sequence of {needs.longest} tokens {size_in_words(needs.cache)} > gpu_memory_utilization "
        f"{rollout.gpu_memory_utilization:g} x {size_in_words(memory)} = {size_in_words(share)}"
    )
    help_text = "a larger gpu_memory_utilization, shorter lengths, or a larger tensor_model_parallel_size"
    yield Finding(where, message, help_text)


def _trainer_memory(
    context: Context, group: list[Policy], shape: ModelShape, memory: int
) -> Iterator[Finding]:
    config, first = context.config, group[0]
    rollout = first.ours.rollout
    needs = trainer_needs(config, group, shape)
    kept, parts = needs.kept, needs.parts
    share = rollout.gpu_memory_utilization if rollout.name == "vllm" else 0.0
    beside = int((1 - share) * memory)
    rest = f"(1 - {share:g}) x {size_in_words(memory)} = {size_in_words(beside)} beside the engine"
    shared = bool(share) and rollout.free_cache_engine
    if shared and sum(kept.values()) > beside:
        where = context.first_set(
            *first.rollout("gpu_memory_utilization"), ("base_models", first.base_key, "path")
        )
        yield Finding(where, _too_much(kept, rest), "lower gpu_memory_utilization")
        return
    if shared:
        beside, rest = memory, f"{size_in_words(memory)}, while the engine sleeps"
    if sum(parts.values()) <= beside:
        return
    where = context.first_set(
        *group[needs.worst].below("actor_rollout_ref", "actor", "ppo_max_token_len_per_gpu"),
        *first.rollout("gpu_memory_utilization"),
        ("training", "train_batch_size"),
        ("base_models", first.base_key, "path"),
    )
    smaller = ["ppo_max_token_len_per_gpu", "train_batch_size", "the lengths"]
    smaller += ["gpu_memory_utilization"] if share and not shared else []
    help_text = f"lower {', '.join(smaller[:-1])} or {smaller[-1]}"
    if not recomputes(config, group[needs.worst]):
        help_text = "write enable_gradient_checkpointing = true, or " + help_text
    yield Finding(where, _too_much(parts, rest), help_text)


def _too_much(parts: dict[str, int], rest: str) -> str:
    """What is said of `parts` that need more than the `rest` of the memory, in words."""
    listed = " + ".join(f"{name} {size_in_words(size)}" for name, size in parts.items() if size)
    need = size_in_words(sum(parts.values()))
    return f"CUDA out of memory is likely in the trainer: {listed} = {need} > {rest}"


@rule(
    "PLM316",
    "disk-space",
    Severity.WARNING,
    reads=[
        *(*SPECIALIZATION, "base_models.*.path", *RANKS, *NAMES, f"{OURS}.model.target_modules"),
        *("training.total_training_steps", "training.save_freq", "training.keep_checkpoints"),
        *("training.model_checkpoints_dir", f"{TRAINER}.algorithm.adv_estimator"),
        *(f"{TRAINER}.critic.model.{key}" for key in ("path", "lora_rank", "target_modules")),
    ],
)
def disk_space(context: Context) -> Iterator[Finding]:
    """The checkpoints of a run need more disk than is free.

    A checkpoint holds the adapter of every policy and its optimizer, 12 bytes for each weight of an
    adapter; with full weights, 12 bytes for each weight of the model. A critic with a model of its own
    is counted alike. A new checkpoint is written before the oldest is removed.
    """
    config, training = context.config, context.config.training
    if config.specialization == "prompt":
        return
    total, unknown = checkpoint_bytes(config)
    if unknown is not None:
        model_is_unknown(context, unknown)
        return
    steps, every = training.total_training_steps, training.save_freq
    written = -(-steps // every) if every else 1
    count = min(written, training.keep_checkpoints + 1)
    if total * count < UNREMARKABLE and context.facts is None:
        return
    free = machine_fact(context, "disk_free")
    if free is None:
        return
    free = _free_space(context, free)
    if total * count > free:
        where = context.first_set(("training", "keep_checkpoints"), ("training", "save_freq"), CHECKPOINTS)
        message = (
            f"{counted(count, 'checkpoint')} of {size_in_words(total)} each need "
            f"{size_in_words(total * count)}, and {size_in_words(free)} are free"
        )
        yield Finding(where, message, "keep fewer of them, or name another model_checkpoints_dir")


def _free_space(context: Context, otherwise: int) -> int:
    """Bytes that are free where checkpoints go: in a folder of this machine, or in the run folder."""
    folder = _existing_part(context.config.training.model_checkpoints_dir)
    if folder is None or context.facts is None or not context.facts.local:
        return otherwise
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return otherwise


def _existing_part(setting: str) -> Path | None:
    """The nearest part of an absolute folder that exists; None for a relative one."""
    try:
        folder = Path(setting).expanduser()
        if not folder.is_absolute():
            return None
        return next((part for part in (folder, *folder.parents) if _exists(part)), None)
    except (RuntimeError, ValueError):
        return None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # Below a folder that may not be entered.
        return False


@rule("PLM321", "checkpoints-not-writable", Severity.ERROR, reads=["training.model_checkpoints_dir"])
def checkpoints_not_writable(context: Context) -> Iterator[Finding]:
    """`training.model_checkpoints_dir` cannot be written on this machine.

    A relative folder lies in the run folder. An absolute one is made where it is missing, which takes
    the right to write into the nearest folder above it that exists. Only checked where the facts are those
    of this very machine (`--here`, `train`, `sweep run`).
    """
    if context.facts is None or not context.facts.local:
        return
    setting = context.config.training.model_checkpoints_dir
    there = _existing_part(setting)
    if there is None:
        return
    if not there.is_dir():
        message = f"checkpoints cannot be written to {setting}: {there} is no folder"
        yield Finding(CHECKPOINTS, message, "name another folder")
    elif not os.access(there, os.W_OK | os.X_OK):
        missing = "" if there == Path(setting).expanduser() else "it does not exist, and "
        message = f"checkpoints cannot be written to {setting}: {missing}{there} is not writable"
        yield Finding(CHECKPOINTS, message, "name another folder, or check its permissions")
