"""Which samples share a baseline: from episodes to groups, and from groups to advantages."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from pettingllms.advantages import Algorithm, Estimator
from pettingllms.errors import InvariantError
from pettingllms.types import (
    Episode,
    FinishReason,
    Group,
    GroupKey,
    Reward,
    Sample,
    Scored,
    StopReason,
    Turn,
)


class Plan(Protocol):
    """What is read of a policy's settings."""

    @property
    def algorithm(self) -> Algorithm:
        """How its rewards become advantages."""


@dataclass(frozen=True, slots=True)
class Uncredited(Scored):
    """A sample whose advantage is still to be computed.

    `owner`: which of the rewards of its group is that of its candidate; None where that has none.
    """

    owner: int | None = None


class _Part(NamedTuple):
    """A turn of an agent, and the episode that it is part of."""

    episode: Episode
    turn: Turn


class _Candidate(NamedTuple):
    """What is compared: an action, or all actions of one agent in one episode."""

    reward: float | None
    samples: list[tuple[Turn, Sample]]


def groups_of(
    episodes: Iterable[Episode], plans: Mapping[str, Plan], agents: Container[str] | None = None
) -> list[Group]:
    """The groups of all policies, in the order of places and turns, with advantages of 0.

    `plans`: by policy. `agents`: those that are trained; None: all. Under `agent_turn` the candidates of a
    group are the actions of one agent at one turn of one task: the K of a turn in `tree` mode, those of
    all branches in `independent` mode. Under `trajectory` they are the branches of one task in which the
    agent acted, each worth the return of its episode: what all agents, frozen ones too, earned at all its
    turns, less the agent's own penalties. A branch that failed at any turn has no return.

    A failed candidate is in no baseline. Its samples, samples that are masked and, where the policy masks
    them, samples cut off at the token limit carry the reason in `dropped`; samples without tokens are left
    out. Raises InvariantError when an episode comes twice, or when one that is compared as a whole has
    several candidates at a turn.
    """
    parts: dict[tuple[int, str, int | None], list[_Part]] = {}
    tasks: dict[int, str] = {}
    seen: set[tuple[int, int]] = set()
    for episode in sorted(episodes, key=lambda one: (one.place, one.branch)):
        if (episode.place, episode.branch) in seen:
            raise InvariantError(f"branch {episode.branch} of place {episode.place} comes twice")
        seen.add((episode.place, episode.branch))
        tasks[episode.place] = episode.task.id
        for turn in episode.turns:
            if agents is None or turn.agent in agents:
                whole = plans[turn.policy].algorithm.grouping == "trajectory"
                key = (episode.place, turn.agent, None if whole else turn.index)
                parts.setdefault(key, []).append(_Part(episode, turn))
    # A branch that ended early does not know all turns, so that the order of arrival is not that of turns.
    ordered = sorted(parts.items(), key=lambda item: (item[0][0], min(part.turn.index for part in item[1])))
    return [
        _group(GroupKey(tasks[place], agent, turn), place, own, plans[own[0].turn.policy].algorithm)
        for (place, agent, turn), own in ordered
    ]


def _group(key: GroupKey, place: int, parts: Sequence[_Part], algorithm: Algorithm) -> Group:
    candidates = _trajectories(key.agent, parts) if key.turn is None else _actions(parts)
    rewards: list[float] = []
    members: list[Scored] = []
    for reward, samples in candidates:
        owner = None if reward is None else len(rewards)
        if reward is not None:
            rewards.append(reward)
        for turn, sample in samples:
            if sample.completion.token_ids:
                dropped = _left_out(sample, owner is None, algorithm)
                members.append(Uncredited(sample, turn.prompt_ids, turn.sampling, 0.0, dropped, owner))
    failed = len(candidates) - len(rewards)
    return Group(key, place, parts[0].turn.policy, tuple(members), tuple(rewards), failed)


def _actions(parts: Iterable[_Part]) -> list[_Candidate]:
    """The candidates of all turns, by their numbers, each worth its own reward."""
    found = []
    for _, turn in parts:
        samples: dict[int, list[tuple[Turn, Sample]]] = {}
        for sample in turn.samples:
            samples.setdefault(sample.candidate, []).append((turn, sample))
        for _, own in sorted(samples.items()):
            reward = _reward(sample for _, sample in own)
            found.append(_Candidate(None if reward is None else reward.trained, own))
    return found


