"""`math_env`: a question, programs that compute, answers that are reasoned and gathered, a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from pettingllms.config.data import DataOptions
from pettingllms.envs import DATASETS, math_rows, reasoning
from pettingllms.envs.base import Env, Outcome
from pettingllms.envs.grading import Gold, Verdict, grade, same_answer
from pettingllms.sandbox.pool import run_programs
from pettingllms.sandbox.programs import MAX_MEMORY_MIB, MAX_SECONDS, Program, ProgramLimits, ProgramStatus
from pettingllms.types import Split, Task


class MathOptions(DataOptions):
    """`env.options` of `math_env`."""

    digits: int = Field(2, ge=1, le=6)
    """Digits of each number of `builtin:arithmetic`."""
    operations: list[Literal["+", "-", "*"]] = Field(default=["+"], min_length=1)
    """Operations of `builtin:arithmetic`."""
    unknowns: Literal[2, 3] = 2
    """Unknowns of each system of `builtin:linear_systems`."""
    train_size: int = Field(1024, ge=1)
    """Training problems of sets that are made: `builtin:` and `reasoning_gym:`."""
    require_simplified: bool | None = None
    """Whether an answer that is a number has to be written as one: `6*7` is wrong then where 42 is right.
    Default: true for sets that are made, whose questions could be repeated as an answer; false for others."""
    tool_error_reward: float = Field(-1.0, ge=-1, le=0)
    """Local reward of a program that is missing, crashes, or runs out of time, memory or output."""
    tool_seconds: float = Field(5.0, gt=0, le=MAX_SECONDS)
    """Wall-clock limit of one program, at most an hour."""
    tool_memory_mib: int = Field(256, ge=64, le=MAX_MEMORY_MIB)
    """Address-space limit of one program, at most 1 TiB."""


class MathEnv(Env):
    """One mathematical question; solved when the team's final answer equals the reference.

    `Task.data`: `question` and `answer`; and where a dataset has them, `tolerance`, `unit`, `ordered` and
    `simplified` (see `Gold`), and `scorer`, which task of reasoning-gym it is.
    """

    Options = MathOptions
    rows = staticmethod(math_rows.own)
    hidden = ("answer",)
    only_for: ClassVar = {
        "digits": ("builtin:arithmetic",),
        "operations": ("builtin:arithmetic",),
        "unknowns": ("builtin:linear_systems",),
        "train_size": ("builtin:", reasoning.PREFIX),
    }

    def __init__(self, task: Task, options: MathOptions) -> None:
        super().__init__(task, options)
        self.question: str = task.data["question"]
        self.program: str | None = None
        self.output: str | None = None
        self.candidates: tuple[str, ...] = ()
        self.answer: str | None = None
        self.approved: bool | None = None
        self._verdict: Verdict | None = None

    @classmethod
    def tasks(cls, dataset: str, split: Split, options: MathOptions, seed: int) -> Sequence[Task]:
        """All tasks of `split` of a set that is made: one of `DATASETS`, or `reasoning_gym:` and a name."""
        if dataset.startswith(reasoning.PREFIX):
            return reasoning.generate(dataset, split, options, seed)
        tasks: Sequence[Task] = DATASETS.load(dataset)(split, options, seed)
        return tasks

    def run(self, program: str | None) -> Outcome:
        """Run the tool agent's program and keep what it printed last.

        Local reward: 1 when that is the right answer, 0 when it is not, `tool_error_reward` when there is no
        program or it fails. Raises InfrastructureError.
        """
        self.program, self.output = program, None
        if program is None:
            return Outcome(self.options.tool_error_reward, "no_program")
        limits = ProgramLimits(seconds=self.options.tool_seconds, memory_mib=self.options.tool_memory_mib)
        (result,) = run_programs([Program(program)], limits)
        if result.status is not ProgramStatus.OK:
            return Outcome(self.options.tool_error_reward, f"program_{result.status}")
        lines = [line.strip() for line in result.stdout.splitlines() if line.strip()]
        if not lines:
            return Outcome(self.options.tool_error_reward, "no_output")
        self.output = lines[-1]
        return _outcome(self._grade(self.output))

    def offer(self, answer: str | None) -> Outcome:
        """Take `answer` as one of those that an aggregator chooses from; it is no final answer.

        Local reward: 1 when right, else 0. Raises InfrastructureError.
        """
        if answer is None:
            return Outcome(0.0, "no_answer")
        self.candidates += (answer,)
        return _outcome(self._grade(answer))

    def propose(self, answer: str | None) -> Outcome:
        """Take `answer` as the team's final answer. Local reward: 1 when right, else 0.

        Raises InfrastructureError.
        """
        self.answer, self.approved, self._verdict = answer, None, None
        if answer is None:
            return Outcome(0.0, "no_answer")
        self._verdict = self._grade(answer)
        return _outcome(self._verdict)

    def judge(self, approved: bool | None) -> Outcome:
        """Take the verifier's verdict on the proposed answer. Local reward: 1 when the verdict is true."""
        self.approved = approved
        if approved is None:
            return Outcome(0.0, "no_verdict")
        return Outcome(1.0, "correct") if approved == self.success() else Outcome(0.0, "wrong")

    def success(self) -> bool:
        """Whether the final answer is right."""
        return self._verdict is Verdict.CORRECT

    def solved(self) -> bool:
        """The verifier approves, or program and reasoning agree."""
        if self.approved is not None:
            return self.approved
        return self.answer is not None and self.output is not None and same_answer(self.output, self.answer)

    def metrics(self) -> Mapping[str, float]:
        """`grading_timeout`, `unparsable`: whether the final answer could not be compared, and why.

        Their means are shares of the episodes with a final answer. Such an answer earns nothing.
        """
        if self._verdict is None:
            return {}
        return {
            "grading_timeout": float(self._verdict is Verdict.TIMEOUT),
            "unparsable": float(self._verdict is Verdict.UNPARSABLE),
        }

    def _grade(self, answer: str) -> Verdict:
        scorer = self.task.data.get("scorer")
        if scorer is not None:
            simplified = self.options.require_simplified is not False
            return reasoning.scored(scorer, self.task.data["answer"], answer, simplified=simplified)
        return grade(Gold.of(self.task.data, simplified=self.options.require_simplified), answer)


def _outcome(verdict: Verdict) -> Outcome:
    return Outcome(float(verdict is Verdict.CORRECT), verdict.value)
