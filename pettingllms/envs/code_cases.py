"""Tests of a programming task, and what a program of it did with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pettingllms.envs.code_compare import CompareMode, input_tokens, same_output, same_value
from pettingllms.sandbox.pool import run_programs
from pettingllms.sandbox.programs import Call, Program, ProgramLimits, ProgramResult, ProgramStatus

BATCH = 32
"""Runs that are asked for at one time."""
ENOUGH_TIMEOUTS = 3
"""After a batch in which a program has run out of time so often, its other tests count as failed unrun."""
PRELUDE = "from typing import *\nimport bisect, collections, functools, heapq, itertools, math, re, string\n"
"""What a function may use without importing it; the problems that ask for one are stated with it in place."""


class Case(NamedTuple):
    """One test. `input`: the text to read, or the arguments of the function; `output`: what shall come."""

    input: Any
    output: Any

    @property
    def key(self) -> tuple[str, ...]:
        """The tokens of the input: the same for inputs that differ in white space or spelling of numbers."""
        return input_tokens(self.input)

    @property
    def blank(self) -> bool:
        """Nothing is read and nothing shall be printed."""
        return not self.key and not str(self.output).strip()


class Attempt(NamedTuple):
    """What a program did with one test. `output`: what it printed or returned."""

    status: ProgramStatus
    output: Any
    passed: bool

    @property
    def reason(self) -> str:
        """Why the test counts as it does."""
        if self.passed:
            return "passed"
        return "wrong" if self.status is ProgramStatus.OK else f"program_{self.status}"


def cases_of(rows: Iterable[Mapping[str, Any]]) -> tuple[Case, ...]:
    """The tests that `Task.data` holds as mappings of `input` and `output`."""
    return tuple(Case(row["input"], row["output"]) for row in rows)


@dataclass(frozen=True, slots=True)
class Judge:
    """How the programs of one task are run, and when a test is passed.

    `function`: what to call, where the task asks for a function and not for a whole program. `limits`: of
    one run. `tolerance`: how far numbers may be apart, None where they have to be equal.
    """

    function: str | None
    limits: ProgramLimits
    tolerance: float | None
    mode: CompareMode

    def outputs(self, source: str, inputs: Sequence[Any]) -> list[ProgramResult]:
        """What the program gives for each input; all are run. Raises InfrastructureError."""
        return run_programs([self._program(source, one) for one in inputs], self.limits)

    def attempts(self, source: str, cases: Sequence[Case]) -> list[Attempt]:
        """What the program does with each test, in order. Raises InfrastructureError.

        A program that has run out of time `ENOUGH_TIMEOUTS` times is not run any more: what is left counts
        as out of time.
        """
        done: list[Attempt] = []
        for batch in _batches(cases):
            if sum(one.status is ProgramStatus.TIMEOUT for one in done) >= ENOUGH_TIMEOUTS:
                done += [Attempt(ProgramStatus.TIMEOUT, "", passed=False) for _ in batch]
                continue
            results = self.outputs(source, [case.input for case in batch])
            done += [self.attempt(case, result) for case, result in zip(batch, results, strict=True)]
        return done

    def killed(self, rivals: Sequence[str], cases: Sequence[Case]) -> list[bool]:
        """Whether at least one of the programs `rivals` fails each test. Raises InfrastructureError."""
        jobs = [(case, self._program(rival, case.input)) for case in cases for rival in rivals]
        results = run_programs([program for _, program in jobs], self.limits)
        failed = {
            case.key
            for (case, _), result in zip(jobs, results, strict=True)
            if not self.attempt(case, result).passed
        }
        return [case.key in failed for case in cases]

    def attempt(self, case: Case, result: ProgramResult) -> Attempt:
        """What the result of a run is for a test."""
        if self.function is None:
            same = same_output(case.output, result.stdout, tolerance=self.tolerance, mode=self.mode)
            return Attempt(result.status, result.stdout, same and result.status is ProgramStatus.OK)
        same = same_value(case.output, result.value, tolerance=self.tolerance)
        return Attempt(result.status, result.value, same and result.status is ProgramStatus.OK)

    def _program(self, source: str, given: Any) -> Program:
        if self.function is None:
            return Program(source, stdin=given)
        return Program(PRELUDE + source, call=Call(self.function, given))


def _batches(cases: Sequence[Case]) -> Iterator[Sequence[Case]]:
    for begin in range(0, len(cases), BATCH):
        yield cases[begin : begin + BATCH]
