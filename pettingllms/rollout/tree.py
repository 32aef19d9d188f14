"""One turn: K candidates for one prompt, each tried on a copy of the state; one of them goes on."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Hashable, Sequence
from functools import partial
from typing import NamedTuple

from pettingllms.agents.base import Agent
from pettingllms.envs.base import Env
from pettingllms.errors import RolloutError
from pettingllms.rollout.border import guarded
from pettingllms.rollout.effects import Script, run
from pettingllms.rollout.prompts import Tokenizer, text_before
from pettingllms.rollout.settings import RolloutSettings, Seat
from pettingllms.rollout.team import Move
from pettingllms.types import Completion, FinishReason, Request, Reward, Sample, TokenSampling, Turn


class Prompt(NamedTuple):
    """What one agent is asked at one turn; one request for each completion of each candidate, in order."""

    move: Move
    ids: tuple[int, ...]
    requests: list[Request]

    @property
    def sampling(self) -> TokenSampling:
        """How the tokens of all its requests are drawn."""
        return self.requests[0].sampling


class Attempt(NamedTuple):
    """What a candidate's action did. `env`: the state that it leads to."""

    env: Env
    local: float
    team: float
    reason: str
    success: bool
    solved: bool


def prompt_of(seat: Seat, move: Move, ids: tuple[int, ...]) -> Prompt:
    """The prompt with its requests, each with a seed of its own."""
    member = move.member
    sampling = member.evaluation if seat.settings.evaluation else member.train
    requests = [
        Request(member.policy, ids, sampling, seat.seed(move.turn, candidate, completion))
        for candidate in range(seat.candidates)
        for completion in range(member.sample_num)
    ]
    return Prompt(move, ids, requests)


def take_turn(
    tokenizer: Tokenizer, seat: Seat, prompt: Prompt, env: Env, completions: Sequence[Completion]
) -> Script[tuple[Turn, Attempt | None]]:
    """Try every candidate on its own copy of `env`; return the turn, and what goes on.

    `completions`: one per request of `prompt`. Nothing goes on where no candidate has a reward: its
    completions all failed, or the machinery around the environment did.
    Raises RolloutError where the agent or the environment fails otherwise.
    """
    move, settings = prompt.move, seat.settings
    member = move.member
    texts = [
        text_before(tokenizer.decode(completion.token_ids), prompt.sampling.stop)
        for completion in completions
    ]
    numbered = [(number // member.sample_num, text) for number, text in enumerate(texts)]
    spoken: list[list[str]] = [[] for _ in range(seat.candidates)]
    for (candidate, text), completion in zip(numbered, completions, strict=True):
        if completion.finish_reason is not FinishReason.FAILED:
            spoken[candidate].append(text)

    what = f"{member.label} failed on task {seat.task.id}"
    jobs = {
        candidate: partial(guarded, what, partial(_attempt, member.agent, env, own, resolve=settings.resolve))
        for candidate, own in enumerate(spoken)
        if own
    }
    attempts = dict(zip(jobs, (yield from run(list(jobs.values()))), strict=True))
    rewards = {
        candidate: _reward(what, attempt, settings)
        for candidate, attempt in attempts.items()
        if attempt is not None
    }
    samples = []
    for (candidate, text), request, completion in zip(numbered, prompt.requests, completions, strict=True):
        attempt, masked = attempts.get(candidate), None
        if completion.finish_reason is FinishReason.FAILED:
            masked = "generation_failed"
        elif attempt is None:
            masked = "infrastructure"
        reward = rewards.get(candidate) if masked is None else None
        success = attempt is not None and masked is None and attempt.success
        samples.append(Sample(completion, text, request.seed, candidate, reward, success, masked))
    chosen = _choose({candidate: reward.total for candidate, reward in rewards.items()}, seat, move.turn)
    turn = Turn(
        index=move.turn,
        agent=member.name,
        policy=member.policy,
        prompt_ids=prompt.ids,
        prompt_text=tokenizer.decode(prompt.ids),
        sampling=prompt.sampling,
        samples=tuple(samples),
        chosen=chosen,
    )
    return turn, None if chosen is None else attempts[chosen]


def most_said(agent: Agent, env: Env, texts: Sequence[str]) -> str:
    """The first text of the most frequent opinion, ties by first appearance; the first text without any.

    One text is no vote: it is taken as it is.
    """
    if len(texts) == 1:
        return texts[0]
    first: dict[Hashable, str] = {}
    votes: Counter[Hashable] = Counter()
    for text in texts:
        opinion = agent.opinion(env, text)
        if opinion is not None:
            first.setdefault(opinion, text)
            votes[opinion] += 1
    # A Counter keeps the order of first appearance, and max takes the first of equals.
    return first[max(votes, key=lambda opinion: votes[opinion])] if votes else texts[0]


def _attempt(agent: Agent, env: Env, texts: Sequence[str], *, resolve: bool) -> Attempt:
    """Carry out one candidate on a copy of `env`; runs in any thread."""
    own = env.copy()
    outcome = agent.act(own, most_said(agent, own, texts))
    return Attempt(
        env=own,
        local=float(outcome.local),
        team=float(own.team_reward()),
        reason=outcome.reason,
        success=own.success(),
        solved=resolve and own.solved(),
    )


def _reward(what: str, attempt: Attempt, settings: RolloutSettings) -> Reward:
    total = settings.reward_alpha * attempt.team + attempt.local
    if not math.isfinite(total):
        raise RolloutError(
            f"{what}: its reward is not finite: local = {attempt.local}, team = {attempt.team}"
        )
    return Reward(attempt.local, attempt.team, total, attempt.reason)


def _choose(totals: dict[int, float], seat: Seat, turn: int) -> int | None:
    """The candidate that goes on: of those with a reward the best, ties by the seed, or else the first."""
    if not totals:
        return None
    if not seat.settings.greedy:
        return min(totals)
    best = max(totals.values())
    equal = [candidate for candidate, total in totals.items() if total == best]
    return equal[0] if len(equal) == 1 else random.Random(seat.seed(turn, "choice")).choice(equal)
