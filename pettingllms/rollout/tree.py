"""`tree` rollout: at each turn K candidates from one state; one of them goes on.

With K = 1 it is plain sampling, which validation uses: it never branches.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from pettingllms.envs.base import Env
from pettingllms.errors import RolloutError
from pettingllms.rollout.engine import Engine
from pettingllms.rollout.prompts import Tokenizer, fit_prompt
from pettingllms.rollout.seeds import derive
from pettingllms.rollout.team import Member, Team
from pettingllms.types import (
    Completion,
    Episode,
    Request,
    Reward,
    Sample,
    StopReason,
    Task,
    TokenSampling,
    Turn,
)


@dataclass(frozen=True, slots=True)
class TreeSettings:
    """How episodes are played.

    `candidates`: K. `reward_alpha`: weight of the team reward. `greedy`: the best rewarded candidate
    goes on, else the first. `resolve`: an episode ends when its agents consider it solved.
    `together`: all environments are set up at the start, else each when it first acts.
    `evaluation`: agents use their evaluation sampling.
    """

    candidates: int
    reward_alpha: float
    greedy: bool
    resolve: bool
    together: bool
    evaluation: bool
    seed: int


@dataclass(slots=True)
class _Play:
    """An episode under way; `place` tells apart several plays of one task."""

    task: Task
    place: int
    env: Env | None = None
    turns: list[Turn] = field(default_factory=list)
    cut_prompts: int = 0
    stop: StopReason | None = None


@dataclass(frozen=True, slots=True)
class TreeRollout:
    """Plays tasks with a team. `workers`: threads in which actions are carried out."""

    team: Team
    engine: Engine
    tokenizer: Tokenizer
    make_env: Callable[[Task], Env]
    workers: int

    def play(
        self, tasks: Sequence[Task], settings: TreeSettings, on_turn: Callable[[int, int], None]
    ) -> list[Episode]:
        """Play every task once, all of them turn by turn; returns the episodes in the tasks' order.

        `on_turn(done, total)` is called after each turn. Later agents see what earlier agents of the
        same round did, as each turn's state is the chosen candidate's.
        """
        plays = [_Play(task, place) for place, task in enumerate(tasks)]
        if settings.together:
            for play in plays:
                play.env = self.make_env(play.task)
        for turn in range(self.team.max_turns):
            active = [play for play in plays if play.stop is None]
            if not active:
                break
            self._turn(turn, active, settings)
            on_turn(turn + 1, self.team.max_turns)
        return [_episode(play) for play in plays]

    def _turn(self, turn: int, plays: Sequence[_Play], settings: TreeSettings) -> None:
        """One agent acts in every play: prompt, sample K, step each on a copy, one goes on."""
        member = self.team.at(turn)
        sampling = member.evaluation if settings.evaluation else member.train
        requests = []
        for play in plays:
            if play.env is None:
                play.env = self.make_env(play.task)
            ids, cut = fit_prompt(self.tokenizer, member.agent.messages(play.env), member.prompt_limit)
            play.cut_prompts += cut
            requests += [
                Request(member.policy, ids, sampling, self._seed(settings, play, turn, candidate))
                for candidate in range(settings.candidates)
            ]
        completions = self.engine.generate(requests)
        attempts = [
            (plays[index // settings.candidates], request, completion)
            for index, (request, completion) in enumerate(zip(requests, completions, strict=True))
        ]
        with ThreadPoolExecutor(self.workers) as pool:
            tried = list(pool.map(lambda attempt: self._try(member, sampling, settings, *attempt), attempts))
        for index, play in enumerate(plays):
            begin = index * settings.candidates
            candidates = tried[begin : begin + settings.candidates]
            samples = tuple(sample for sample, _ in candidates)
            chosen = self._choose(samples, settings, play, turn)
            prompt = requests[begin].prompt_ids
            play.turns.append(
                Turn(turn, member.name, member.policy, prompt, self.tokenizer.decode(prompt), samples, chosen)
            )
            play.env = candidates[chosen][1]
            if settings.resolve and play.env.solved():
                play.stop = StopReason.SOLVED

    def _try(
        self,
        member: Member,
        sampling: TokenSampling,
        settings: TreeSettings,
        play: _Play,
        request: Request,
        completion: Completion,
    ) -> tuple[Sample, Env]:
        """Carry out one candidate on its own copy of the state."""
        assert play.env is not None
        text = _before_stop(self.tokenizer.decode(completion.token_ids), sampling.stop)
        env = play.env.copy()
        try:
            outcome = member.agent.act(env, text)
            team, success = env.team_reward(), env.success()
        except Exception as cause:
            raise RolloutError(
                f"agent {member.name!r} failed on task {play.task.id}: {type(cause).__name__}: {cause}"
            ) from cause
        reward = Reward(outcome.local, team, settings.reward_alpha * team + outcome.local, outcome.reason)
        return Sample(completion, text, request.seed, reward, success), env

    def _choose(self, samples: Sequence[Sample], settings: TreeSettings, play: _Play, turn: int) -> int:
        if not settings.greedy:
            return 0
        best = max(sample.reward.total for sample in samples)
        places = [place for place, sample in enumerate(samples) if sample.reward.total == best]
        return random.Random(self._seed(settings, play, turn, -1)).choice(places)

    def _seed(self, settings: TreeSettings, play: _Play, turn: int, candidate: int) -> int:
        return derive(settings.seed, play.task.id, play.place, turn, candidate)


def _before_stop(text: str, stops: Sequence[str]) -> str:
    """What the agent reads: the text before the first stop string; the trained tokens keep it."""
    return text[: min((place for stop in stops if (place := text.find(stop)) >= 0), default=len(text))]


def _episode(play: _Play) -> Episode:
    assert play.env is not None
    return Episode(
        task=play.task,
        turns=tuple(play.turns),
        success=play.env.success(),
        stop_reason=play.stop or StopReason.MAX_TURNS,
        metrics={"cut_prompts": play.cut_prompts},
    )
