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

    `owner`: which of the rewards of its group is that of its candidate; None where that has none. `turn`:
    index of its turn. `earned`: what was earned from its turn on, and before the next of its candidate.
    """

    owner: int | None = None
    turn: int = 0
    earned: float = 0.0


class _Part(NamedTuple):
    """A turn of an agent, and the episode that it is part of."""

    episode: Episode
    turn: Turn


class _Action(NamedTuple):
    """The completions of one action, and what was earned from it on, before the next of its candidate."""

    turn: Turn
    samples: Sequence[Sample]
    earned: float


class _Candidate(NamedTuple):
    """What is compared: an action, or all actions of one agent in one episode."""

    reward: float | None
    actions: Sequence[_Action]


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
    for reward, actions in candidates:
        owner = None if reward is None else len(rewards)
        if reward is not None:
            rewards.append(reward)
        members += [
            Uncredited(
                sample,
                turn.prompt_ids,
                turn.sampling,
                0.0,
                _left_out(sample, owner is None, algorithm),
                owner=owner,
                turn=turn.index,
                earned=earned,
                images=turn.images,
            )
            for turn, samples, earned in actions
            for sample in samples
            if sample.completion.token_ids
        ]
    failed = len(candidates) - len(rewards)
    return Group(key, place, parts[0].turn.policy, tuple(members), tuple(rewards), failed)


def _actions(parts: Iterable[_Part]) -> list[_Candidate]:
    """The candidates of all turns, by their numbers, each worth its own reward."""
    found = []
    for _, turn in parts:
        samples: dict[int, list[Sample]] = {}
        for sample in turn.samples:
            samples.setdefault(sample.candidate, []).append(sample)
        for _, own in sorted(samples.items()):
            reward = _reward(own)
            worth = None if reward is None else reward.trained
            found.append(_Candidate(worth, [_Action(turn, own, worth or 0.0)]))
    return found


def _trajectories(agent: str, parts: Iterable[_Part]) -> list[_Candidate]:
    """One candidate per branch, worth the return of its episode."""
    branches: dict[int, list[_Part]] = {}
    for part in parts:
        branches.setdefault(part.episode.branch, []).append(part)
    return [_trajectory(agent, own[0].episode, [turn for _, turn in own]) for own in branches.values()]


def _trajectory(agent: str, episode: Episode, turns: Sequence[Turn]) -> _Candidate:
    """The actions of `agent`, whose turns in the episode are `turns`.

    Each earned what all agents did until the agent's next one. What they earned before the first of them is
    part of the return, and of no action.
    """
    earned = _earned(episode, agent)
    # A turn without tokens has no token to be rewarded: what it earned goes to the one before it.
    begins = [turn.index for turn in turns if any(sample.completion.token_ids for sample in turn.samples)]
    actions = []
    for turn in turns:
        ends = next((begin for begin in begins if begin > turn.index), math.inf)
        own = [value for index, value in earned.items() if turn.index <= index < ends]
        actions.append(_Action(turn, turn.samples, math.fsum(own)))
    # An environment that failed before the next agent could be asked has no turn to show for it.
    whole = len(earned) == len(episode.turns) and episode.stop_reason is not StopReason.FAILED
    return _Candidate(math.fsum(earned.values()) if whole else None, actions)


def _earned(episode: Episode, agent: str) -> dict[int, float]:
    """By turn, what it earned, less the penalties of `agent`; a turn that failed is not there."""
    earned = {}
    for turn in episode.turns:
        if len({sample.candidate for sample in turn.samples}) > 1:
            raise InvariantError(
                f"task {episode.task.id}: branch {episode.branch} has several candidates at turn "
                f"{turn.index}, so that it is no trajectory to compare with others",
                help="use grouping = 'agent_turn', or rollout_mode = 'independent'",
            )
        reward = _reward(turn.samples)
        if reward is not None:
            earned[turn.index] = reward.trained if turn.agent == agent else reward.total
    return earned


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
                Scored(
                    member.sample,
                    member.prompt_ids,
                    member.sampling,
                    advantage,
                    member.dropped,
                    images=member.images,
                )
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
    prompts = {(member.prompt_ids, member.images) for member in group.members}
    if one_prompt and group.key.turn is not None and len(prompts) > 1:
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
