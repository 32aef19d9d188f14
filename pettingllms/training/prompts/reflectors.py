"""Who reflects in a search for prompts: a policy of the run, or the model at an endpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import PolicyPlan, first_set, reflecting_policy
from pettingllms.errors import RefusedError
from pettingllms.hiding import hide
from pettingllms.rollout.engine import Engine
from pettingllms.rollout.prompts import Tokenizer
from pettingllms.training.prompts.reflection import PolicyReflector, Reflector
from pettingllms.training.prompts.reflection_endpoint import EndpointReflector
from pettingllms.types import TokenSampling


def reflector_of(
    config: ExperimentConfig,
    plans: Mapping[str, PolicyPlan],
    tokenizers: Mapping[str, Tokenizer],
    engine: Engine,
    check: Callable[[], None],
) -> Reflector:
    """The reflecting model that the experiment names; `tokenizers`: by policy.

    Raises RefusedError where a key is not set, or the engine has no room for its prompts.
    """
    asked = config.training.prompt
    if asked.reflection_url is not None:
        return EndpointReflector(
            url=asked.reflection_url,
            model=first_set(asked.reflection_model, ""),
            key=_key(asked.reflection_key_variable),
            timeout=asked.reflection_timeout,
            attempts=asked.reflection_attempts,
            temperature=asked.reflection_temperature,
            max_tokens=asked.reflection_response_length,
            check=check,
        )
    policy = first_set(reflecting_policy(config), "")
    sampling = TokenSampling(asked.reflection_temperature, asked.reflection_response_length)
    said = plans[policy].rollout.max_model_len
    limit = asked.reflection_prompt_length
    if said is not None:
        limit = min(limit, said - asked.reflection_response_length)
    if limit < 1:
        raise RefusedError(
            f"rollout.max_model_len = {said} leaves no room for reflection, whose answers have up to "
            f"{asked.reflection_response_length} tokens",
            help="raise it, or lower training.prompt.reflection_response_length",
        )
    return PolicyReflector(engine, tokenizers[policy], policy, sampling, limit)


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    if not (key := os.environ.get(variable, "").strip()):
        raise RefusedError(
            f"the environment variable {variable} of training.prompt.reflection_key_variable is not set",
            help="set it to the API key of training.prompt.reflection_url",
        )
    hide({key: f"${{{variable}}}"})
    return key
