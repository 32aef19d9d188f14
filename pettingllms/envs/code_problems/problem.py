"""One built-in problem, and the tests that are made of it."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

HIDDEN = 12
"""Tests of a problem, as long as there are as many different inputs."""
DRAWS = 400
"""Inputs that are drawn at most."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with what its tests are made of.

    `level`: 1 takes a line or two, 2 a loop or a few cases, 3 an algorithm. `golden`: a right program, which
    reads with `input()` and writes with `print()` only; `wrong`: programs that fail some test. Programs are
    written indented. `draw`: a random input; `edges`: inputs that are always among the tests.
    """

    name: str
    level: int
    statement: str
    golden: str
    wrong: tuple[str, ...]
    draw: Callable[[Random], str]
    edges: tuple[str, ...] = ()

    def data(self) -> dict[str, Any]:
        """`Task.data` of `code_env`, the same each time.

        The golden program makes the outputs. The first input drawn is the sample, the others are hidden; no
        output is that of more than half of the hidden tests.
        """
        golden = _program(self.golden)
        code = compile(golden, self.name, "exec")
        sample, *hidden = self._tests(code)
        shown = f"Example input:\n{sample['input']}Example output:\n{sample['output']}"
        return {
            "id": self.name,
            "question": f"{self.statement}\n\n{shown}".rstrip("\n"),
            "tests": hidden,
            "samples": [sample],
            "function": None,
            "golden": golden,
            "wrong": [_program(program) for program in self.wrong],
            "tolerance": None,
            "seconds": None,
        }

    def _tests(self, code: Any) -> list[dict[str, str]]:
        """The sample and the hidden tests, of different inputs."""
        found: dict[str, str] = {}
        outputs: Counter[str] = Counter()
        inputs = self._inputs()
        sample = next(inputs)
        for text in inputs:
            if text == sample or text in found:
                continue
            output = _printed(code, text)
            if outputs[output] < HIDDEN // 2:
                found[text] = output
                outputs[output] += 1
            if len(found) == HIDDEN:
                break
        pairs = [(sample, _printed(code, sample)), *found.items()]
        return [{"input": given, "output": wanted} for given, wanted in pairs]

    def _inputs(self) -> Iterator[str]:
        source = Random(f"builtin:code/{self.name}")
        yield self.draw(source)
        yield from self.edges
        for _ in range(DRAWS):
            yield self.draw(source)


def _program(written: str) -> str:
    return textwrap.dedent(written).strip()


def _printed(code: Any, text: str) -> str:
    """What a program of this package prints for the input `text`; it is trusted, and runs right here."""
    lines, printed = iter(text.splitlines()), list[str]()

    def write(*values: object, sep: str = " ", end: str = "\n") -> None:
        printed.append(sep.join(map(str, values)) + end)

    exec(code, {"__name__": "__main__", "input": lambda: next(lines), "print": write})
    return "".join(printed)
