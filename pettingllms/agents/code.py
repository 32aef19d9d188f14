"""The roles of `code_env`: write a program, write tests, do both by turns."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Hashable
from typing import NamedTuple

from pettingllms.agents.base import Agent
from pettingllms.agents.single import ActingFor
from pettingllms.envs.base import Outcome
from pettingllms.envs.code import CodeEnv, Mismatch
from pettingllms.envs.code_cases import Case

_FENCED = re.compile(r"^```[ \t]*(\w*)[ \t]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
_CASE = re.compile(
    r"^\*\*Test Input:\*\*[ \t]*\n```\w*[ \t]*\n(.*?)^```[ \t]*\n\s*"
    r"^\*\*Test Output:\*\*[ \t]*\n```\w*[ \t]*\n(.*?)^```[ \t]*$",
    re.DOTALL | re.MULTILINE,
)
_PYTHON = ("python", "python3", "py")
SHOWN_MISMATCHES = 3
"""Failed tests that the writer of the program is shown."""
SHOWN_CHARACTERS = 400
"""Of each input and output in a prompt; more is cut in the middle."""
DEEPEST = 200
"""Opening brackets in an argument or a result that a test of a function holds; nesting costs stack."""


class Parsed(NamedTuple):
    """The program of an answer, or the reason code why there is none."""

    program: str | None
    missing: str = "no_program"


class CodeGenerator(Agent):
    """Answers with one fenced Python program; tests that the last one failed are shown."""

    system_prompt = "Write one Python program that solves the problem, in a ```python block."

    def observe(self, env: CodeEnv) -> str:
        """The problem; after the first round also the last program and what the tester's tests say of it."""
        return env.question + _last_program(env) + _mismatches(env)

    def act(self, env: CodeEnv, text: str) -> Outcome:
        """Submit the only fenced program of `text`."""
        return env.submit(*program_of(text))

    def opinion(self, env: CodeEnv, text: str) -> Hashable | None:  # noqa: ARG002 - the base class's
        """The program as it is written; it is not run to find out what it does."""
        return (program_of(text).program or "").strip() or None


class TestGenerator(Agent):
    """Answers with tests, each an input and what a right program gives for it."""

    system_prompt = (
        "Write tests for the problem. Write each test exactly like this:\n"
        "**Test Input:**\n```\nthe input\n```\n**Test Output:**\n```\nwhat a right program prints\n```"
    )

    def observe(self, env: CodeEnv) -> str:
        """The problem, and the program that shall be tested."""
        form = (
            "\n\nThe input of a test is a JSON list of the arguments, its output the result as JSON."
            if env.task.data["function"]
            else ""
        )
        return env.question + form + _last_program(env)

    def act(self, env: CodeEnv, text: str) -> Outcome:
        """Propose the tests of `text`."""
        return env.propose(cases_in(text, call=env.task.data["function"] is not None))

    def opinion(self, env: CodeEnv, text: str) -> Hashable | None:
        """The tests, in any order."""
        cases = cases_in(text, call=env.task.data["function"] is not None) or []
        return frozenset((case.key, json.dumps(case.output)) for case in cases) or None


class SelfVerifyingAgent(ActingFor):
    """Writes a program, then tests for it, and another program until it passes its own tests."""

    def role(self, env: CodeEnv) -> str:
        """Tests come after a program; a program that fails them is written anew."""
        return "test_generator" if env.program is not None and not env.mismatches else "code_generator"

    def skips(self, env: CodeEnv) -> bool:
        """Nothing is left to do once the program passes the agent's own tests."""
        return env.solved()


def program_of(text: str) -> Parsed:
    """The Python program of an answer: its only fenced block that is marked as Python.

    Where none is marked, the only block without a mark. Blocks marked otherwise do not count. Two programs
    are none: who offers several shall not earn by the best.
    """
    blocks = [(match.group(1).lower(), match.group(2)) for match in _FENCED.finditer(text)]
    programs = [block for mark, block in blocks if mark in _PYTHON]
    programs = programs or [block for mark, block in blocks if not mark]
    if len(programs) == 1:
        return Parsed(programs[0])
    return Parsed(None, "several_programs" if programs else "no_program")


def cases_in(text: str, *, call: bool = False) -> list[Case] | None:
    """The tests of an answer, or None where it holds none or one that has not the whole form.

    `call`: inputs are JSON lists of arguments, and outputs JSON.
    """
    found = _CASE.findall(text)
    marks = Counter(re.findall(r"\*\*Test (Input|Output):\*\*", text))
    if not found or marks != {"Input": len(found), "Output": len(found)}:
        return None
    if not call:
        return [Case(given, wanted) for given, wanted in found]
    if max(text.count(bracket) for text in itertools.chain(*found) for bracket in "[{") > DEEPEST:
        return None
    try:
        cases = [Case(json.loads(given), json.loads(wanted)) for given, wanted in found]
    except (ValueError, RecursionError):
        return None
    return cases if all(isinstance(case.input, list) for case in cases) else None


def _last_program(env: CodeEnv) -> str:
    if env.program is None:
        return ""
    return f"\n\nThe program so far:\n```python\n{env.program.strip()}\n```"


def _mismatches(env: CodeEnv) -> str:
    """What the tester's tests say of the last program; they may be wrong themselves."""
    if env.program is None or not env.generated:
        return ""
    if not env.mismatches:
        return "\nIt passes all tests."
    shown = "\n".join(_told(mismatch) for mismatch in env.mismatches[:SHOWN_MISMATCHES])
    return f"\nIt fails {len(env.mismatches)} of {len(env.generated)} tests:\n{shown}"


def _told(mismatch: Mismatch) -> str:
    case, attempt = mismatch
    gave = _short(attempt.output) if attempt.reason == "wrong" else f"failed ({attempt.status})"
    return f"Input:\n{_short(case.input)}\nExpected:\n{_short(case.output)}\nThe program gave:\n{gave}"


def _short(value: object) -> str:
    """At most about `SHOWN_CHARACTERS` of a text, or of how a value is written."""
    try:
        text = (value if isinstance(value, str) else repr(value)).strip()
    except ValueError:
        text = "a number of too many digits"
    # Halves of characters are no text that a model can read.
    text = text.encode("utf-8", errors="replace").decode()
    half = SHOWN_CHARACTERS // 2
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:half]} … {text[-half:]}"
