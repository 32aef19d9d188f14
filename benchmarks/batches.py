"""The embedded model as a policy, and ragged batches for it: what the benchmarks of training share.

Batches are random token ids with random advantages, none of them 0, so that every sample is computed. Lengths
come from a seed: a batch is the same on every machine.
"""

import random
from collections.abc import Sequence

from pettingllms.types import (
    Completion,
    FinishReason,
    Group,
    GroupKey,
    Reward,
    Sample,
    Scored,
    TokenSampling,
)

MODEL = "builtin:smollm2-135m-instruct"
POLICY = "policy"
VOCABULARY = 49_152
RANK, ALPHA = 16, 32
THREADS = 2


def embedded_policies(**actor):
    """The trainer's weights: the embedded model in fp32 with one adapter on all linear layers, on the CPU.

    `actor`: settings of the actor. The adapter's second matrices are no zeros, as after some training, so
    that the first ones have a gradient, too. Torch gets two threads.
    """
    import torch

    from pettingllms.config.experiment import ExperimentConfig
    from pettingllms.config.homes import plan_policies
    from pettingllms.models.folders import local_folder
    from pettingllms.training.policies import Policies

    torch.set_num_threads(THREADS)
    trainer = {
        "actor_rollout_ref": {
            "actor": {"optim": {"lr": 1e-6, "weight_decay": 0.0}, **actor},
            "model": {"lora_rank": RANK, "lora_alpha": ALPHA},
        },
        "algorithm": {"rollout_is": False},
    }
    config = ExperimentConfig.model_validate(
        {
            "env": {"name": "math_env", "dataset": "builtin:arithmetic"},
            "base_models": {"policy_0": {"path": MODEL, "name": POLICY}},
            "agent_policy_configs": {"num_agents": 1, "agent_configs": {}},
            "multi_agent_interaction": {"turn_order": ["agent"]},
            "training": {"device": "cpu", "total_training_steps": 1000},
            "models": {"model_0": {"name": POLICY, "ppo_trainer_config": trainer}},
        }
    )
    made = Policies(
        plan_policies(config).values(),
        local_folder(MODEL, print),
        torch.device("cpu"),
        trust_remote_code=False,
        seed=0,
    )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters(POLICY):
            if not parameter.any():
                parameter.normal_(std=0.01, generator=generator)
    return made


def lognormal_lengths(
    source: random.Random, count: int, *, median: float, spread: float, limits
) -> list[int]:
    """Lengths whose logarithm is normal, kept within `limits`; `spread`: of the logarithm."""
    low, high = limits
    return [min(max(round(median * source.lognormvariate(0, spread)), low), high) for _ in range(count)]


def batch_of(
    lengths: Sequence[tuple[int, Sequence[int]]], *, seed: int = 0, vocabulary: int = VOCABULARY
) -> list[Group]:
    """One group per task: a prompt of so many tokens and responses of so many."""
    source = random.Random(seed)
    sampling = TokenSampling(1.0, max(max(responses) for _, responses in lengths))

    def tokens(count):
        return tuple(source.randrange(vocabulary) for _ in range(count))

    def member(prompt, length, candidate):
        completion = Completion(tokens(length), (-2.0,) * length, FinishReason.STOP, 0)
        reward = Reward(0.0, 0.0, 0.0, "drawn")
        advantage = source.choice((-1, 1)) * source.uniform(0.1, 2)
        return Scored(Sample(completion, "", 0, candidate, reward, False), prompt, sampling, advantage)

    groups = []
    for place, (prompt_length, responses) in enumerate(lengths):
        prompt = tokens(prompt_length)
        members = tuple(member(prompt, length, number) for number, length in enumerate(responses))
        rewards = tuple(one.advantage for one in members)
        groups.append(Group(GroupKey(f"task {place}", "agent", 0), place, POLICY, members, rewards))
    return groups


def samples_of(groups: Sequence[Group]) -> list[Scored]:
    """All samples of the groups, in order."""
    return [one for group in groups for one in group.members]


def token_counts(groups: Sequence[Group]) -> dict[str, int]:
    """How many tokens a batch has.

    `useful`: each prompt once and all responses. `separate`: each sequence whole. `padded`: all sequences as
    wide as the longest prompt and the longest response.
    """
    prompts = {one.prompt_ids for one in samples_of(groups)}
    responses = [len(one.sample.completion.token_ids) for one in samples_of(groups)]
    separate = sum(responses) + sum(len(one.prompt_ids) for one in samples_of(groups))
    return {
        "sequences": len(responses),
        "useful": sum(map(len, prompts)) + sum(responses),
        "separate": separate,
        "padded": len(responses) * (max(map(len, prompts)) + max(responses)),
    }
