"""The roles of `math_env`: write a program, reason to an answer, verify the answer."""

from __future__ import annotations

import re
from collections.abc import Hashable

from pettingllms.agents.base import Agent
from pettingllms.envs.base import Outcome
from pettingllms.envs.grading import last_box, number
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
        return env.propose(last_box(text))

    def opinion(self, env: MathEnv, text: str) -> Hashable | None:  # noqa: ARG002 - the base class's
        """The last boxed answer; different ways to write one number are one opinion."""
        answer = (last_box(text) or "").strip()
        value = number(answer)
        return (answer or None) if value is None else value


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
