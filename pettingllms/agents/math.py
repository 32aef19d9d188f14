"""The roles of `math_env`: write a program, reason to an answer, verify it, choose among several."""

from __future__ import annotations

import re
from collections.abc import Hashable

from pettingllms.agents.base import Agent
from pettingllms.agents.single import ActingFor
from pettingllms.envs.base import Outcome
from pettingllms.envs.grading import final_answer, last_box, opinion_of
from pettingllms.envs.math import MathEnv

_PROGRAM = re.compile(r"```(?:python)?[ \t]*\n(.*?)```", re.DOTALL)


class ToolGenerator(Agent):
    """Answers with one fenced Python program that prints the result."""

    runs_programs = True
    system_prompt = "Write one short Python program that prints the answer, in a ```python block."

    def observe(self, env: MathEnv) -> str:
        """The question; after the first round also the last program's output and the team's answer."""
        return env.question + _history(env)

    def act(self, env: MathEnv, text: str) -> Outcome:
        """Run the first fenced program of `text`."""
        return env.run(_program(text))

    def opinion(self, env: MathEnv, text: str) -> Hashable | None:  # noqa: ARG002 - the base class's
        """The program as it is written; it is not run to find out what it prints."""
        return (_program(text) or "").strip() or None


class ReasoningGenerator(Agent):
    r"""Answers with `\boxed{answer}`, having seen what the program printed."""

    system_prompt = "Give the final answer in \\boxed{}."

    def observe(self, env: MathEnv) -> str:
        """The question and the program's output."""
        return env.question + _history(env)

    def act(self, env: MathEnv, text: str) -> Outcome:
        """Propose the last boxed answer of `text`."""
        return env.propose(final_answer(text))

    def opinion(self, env: MathEnv, text: str) -> Hashable | None:  # noqa: ARG002 - the base class's
        """The last boxed answer; different ways to write one number are one opinion."""
        return opinion_of(final_answer(text))


class Verifier(Agent):
    r"""Says whether the proposed answer is right: `\boxed{yes}` or `\boxed{no}`."""

    system_prompt = "Is the proposed answer right? Reply \\boxed{yes} or \\boxed{no}."

    def observe(self, env: MathEnv) -> str:
        """The question, the program's output and the proposed answer."""
        return env.question + _history(env)

    def act(self, env: MathEnv, text: str) -> Outcome:
        """Judge by the last boxed word of `text`."""
        return env.judge(_verdict(text))

    def opinion(self, env: MathEnv, text: str) -> Hashable | None:  # noqa: ARG002 - the base class's
        """The verdict."""
        return _verdict(text)


class SampleReasoner(ReasoningGenerator):
    """Answers with a box, as one of several whose answers an aggregator sees; knows the question only."""

    def observe(self, env: MathEnv) -> str:
        """The question: what others answered does not matter to it."""
        return env.question

    def act(self, env: MathEnv, text: str) -> Outcome:
        """Offer the last boxed answer of `text`."""
        return env.offer(final_answer(text))


class SampleTool(ToolGenerator):
    """Answers with a program, as one of several; what it prints last is offered to the aggregator."""

    def observe(self, env: MathEnv) -> str:
        """The question: what others answered does not matter to it."""
        return env.question

    def act(self, env: MathEnv, text: str) -> Outcome:
        """Run the first fenced program of `text`, and offer what it prints last."""
        outcome = env.run(_program(text))
        if env.output is not None:
            env.candidates += (env.output,)
        return outcome


class Aggregator(ReasoningGenerator):
    """Gives the final answer, having seen those of all who answered before."""

    system_prompt = "Several answers were given, and some may be wrong. Give the right one in \\boxed{}."

    def observe(self, env: MathEnv) -> str:
        """The question and all answers that were offered, in the order in which they came."""
        if not env.candidates:
            return f"{env.question} Nobody gave an answer."
        return f"{env.question} Given answers: {', '.join(map(_short, env.candidates))}."


class SelfVerifyingReasoner(ActingFor):
    """Answers, judges its own answer, and answers anew until it approves."""

    def role(self, env: MathEnv) -> str:
        """A verdict comes after an answer, and another answer after one that was not approved."""
        return "verifier" if env.answer is not None and env.approved is None else "reasoning_generator"

    def skips(self, env: MathEnv) -> bool:
        """Nothing is left to do once the agent approves its own answer."""
        return env.approved is True

    def act(self, env: MathEnv, text: str) -> Outcome:
        """As the role; but of verdicts on its own answers a false one, or none, costs 1, to reject a wrong
        one is worth nothing. Else wrong answers, rejected again and again, would earn more than a right one.
        """
        judging = self.role(env) == "verifier"
        outcome = super().act(env, text)
        if not judging:
            return outcome
        true = env.approved is not None and env.approved == env.success()
        return outcome._replace(local=float(env.approved is True) if true else -1.0)


def _program(text: str) -> str | None:
    """The first fenced program of `text`."""
    fenced = _PROGRAM.search(text)
    return fenced.group(1) if fenced else None


def _verdict(text: str) -> bool | None:
    """What the last boxed word of `text` says."""
    return {"yes": True, "no": False}.get((last_box(text) or "").strip().lower())


def _history(env: MathEnv) -> str:
    """What the other agents did so far, one short sentence each; nothing before the first action."""
    parts = []
    if env.program is not None or env.output is not None:
        parts.append(
            f" A program printed {_short(env.output)}." if env.output is not None else " The program failed."
        )
    if env.answer is not None:
        parts.append(f" The proposed answer is {_short(env.answer)}.")
    if env.approved is not None:
        parts.append(" The verifier " + ("agrees." if env.approved else "disagrees."))
    return "".join(parts)


def _short(text: str) -> str:
    """At most 200 characters, all of them whole: a program's last line may be 64 kB of anything."""
    cut = text if len(text) <= 200 else f"{text[:100]} … {text[-100:]}"
    return cut.encode("utf-8", errors="replace").decode("utf-8")
