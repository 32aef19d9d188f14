"""Episodes as tests of advantages need them: rewards in, everything else made up."""

from typing import NamedTuple

from pettingllms.config.ppo import AlgorithmConfig
from pettingllms.types import (
    Completion,
    Episode,
    FinishReason,
    Group,
    GroupKey,
    Reward,
    Sample,
    Scored,
    StopReason,
    Task,
    TokenSampling,
    Turn,
)

PLAIN = TokenSampling(1.0, 16)


class Plan(NamedTuple):
    algorithm: AlgorithmConfig


def plans(*policies, **algorithm):
    """The same settings for all policies."""
    return dict.fromkeys(policies or ("tool", "reason"), Plan(AlgorithmConfig(**algorithm)))


def sample(reward, candidate=0, *, tokens=2, finish=FinishReason.STOP, penalty=0.0, masked=None, version=0):
    """A completion of `tokens` tokens; a reward of None is a failed one."""
    completion = Completion((1,) * tokens, (-0.5,) * tokens, finish, version)
    earned = None if reward is None else Reward(reward, 0.0, reward, "given", penalty)
    return Sample(completion, "", 0, candidate, earned, False, masked)


def turn(index, agent, rewards, prompt=None):
    """A turn of the policy that is called as its agent; `rewards`: one per candidate, or samples."""
    samples = tuple(
        one if isinstance(one, Sample) else sample(one, number) for number, one in enumerate(rewards)
    )
    prompt = (index,) if prompt is None else prompt
    return Turn(index, agent, agent, prompt, "", PLAIN, samples, 0)


def episode(task, turns, place=0, branch=0, stop=StopReason.MAX_TURNS):
    return Episode(Task(task, "train", {}), place, branch, tuple(turns), False, stop)


def group(rewards, advantages=None, *, place=0, policy="tool", dropped=None):
    """A group with advantages as given; by default they are the rewards."""
    advantages = rewards if advantages is None else advantages
    dropped = dropped or [None] * len(rewards)
    members = tuple(
        Scored(sample(reward, number), (7,), PLAIN, advantage, why)
        for number, (reward, advantage, why) in enumerate(zip(rewards, advantages, dropped, strict=True))
    )
    return Group(GroupKey(f"task {place}", "tool", 0), place, policy, members, tuple(rewards))
