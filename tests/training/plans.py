"""Policies' plans, groups and samples as tests need them."""

import itertools
import random
from dataclasses import replace

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import plan_policies
from pettingllms.types import (
    Completion,
    FinishReason,
    Group,
    GroupKey,
    Reward,
    Sample,
    Scored,
    TokenCredit,
    TokenSampling,
)


def plans_of(names=("a.b", "b"), *, actor=None, algorithm=None, model=None, path="tiny", steps=10, **ppo):
    """Plans of policies that share a base model; `actor`, `algorithm`, `model`: sections of their trainer."""
    trainer = {
        "actor_rollout_ref": {
            "actor": {"optim": {"lr": 0.05}, "ppo_max_token_len_per_gpu": 2048, **(actor or {})},
            "model": {"lora_rank": 4, "lora_alpha": 8.0, **(model or {})},
        },
        "algorithm": algorithm or {},
        **ppo,
    }
    config = ExperimentConfig.model_validate(
        {
            "env": {"name": "math_env", "dataset": "builtin:arithmetic"},
            "base_models": {f"policy_{n}": {"path": path, "name": name} for n, name in enumerate(names)},
            "agent_policy_configs": {"num_agents": 1, "agent_configs": {}},
            "multi_agent_interaction": {"turn_order": ["agent"]},
            "training": {
                "device": "cpu",
                "total_training_steps": steps,
                "max_prompt_length": 64,
                "max_response_length": 16,
            },
            "models": {
                f"model_{n}": {"name": name, "ppo_trainer_config": trainer} for n, name in enumerate(names)
            },
        }
    )
    return plan_policies(config)


def model_of(policies, policy=None):
    """The causal language model that a policy's weights are in, speaking as it; the first by default."""
    policy = policy or next(iter(policies.plans))
    weights = policies.weights[policy]
    if policies.plans[policy].specialization == "full":
        return weights.model
    weights.switch.to(weights.adapter)
    return weights.model.base_model.model


PLAIN = TokenSampling(temperature=1.0, max_tokens=16)


def scored(prompt, ids, advantage=1.0, logprobs=None, sampling=PLAIN, dropped=None):
    """A sample with its advantage; the engine's log-probabilities are -2 unless given."""
    logprobs = [-2.0] * len(ids) if logprobs is None else logprobs
    completion = Completion(tuple(ids), tuple(logprobs), FinishReason.STOP, 0)
    reward = Reward(0.0, 0.0, advantage, "given")
    sample = Sample(completion, "", 0, 0, reward, success=False)
    return Scored(sample, tuple(prompt), sampling, advantage, dropped)


def group(prompt, responses, policy="a.b", advantages=None, place=0, **more):
    """One group of equal prompts."""
    advantages = advantages or [1.0, -0.5, 0.25, 2.0][: len(responses)]
    members = tuple(scored(prompt, r, a, **more) for r, a in zip(responses, advantages, strict=True))
    return Group(GroupKey(f"task {place}", "agent", 0), place, policy, members, tuple(advantages))


def ragged_groups(count=4, policy="a.b", **more):
    """Groups of prompts and responses of many lengths, one per task."""
    source = random.Random(0)
    return [
        group(
            [source.randint(2, 250) for _ in range(source.randint(1, 20))],
            [[source.randint(0, 250) for _ in range(source.randint(1, 9))] for _ in range(4)],
            policy,
            place=place,
            **more,
        )
        for place in range(count)
    ]


def with_returns(groups, *, values=0.0, seed=0, failed=()):
    """The groups as `gae` credits them: values of about `values`, returns around 0.5, by the seed.

    `failed`: numbers of members, counted over all groups, that have no return.
    """
    source = random.Random(seed)

    def judged(member):
        count = len(member.sample.completion.token_ids)
        before = tuple(values + 0.1 * source.random() for _ in range(count))
        credit = TokenCredit((member.advantage,) * count, tuple(source.random() for _ in range(count)))
        sample = replace(member.sample, values=before)
        return replace(member, sample=sample, per_token=None if next(numbers) in failed else credit)

    numbers = itertools.count()
    return [replace(group, members=tuple(map(judged, group.members))) for group in groups]
