"""`math_env`: a question, a program that computes, an answer that is reasoned, a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from pettingllms.config.data import DataOptions
from pettingllms.envs import DATASETS, math_rows
from pettingllms.envs.base import Env, Outcome
from pettingllms.envs.grading import same_answer
from pettingllms.sandbox.pool import run_programs
from pettingllms.sandbox.programs import MAX_MEMORY_MIB, MAX_SECONDS, Program, ProgramLimits, ProgramStatus
from pettingllms.types import Split, Task


class MathOptions(DataOptions):
    """`env.options` of `math_env`."""

    digits: int = Field(2, ge=1, le=6)
    """Digits of each number of `builtin:arithmetic`."""
    operations: list[Literal["+", "-", "*"]] = Field(default=["+"], min_length=1)
    """Operations of `builtin:arithmetic`."""
    train_size: int = Field(1024, ge=1)
    """Training problems of `builtin:arithmetic`."""
    tool_error_reward: float = Field(-1.0, ge=-1, le=0)
    """Local reward of a program that is missing, crashes, or runs out of time, memory or output."""
    tool_seconds: float = Field(5.0, gt=0, le=MAX_SECONDS)
    """Wall-clock limit of one program, at most an hour."""
    tool_memory_mib: int = Field(256, ge=64, le=MAX_MEMORY_MIB)
    """Address-space limit of one program, at most 1 TiB."""


class MathEnv(Env):
    """One mathematical question; solved when the last boxed answer equals the reference."""

    Options = MathOptions
    rows = staticmethod(math_rows.own)
    hidden = ("answer",)

    def __init__(self, task: Task, options: MathOptions) -> None:
        super().__init__(task, options)
        self.question: str = task.data["question"]
        self.program: str | None = None
        self.output: str | None = None
        self.answer: str | None = None
        self.approved: bool | None = None

    @classmethod
    def tasks(cls, dataset: str, split: Split, options: MathOptions, seed: int) -> Sequence[Task]:
        """All tasks of `split` of a generated set; the names of these are in `DATASETS`."""
        tasks: Sequence[Task] = DATASETS.load(dataset)(split, options, seed)
        return tasks

    def run(self, program: str | None) -> Outcome:
        """Run the tool agent's program and keep what it printed last.

        Local reward: 1 when that is the right answer, 0 when it is wrong,
        `tool_error_reward` when there is no program or it fails.
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
        return Outcome(1.0, "correct") if self._right(self.output) else Outcome(0.0, "wrong")

    def propose(self, answer: str | None) -> Outcome:
        """Take `answer` as the team's final answer. Local reward: 1 when right, else 0."""
        self.answer, self.approved = answer, None
        if answer is None:
            return Outcome(0.0, "no_answer")
        return Outcome(1.0, "correct") if self._right(answer) else Outcome(0.0, "wrong")

    def judge(self, approved: bool | None) -> Outcome:
        """Take the verifier's verdict on the proposed answer. Local reward: 1 when the verdict is true."""
        self.approved = approved
        if approved is None:
            return Outcome(0.0, "no_verdict")
        return Outcome(1.0, "correct") if approved == self.success() else Outcome(0.0, "wrong")

    def success(self) -> bool:
        """Whether the final answer is right."""
        return self.answer is not None and self._right(self.answer)

    def solved(self) -> bool:
        """The verifier approves, or program and reasoning agree."""
        if self.approved is not None:
            return self.approved
        return self.answer is not None and self.output is not None and same_answer(self.output, self.answer)

    def _right(self, answer: str) -> bool:
        return same_answer(self.task.data["answer"], answer)
