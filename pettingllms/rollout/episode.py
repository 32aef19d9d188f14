"""One play of a task as a script: who is prompted with which state, what goes on, and when it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from pettingllms.agents.base import Agent
from pettingllms.envs.base import Env
from pettingllms.rollout.border import Failed, ImproperError, guarded
from pettingllms.rollout.effects import Script, generate, run
from pettingllms.rollout.prompts import Tokenizer, fit_prompt
from pettingllms.rollout.settings import Seat
from pettingllms.rollout.team import Move, Team
from pettingllms.rollout.tree import Prompt, prompt_of, take_turn, truth
from pettingllms.types import Episode, Message, StopReason, Task, Turn

COUNTED = ("cut_prompts", "skipped_turns", "failed_generations", "failed_actions")
"""`Episode.metrics`: cut prompts, skipped turns, completions that the engine could not give, and actions that
the agent, the environment or the machinery around it let down; where a state could not even be shown, that is
one. Beside them `env/…`: what the environment measures in the state that the last action led to."""

PNG = b"\x89PNG\r\n\x1a\n"
"""How every PNG file begins."""


def set_up(make_env: Callable[[Task], Env], task: Task) -> Script[Env | Failed]:
    """The environment of `task`, or why there is none."""
    what = f"the environment of task {task.id} could not be set up"
    return (yield from run([partial(guarded, what, partial(make_env, task))]))[0]


def play_episode(
    team: Team,
    tokenizers: Mapping[str, Tokenizer],
    seat: Seat,
    start: Env | Failed,
    on_turn: Callable[[int], None],
) -> Script[Episode]:
    """Play `seat.task` from the state `start` on; `on_turn` is told how many turns are behind it.

    `tokenizers`: by policy. The prompts of turns that are together show the same state. Their requests are
    made at once; then agent by agent the candidates are tried on copies of the state in which the agents
    before it left it. Without an environment, where an agent cannot be shown it, and where all candidates
    of a turn fail, the episode ends as FAILED and keeps the turns before.
    """
    play = _Play(team, tokenizers, seat)
    if isinstance(start, Failed):
        play.fail(start)
    else:
        env = start
        for moves in team.moves():
            env = yield from play.together(moves, env, on_turn)
            on_turn(moves[-1].turn + 1)
            if play.stop is not None:
                break
        if play.success is None:
            what = f"the environment of task {seat.task.id} failed"
            (success,) = yield from run([partial(guarded, what, partial(_success, env))])
            play.success = success is True
    on_turn(team.max_turns)
    return Episode(
        task=seat.task,
        place=seat.place,
        branch=seat.branch,
        turns=tuple(play.turns),
        success=bool(play.success),
        stop_reason=play.stop or StopReason.MAX_TURNS,
        metrics=play.counts | play.measured,
        error=play.error,
    )


@dataclass(slots=True)
class _Play:
    """An episode under way. `success`: of the present state; None until an action led to it."""

    team: Team
    tokenizers: Mapping[str, Tokenizer]
    seat: Seat
    success: bool | None = None
    stop: StopReason | None = None
    error: str | None = None
    turns: list[Turn] = field(default_factory=list)
    counts: dict[str, float] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0.0))
    measured: dict[str, float] = field(default_factory=dict)

    def together(self, moves: Sequence[Move], env: Env, on_turn: Callable[[int], None]) -> Script[Env]:
        """Play turns whose prompts show the same state, `env`; return the state that they lead to."""
        prompts = yield from self._prompts(moves, env)
        completions = yield from generate([request for prompt in prompts for request in prompt.requests])
        solved, begin = False, 0
        for prompt in prompts:
            own, policy = completions[begin : begin + len(prompt.requests)], prompt.move.member.policy
            begin += len(own)
            turn, attempt = yield from take_turn(self.tokenizers[policy], self.seat, prompt, env, own)
            self.turns.append(turn)
            reasons = [sample.masked for sample in turn.samples]
            self.counts["failed_generations"] += reasons.count("generation_failed")
            self.counts["failed_actions"] += len(
                {sample.candidate for sample in turn.samples if sample.error is not None}
            )
            on_turn(turn.index + 1)
            if attempt is None:
                self.fail()
                return env
            env, self.success, solved = attempt.env, attempt.success, attempt.solved
            self.measured = attempt.metrics
        if solved:
            self.stop = StopReason.SOLVED
        return env

    def fail(self, unasked: Failed | None = None) -> None:
        """End the episode because all candidates failed, or because an action could not even be asked for."""
        if unasked is not None:
            self.counts["failed_actions"] += 1
            self.error = unasked.reason
        self.stop = StopReason.FAILED

    def _prompts(self, moves: Sequence[Move], env: Env) -> Script[list[Prompt]]:
        """What the agents of `moves` are asked about `env`; those that skip their turn are left out."""
        task = self.seat.task.id
        views = yield from run(
            [
                partial(
                    guarded,
                    f"{move.member.label} failed on task {task}",
                    partial(_view, move.member.agent, env),
                )
                for move in moves
            ]
        )
        prompts = []
        for move, view in zip(moves, views, strict=True):
            if isinstance(view, Failed):
                self.fail(view)
                return []
            if not view:
                self.counts["skipped_turns"] += 1
                continue
            fitted = fit_prompt(self.tokenizers[move.member.policy], view, move.member.prompt_limit)
            self.counts["cut_prompts"] += fitted.cut
            prompts.append(prompt_of(self.seat, move, fitted))
        return prompts


def _view(agent: Agent, env: Env) -> list[Message]:
    """The chat that shows `env` to `agent`; empty when it skips its turn.

    Raises ImproperError where it is no chat.
    """
    own = env.seen_by(agent)
    chat = [] if own is None or agent.skips(own) else agent.messages(own)
    if not all(isinstance(one, Message) and isinstance(one.content, str) for one in chat):
        raise ImproperError(f"the prompt is no list of messages with texts: {chat!r:.200}")
    images = [image for one in chat for image in one.images]
    if images and not (own is not None and own.multi_modal):
        raise ImproperError("the prompt holds images, and env.multi_modal is false")
    if not all(isinstance(image, bytes) and image.startswith(PNG) for image in images):
        raise ImproperError("the prompt holds an image that is no PNG file")
    try:
        for message in chat:
            message.content.encode("utf-8")
    except UnicodeEncodeError as error:
        # A tokenizer would raise, and end the run.
        raise ImproperError(f"the prompt holds half a character: {error.object[error.start]!r}") from None
    return chat


def _success(env: Env) -> bool:
    return truth("success", env.success())
