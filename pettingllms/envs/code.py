"""`code_env`: a problem, a program that solves it, tests that tell right programs from wrong ones."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field

from pettingllms.config.data import DataOptions
from pettingllms.data.rows import BadRowError
from pettingllms.envs import DATASETS, code_rows
from pettingllms.envs.base import Env, Outcome
from pettingllms.envs.code_cases import Attempt, Case, Judge, cases_of
from pettingllms.envs.code_compare import CompareMode, constant_share
from pettingllms.envs.code_mutants import mutants
from pettingllms.process import usable_cores
from pettingllms.sandbox.programs import (
    MAX_MEMORY_MIB,
    MAX_SECONDS,
    ProgramLimits,
    ProgramResult,
    ProgramStatus,
)
from pettingllms.types import Split, Task

_log = logging.getLogger(__name__)

RIVALS = 4
"""Wrong programs that a generated test is tried on, beside the team's own."""


class CodeOptions(DataOptions):
    """`env.options` of `code_env`."""

    levels: list[Literal[1, 2, 3]] = Field(default=[1, 2, 3], min_length=1)
    """Which problems of `builtin:code` are played: 1 takes a line or two, 3 an algorithm."""
    validation_size: int = Field(16, ge=1)
    """Validation tasks, where `env.dataset` has none of its own: held out of those for training."""
    test_size: int = Field(16, ge=0)
    """Test tasks, measured before the first and after the last step and never used to choose anything; held
    out as those for validation are."""
    team: Literal["pass_ratio", "all_pass"] = "pass_ratio"
    """What a program earns. `pass_ratio`: the share of hidden tests that it passes; `all_pass`: 1 or 0."""
    constant_output: Literal["subtract", "keep"] = "subtract"
    """What always giving the most frequent output earns, as a program or as a test. `subtract`: nothing; the
    share above it is stretched to [0, 1]. `keep`: as much as it is right."""
    compare: CompareMode = "lines"
    """`lines`: outputs are compared line by line; `tokens`: as if all white space were one blank."""
    max_tests: int | None = Field(None, ge=1)
    """Hidden tests of a task that are used, the first ones. Default: all."""
    max_generated_tests: int = Field(10, ge=1)
    """Tests of one answer that count, the first ones."""
    verified_tests: int = Field(4, ge=0)
    """Hidden tests that the known solution of a row has to pass, the first ones; 0: it is taken on trust."""
    format_reward: float = Field(0.0, ge=-1, le=0)
    """Local reward of an answer that cannot be read: no program or several, no test in the right form."""
    seconds: float = Field(5.0, gt=0, le=MAX_SECONDS)
    """Wall-clock limit of one run of a program, at most an hour; a task may set less."""
    memory_mib: int = Field(512, ge=64, le=MAX_MEMORY_MIB)
    """Address-space limit of one run, at most 1 TiB."""


class Mismatch(NamedTuple):
    """A generated test that the team's program fails."""

    case: Case
    attempt: Attempt


