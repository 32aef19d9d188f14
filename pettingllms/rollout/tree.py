"""One turn: K candidates for one prompt, each tried on a copy of the state; one of them goes on."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from numbers import Real
from typing import NamedTuple

from pettingllms.agents.base import Agent
from pettingllms.envs.base import Env, Outcome
from pettingllms.rollout.border import Failed, ImproperError, guarded
from pettingllms.rollout.effects import Script, run
from pettingllms.rollout.prompts import Fitted, Tokenizer, text_before
from pettingllms.rollout.settings import RolloutSettings, Seat
from pettingllms.rollout.team import Move
from pettingllms.types import Completion, FinishReason, Request, Reward, Sample, TokenSampling, Turn


class Prompt(NamedTuple):
    """What one agent is asked at one turn; one request for each completion of each candidate, in order."""

    move: Move
    fitted: Fitted
    requests: list[Request]

    @property
    def sampling(self) -> TokenSampling:
        """How the tokens of all its requests are drawn."""
        return self.requests[0].sampling


class Attempt(NamedTuple):
    """What a candidate's action did. `env`: the state that it leads to; `metrics`: of that state."""

    env: Env
    reward: Reward
    success: bool
    solved: bool
    metrics: dict[str, float]


def prompt_of(seat: Seat, move: Move, fitted: Fitted) -> Prompt:
    """The prompt with its requests, each with a seed of its own."""
    member = move.member
    sampling = member.evaluation if seat.settings.evaluation else member.train
    requests = [
        Request(
            member.policy,
            fitted.ids,
            sampling,
            seat.seed(move.turn, candidate, completion),
            fitted.images,
        )
        for candidate in range(seat.candidates)
        for completion in range(member.sample_num)
    ]
    return Prompt(move, fitted, requests)


def take_turn(
    tokenizer: Tokenizer, seat: Seat, prompt: Prompt, env: Env, completions: Sequence[Completion]
) -> Script[tuple[Turn, Attempt | None]]:
    """Try every candidate on its own copy of `env`; return the turn, and what goes on.

    `completions`: one per request of `prompt`. Nothing goes on where no candidate has a reward: its
    completions all failed, or the agent, the environment or the machinery around it did.
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
        candidate: partial(guarded, what, partial(_attempt, member.agent, env, own, settings))
        for candidate, own in enumerate(spoken)
        if own
    }
    tried = dict(zip(jobs, (yield from run(list(jobs.values()))), strict=True))
    attempts = {candidate: one for candidate, one in tried.items() if not isinstance(one, Failed)}
    samples = []
    for (candidate, text), request, completion in zip(numbered, prompt.requests, completions, strict=True):
        plain = Sample(completion, text, request.seed, candidate, None, success=False)
        outcome = tried.get(candidate)
        if completion.finish_reason is FinishReason.FAILED or outcome is None:
            samples.append(replace(plain, masked="generation_failed"))
        elif isinstance(outcome, Failed):
            samples.append(replace(plain, masked=outcome.masked, error=outcome.reason))
        else:
            samples.append(replace(plain, reward=outcome.reward, success=outcome.success))
    totals = {candidate: attempt.reward.total for candidate, attempt in attempts.items()}
    chosen = _choose(totals, seat, move.turn)
    turn = Turn(
        index=move.turn,
        agent=member.name,
        policy=member.policy,
        prompt_ids=prompt.fitted.ids,
        prompt_text=tokenizer.decode(prompt.fitted.ids),
        sampling=prompt.sampling,
        samples=tuple(samples),
        chosen=chosen,
        images=prompt.fitted.images,
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


def _attempt(agent: Agent, env: Env, texts: Sequence[str], settings: RolloutSettings) -> Attempt:
    """Carry out one candidate on a copy of `env`; runs in any thread.

    Raises ImproperError where what the agent or the environment says of it is not what it has to be.
    """
    own = env.copy()
    seen = own.seen_by(agent)
    if seen is None:
        raise ImproperError(f"{type(own).__name__} has no state for an agent that was shown one")
    outcome = agent.act(seen, most_said(agent, seen, texts))
    return Attempt(
        env=own,
        reward=_reward(outcome, own.team_reward(), settings.reward_alpha),
        success=truth("success", own.success()),
        solved=settings.resolve and truth("solved", own.solved()),
        metrics=_measured(own.metrics()),
    )


def _reward(outcome: object, team: object, alpha: float) -> Reward:
    if not isinstance(outcome, Outcome) or not isinstance(outcome.reason, str):
        raise ImproperError(f"act gave {outcome!r}, not an Outcome of a number and a text")
    local = None if outcome.local is None else _number("act", outcome.local)
    team = _number("team_reward", team)
    # Without a local reward its weight, which is 1, goes to the team's.
    total = alpha * team + (team if local is None else local)
    if not math.isfinite(total):
        raise ImproperError(f"its reward is not finite: local = {local}, team = {team}")
    return Reward(local, team, total, outcome.reason)


def _measured(metrics: object) -> dict[str, float]:
    """What the environment measures, as `Episode.metrics` names it."""
    found = {}
    for name, value in metrics.items() if isinstance(metrics, Mapping) else [("", None)]:
        if not isinstance(value, Real) or not math.isfinite(value):
            raise ImproperError(f"metrics gave {metrics!r:.200}, which does not name finite numbers")
        found[f"env/{name}"] = float(value)
    return found


def _number(name: str, value: object) -> float:
    if not isinstance(value, Real):
        raise ImproperError(f"{name} gave the reward {value!r}, which is no number")
    return float(value)


def truth(name: str, value: object) -> bool:
    """`value`, which the environment's method `name` gave; ImproperError unless it is true or false."""
    # NumPy's own are no `bool`.
    if not isinstance(value, bool) and type(value).__name__ not in ("bool", "bool_"):
        raise ImproperError(f"{name} gave {value!r}, which is neither true nor false")
    return bool(value)


def _choose(totals: dict[int, float], seat: Seat, turn: int) -> int | None:
    """The candidate that goes on: of those with a reward the best, ties by the seed, or else the first."""
    if not totals:
        return None
    if not seat.settings.greedy:
        return min(totals)
    best = max(totals.values())
    equal = [candidate for candidate, total in totals.items() if total == best]
    return equal[0] if len(equal) == 1 else random.Random(seat.seed(turn, "choice")).choice(equal)
