"""What the engine of an experiment is told, and when the engine of one trial can serve another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import PolicyPlan, cpu_threads, first_set, reflection_length
from pettingllms.rollout.engine import EngineSettings


def engine_settings(config: ExperimentConfig, asked: Sequence[PolicyPlan], model: Path) -> EngineSettings:
    """The engine that serves the policies `asked`, a group of `config.homes.engine_groups`; they agree.

    `model`: the folder of the base model that they start from.
    """
    first = asked[0]
    rollout = first.rollout
    return EngineSettings(
        name=rollout.name,
        model_folder=model,
        device=config.training.device,
        dtype=first.engine_dtype,
        serving=first.serving,
        policies=tuple(plan.name for plan in asked),
        max_lora_rank=first_set(rollout.max_lora_rank, max(plan.lora_rank for plan in asked)),
        max_model_len=first_set(
            rollout.max_model_len,
            max(
                reflection_length(config, [plan.name for plan in asked]),
                *(plan.max_prompt_length + plan.max_response_length for plan in asked),
            ),
        ),
        max_num_seqs=rollout.max_num_seqs,
        tensor_parallel_size=rollout.tensor_model_parallel_size,
        gpu_memory_utilization=rollout.gpu_memory_utilization,
        trust_remote_code=config.resource.trust_remote_code,
        threads=cpu_threads(config),
        seed=config.training.seed,
        replies=tuple(rollout.engine_kwargs.scripted.replies),
        max_num_batched_tokens=rollout.max_num_batched_tokens,
        enable_chunked_prefill=rollout.enable_chunked_prefill,
        enforce_eager=first.enforce_eager,
        may_sleep=config.training.device == "cuda" and rollout.free_cache_engine,
        images=config.env.multi_modal,
    )


def differences(built: EngineSettings, wanted: EngineSettings) -> list[str]:
    """The names of settings for which an engine that was `built` cannot stand for the one that is `wanted`.

    The seed is none of them, as every request brings its own. Of policies only the number counts, as an
    engine learns their names from its calls; and where adapters are merged into the weights, neither their
    number nor their rank.
    """
    one, other = _weighed(built), _weighed(wanted)
    return [name for name in one if one[name] != other[name]]


def _weighed(settings: EngineSettings) -> dict[str, Any]:
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    values["policies"] = len(settings.policies)
    del values["seed"]
    if settings.serving == "merged":
        values["policies"] = values["max_lora_rank"] = None
    return values