class CodeEnv(Env):
    """One programming problem; solved when the last program passes all hidden tests.

    `Task.data`: `question`; `tests`, hidden, and `samples`, shown in the question: lists of mappings with
    `input` and `output`; `function`, what to call, or None for whole programs; `golden`, a right program, or
    None where none is known; `wrong`, a list of wrong ones; `tolerance` of numbers and `seconds` of a run,
    or None.
    """

    Options = CodeOptions
    rows = staticmethod(code_rows.own)
    runs_programs = True
    hidden = ("tests", "golden", "wrong")
    only_for: ClassVar = {"levels": ("builtin:code",)}

    def __init__(self, task: Task, options: CodeOptions) -> None:
        super().__init__(task, options)
        self.question: str = task.data["question"]
        self.cases = cases_of(task.data["tests"])[: options.max_tests]
        self.constant_share = constant_share(case.output for case in self.cases)
        self.program: str | None = None
        self.generated: tuple[Case, ...] = ()
        self.mismatches: tuple[Mismatch, ...] = ()
        self._passed = 0

    @classmethod
    def tasks(cls, dataset: str, split: Split, options: CodeOptions, seed: int) -> Sequence[Task]:
        """All tasks of `split` of a set of our own; the names of these are in `DATASETS`."""
        tasks: Sequence[Task] = DATASETS.load(dataset)(split, options, seed)
        return tasks

    @classmethod
    def verify(cls, data: Sequence[Mapping[str, Any]], options: CodeOptions) -> Sequence[BadRowError | None]:
        """Run the known solution of each row on its first `verified_tests` hidden tests.

        Logs how many tasks lose tests to `max_tests`, and how many the same output for all inputs would half
        solve. Raises InfrastructureError.
        """
        if cut := sum(len(one["tests"]) > (options.max_tests or len(one["tests"])) for one in data):
            _log.warning("%d of %d tasks: only the first max_tests hidden tests are used", cut, len(data))
        # Linting imports this module, too, and verifies nothing.
        from concurrent.futures import ThreadPoolExecutor

        shares = [constant_share(test["output"] for test in one["tests"]) for one in data]
        if easy := sum(share > 0.5 for share in shares):
            _log.warning(
                "%d of %d tasks: a program that always prints the same passes more than half of the hidden "
                "tests; env.options.constant_output says what it earns",
                easy,
                len(data),
            )
        with ThreadPoolExecutor(usable_cores()) as threads:
            return list(threads.map(lambda one: _fault(one, options), data))

    def copy(self) -> Self:
        """A copy; every attribute is immutable, so sharing them is safe."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def submit(self, program: str | None, missing: str = "no_program") -> Outcome:
        """Take `program` as the team's answer, run it on the hidden and on the generated tests.

        Local reward: the same as the team's. `missing`: the reason code where there is no program, which
        earns `format_reward`. Raises InfrastructureError.
        """
        self.program, self.mismatches, self._passed = program, (), 0
        if program is None:
            return Outcome(self.options.format_reward, missing)
        attempts = _judge(self.task.data, self.options).attempts(program, self.cases)
        self._passed = sum(attempt.passed for attempt in attempts)
        self._compare_generated()
        failed = next((attempt for attempt in attempts if not attempt.passed), None)
        return Outcome(self.team_reward(), "passed" if failed is None else failed.reason)

    def propose(self, cases: Sequence[Case] | None) -> Outcome:
        """Take `cases` as the tests of the tester; None where its answer has not the right form.

        Copies of the samples and of each other are left out (`_fresh`, `_unpadded`), and at most the first
        `max_generated_tests` count. Local reward: valid_ratio * (0.5 + 0.5 * kill_ratio). A test is valid
        when the known solution gives what it expects; as with programs, `constant_output` says whether the
        share that always expecting the same would reach counts. It kills when a known wrong program does not
        give it: one of the task's, or else of small changes of the solution, or the team's own program where
        that fails hidden tests. None where no solution is known. Whether the team's program passes the tests
        earns nothing. Raises InfrastructureError. Source: the idea of CURE (arXiv:2506.03136), which rewards
        a test for telling right programs from wrong ones.
        """
        self.generated, self.mismatches = (), ()
        if cases is None:
            return Outcome(self.options.format_reward, "no_tests")
        fresh, golden = self._fresh(cases), self.task.data["golden"]
        if golden is None:
            self.generated = fresh
            self._compare_generated()
            return Outcome(None, "no_known_solution")
        judge = _judge(self.task.data, self.options)
        answered = self._unpadded(fresh, judge.outputs(golden, [case.input for case in fresh]), judge)
        self.generated = tuple(case for case, _ in answered)
        self._compare_generated()
        if not self.generated:
            return Outcome(0.0, "no_new_tests")
        valid = [case for case, result in answered if judge.attempt(case, result).passed]
        if not valid:
            return Outcome(0.0, "no_valid_test")
        rivals = list(self.task.data["wrong"][:RIVALS]) or mutants(golden, RIVALS)
        if self.program is not None and not self.success():
            rivals.append(self.program)
        kill_ratio = sum(judge.killed(rivals, valid)) / len(valid)
        valid_ratio = len(valid) / len(self.generated)
        # Where all hidden tests expect the same, they say nothing of what other inputs would give.
        counted = valid_ratio if self.constant_share == 1 else self._above_constant(valid_ratio)
        local = counted * (0.5 + 0.5 * kill_ratio)
        return Outcome(local, "valid_tests" if valid_ratio == 1 else "some_invalid_tests")

    def team_reward(self) -> float:
        """What the program earns on the hidden tests, as the options `team` and `constant_output` say."""
        ratio = self._passed / len(self.cases)
        if self.options.team == "all_pass":
            ratio = float(ratio == 1)
        return self._above_constant(ratio)

    def success(self) -> bool:
        """Whether the program passes all hidden tests."""
        return self._passed == len(self.cases)

    def solved(self) -> bool:
        """The program passes all tests of the tester, right or not."""
        return self.program is not None and bool(self.generated) and not self.mismatches

    def metrics(self) -> Mapping[str, float]:
        """`agreement`: whether program and generated tests agree; `agreed_but_wrong`: … and the program is
        wrong. Their means tell how far agents collude; no reward depends on them.
        """
        if not self.generated:
            return {}
        agreed = self.solved()
        return {"agreement": float(agreed), "agreed_but_wrong": float(agreed and not self.success())}

    def _above_constant(self, ratio: float) -> float:
        """`ratio`, or what of it is above the share of hidden tests that expect the most frequent output."""
        if self.options.constant_output == "keep":
            return ratio
        above = ratio - self.constant_share
        return max(0.0, above / (1 - self.constant_share)) if self.constant_share < 1 else 0.0

    def _compare_generated(self) -> None:
        """Run the program on the tester's tests."""
        if self.program is None or not self.generated:
            return
        attempts = _judge(self.task.data, self.options).attempts(self.program, self.generated)
        pairs = zip(self.generated, attempts, strict=True)
        self.mismatches = tuple(Mismatch(case, attempt) for case, attempt in pairs if not attempt.passed)

    def _fresh(self, cases: Sequence[Case]) -> tuple[Case, ...]:
        """The tests that count: no copies of the samples, each input once, and something has to be said."""
        known = {case.key for case in cases_of(self.task.data["samples"])}
        new: dict[tuple[str, ...], Case] = {}
        for case in cases:
            if (key := case.key) not in known and not case.blank:
                new.setdefault(key, case)
        return tuple(new.values())[: self.options.max_generated_tests]

    def _unpadded(
        self, cases: Sequence[Case], results: Sequence[ProgramResult], judge: Judge
    ) -> list[tuple[Case, ProgramResult]]:
        """Tests, and what the known solution gives for them, but for those that only add to another test.

        Their input begins with all tokens of a sample or of a test before, and the solution gives for it what
        it gives for that one: what was added is not read.
        """
        earlier = [(sample.key, sample) for sample in cases_of(self.task.data["samples"])]
        kept: list[tuple[Case, ProgramResult]] = []
        for case, result in zip(cases, results, strict=True):
            key, attempt = case.key, judge.attempt(case, result)
            if any(
                key[: len(begun)] == begun and judge.attempt(one, result).passed for begun, one in earlier
            ):
                continue
            kept.append((case, result))
            if attempt.status is ProgramStatus.OK:
                earlier.append((key, Case(case.input, attempt.output)))
        return kept


def _judge(data: Mapping[str, Any], options: CodeOptions) -> Judge:
    """How programs of the task with this data are run and compared."""
    outputs = [test["output"] for test in data["tests"]]
    longest = max((len(output) for output in outputs if isinstance(output, str)), default=0)
    limits = ProgramLimits(
        seconds=min(data["seconds"] or options.seconds, options.seconds),
        memory_mib=options.memory_mib,
        output_bytes=max(64 * 1024, 2 * longest),
    )
    return Judge(data["function"], limits, data["tolerance"], options.compare)


def _fault(data: Mapping[str, Any], options: CodeOptions) -> BadRowError | None:
    """Why the known solution of a row is none; None where it passes, and where there is none."""
    if data["golden"] is None:
        return None
    cases = cases_of(data["tests"][: options.verified_tests])
    attempts = _judge(data, options).attempts(data["golden"], cases)
    failed = [(number, one.reason) for number, one in enumerate(attempts, 1) if not one.passed]
    if not failed:
        return None
    number, reason = failed[0]
    return BadRowError("golden_fails", f"the solution fails hidden test {number} ({reason})")
