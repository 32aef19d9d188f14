"""Generalised advantage estimation: an advantage for each token, from what a critic expected at it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import fmean

from pettingllms.advantages.equality import all_equal
from pettingllms.advantages.grouping import Uncredited
from pettingllms.errors import InvariantError
from pettingllms.types import Group, Scored, TokenCredit


def gae(
    rewards: Sequence[float],
    values: Sequence[float],
    *,
    gamma: float,
    lam: float,
    value_after: float = 0.0,
    advantage_after: float = 0.0,
) -> list[float]:
    """The advantage of each of a row of tokens: sum over l of (gamma lam)^l x delta of the l-th token on.

    `rewards`: of each token. `values`: what the critic expects from the state before it on. The delta of a
    token is reward + gamma x value of the state after it - its own value. `gamma`, `lam`: in [0, 1], per
    token. `value_after`: of the state after the last token, `advantage_after`: of the token that follows;
    both are 0 where nothing follows. Where a play was cut off although it could have gone on, the former
    stands for what is not seen. Source: Schulman et al. 2016, eq. 16 (arXiv:1506.02438).
    """
    advantages = []
    for reward, value in zip(reversed(rewards), reversed(values), strict=True):
        advantage_after = reward + gamma * value_after - value + gamma * lam * advantage_after
        advantages.append(advantage_after)
        value_after = value
    return advantages[::-1]


def credit_tokens(groups: Sequence[Group], *, gamma: float, lam: float) -> list[Group]:
    """The groups of one policy's batch, as `groups_of` made them, with advantages and returns by token.

    An action is rewarded at the last token of each of its completions. Under `agent_turn` it is a play of its
    own, over after that token: that is what the candidates of a turn are compared by. Under `trajectory` the
    turns of an agent in an episode are one play. What the team earned from a turn on and before the agent's
    next one is the reward of the former, and the state after it is that of the latter's first token: of
    several completions of one action, the mean. Tokens of others count no step of `gamma`.

    The last turn of an episode ends the play, whether the task is solved or the turns are used up: their
    number is part of the task, nothing is earned after it, and the return is a sum over these turns only. To
    put the critic's word in place of what would have come would be to reward a team for what it has no turn
    left to do. A completion cut off at the token limit is an action like others: the environment took it as
    it is. An episode that failed has no return, and its samples no credit.

    A return is advantage + value, as verl has it. Advantages are then moved and scaled to mean 0 and standard
    deviation 1 over all tokens of the batch that have any. `Scored.advantage` is the mean of its tokens'.
    Raises InvariantError where a sample has not one value for each token.
    """
    raw: list[list[list[float] | None]] = [_of_group(group, gamma, lam) for group in groups]
    scale = _Scale(one for group in raw for own in group if own is not None for one in own)
    return [
        replace(group, members=tuple(_scored(*pair, scale) for pair in zip(group.members, own, strict=True)))
        for group, own in zip(groups, raw, strict=True)
    ]


class _Scale:
    """Makes numbers ones of mean 0 and sample standard deviation 1; equal ones, or a single one, to 0."""

    def __init__(self, numbers: Iterable[float]) -> None:
        found = list(numbers)
        self._flat = len(found) < 2 or all_equal(found)
        self._mean = 0.0 if self._flat else fmean(found)
        squares = math.fsum((one - self._mean) ** 2 for one in found)
        self._deviation = 1.0 if self._flat else math.sqrt(squares / (len(found) - 1))

    def __call__(self, number: float) -> float:
        return 0.0 if self._flat else (number - self._mean) / self._deviation


def _of_group(group: Group, gamma: float, lam: float) -> list[list[float] | None]:
    """The advantages of each member, before they are scaled; None where its candidate has no reward."""
    plays: dict[int, dict[int, list[int]]] = {}
    members: list[Uncredited] = []
    for number, member in enumerate(group.members):
        if not isinstance(member, Uncredited):
            raise InvariantError(f"{group.key} has its advantages already")
        members.append(member)
        if member.owner is not None:
            plays.setdefault(member.owner, {}).setdefault(member.turn, []).append(number)
    found: list[list[float] | None] = [None] * len(members)
    for turns in plays.values():
        value_after = advantage_after = 0.0
        for _, numbers in sorted(turns.items(), reverse=True):
            firsts = []
            for number in numbers:
                member = members[number]
                values = _values(group, member)
                own = gae(
                    [*(0.0 for _ in values[1:]), member.earned],
                    values,
                    gamma=gamma,
                    lam=lam,
                    value_after=value_after,
                    advantage_after=advantage_after,
                )
                found[number] = own
                firsts.append((values[0], own[0]))
            value_after, advantage_after = map(fmean, zip(*firsts, strict=True))
    return found


def _values(group: Group, member: Scored) -> tuple[float, ...]:
    values, tokens = member.sample.values or (), len(member.sample.completion.token_ids)
    if len(values) != tokens:
        raise InvariantError(f"{group.key}: {tokens} tokens have {len(values)} values")
    return values


def _scored(member: Scored, raw: list[float] | None, scale: _Scale) -> Scored:
    plain = Scored(
        member.sample, member.prompt_ids, member.sampling, 0.0, member.dropped, images=member.images
    )
    if raw is None:
        return plain
    advantages = tuple(map(scale, raw))
    returns = tuple(a + value for a, value in zip(raw, member.sample.values or (), strict=True))
    return replace(plain, advantage=fmean(advantages), per_token=TokenCredit(advantages, returns))