def _trajectories(agent: str, parts: Iterable[_Part]) -> list[_Candidate]:
    """One candidate per branch, worth the return of its episode."""
    branches: dict[int, list[_Part]] = {}
    for part in parts:
        branches.setdefault(part.episode.branch, []).append(part)
    return [
        _Candidate(
            _return(own[0].episode, agent), [(turn, sample) for _, turn in own for sample in turn.samples]
        )
        for own in branches.values()
    ]


def _return(episode: Episode, agent: str) -> float | None:
    """What all agents earned at all turns, less the penalties of `agent`; None where one of them failed."""
    earned = []
    for turn in episode.turns:
        if len({sample.candidate for sample in turn.samples}) > 1:
            raise InvariantError(
                f"task {episode.task.id}: branch {episode.branch} has several candidates at turn "
                f"{turn.index}, so that it is no trajectory to compare with others",
                help="use grouping = 'agent_turn', or rollout_mode = 'independent'",
            )
        reward = _reward(turn.samples)
        if reward is not None:
            earned.append(reward.trained if turn.agent == agent else reward.total)
    # An environment that failed before the next agent could be asked has no turn to show for it.
    whole = len(earned) == len(episode.turns) and episode.stop_reason is not StopReason.FAILED
    return math.fsum(earned) if whole else None


def _reward(samples: Iterable[Sample]) -> Reward | None:
    """The reward of an action, which its completions share; None where all of them failed."""
    return next((sample.reward for sample in samples if sample.reward is not None), None)


def _left_out(sample: Sample, failed: bool, algorithm: Algorithm) -> str | None:
    if sample.masked is not None:
        return sample.masked
    if failed or sample.reward is None:
        return "failed"
    cut_off = sample.completion.finish_reason is FinishReason.LENGTH
    return "truncated" if cut_off and algorithm.mask_truncated_samples else None


def credit(groups: Sequence[Group], estimator: Estimator) -> list[Group]:
    """The groups of one policy's batch, as `groups_of` made them, with the advantages of `estimator`.

    Each sample gets the advantage of its candidate; those of failed candidates keep 0.
    """
    credited = []
    for group, advantages in zip(groups, estimator([group.rewards for group in groups]), strict=True):
        members = []
        for member in group.members:
            if not isinstance(member, Uncredited):
                raise InvariantError(f"{group.key} has its advantages already")
            advantage = 0.0 if member.owner is None else advantages[member.owner]
            members.append(
                Scored(member.sample, member.prompt_ids, member.sampling, advantage, member.dropped)
            )
        credited.append(replace(group, members=tuple(members)))
    return credited


def check_groups(groups: Iterable[Group], versions: Mapping[str, int], *, lag: int, one_prompt: bool) -> None:
    """Raise InvariantError, which names the group, where what is to be trained cannot be what was sampled.

    `versions`: of the policies' present weights, in updates. `lag`: how many updates older the weights may
    be that sampled. `one_prompt`: whether the members of a group must have seen the very same tokens, as in
    `tree` mode.
    """
    for group in groups:
        for fault in _faults(group, versions[group.policy], lag, one_prompt):
            task, agent, turn = group.key
            where = "" if turn is None else f", turn {turn}"
            raise InvariantError(f"task {task} (place {group.place}), agent {agent}{where}: {fault}")


def _faults(group: Group, version: int, lag: int, one_prompt: bool) -> Iterable[str]:
    if not all(map(math.isfinite, group.rewards)):
        yield f"a reward is no finite number: {group.rewards}"
    if one_prompt and group.key.turn is not None and len({member.prompt_ids for member in group.members}) > 1:
        yield "its samples are compared with each other, but answer different prompts"
    for member in group.members:
        completion = member.sample.completion
        tokens, logprobs = len(completion.token_ids), len(completion.logprobs)
        if tokens != logprobs:
            yield f"{tokens} tokens have {logprobs} log-probabilities"
        if not 0 <= version - completion.version <= lag:
            yield (
                f"version {completion.version} of {group.policy} sampled, and version {version} is to be "
                f"trained; they may be {lag} updates apart"
            )
