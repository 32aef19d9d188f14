"""Programs that a model wrote, the limits under which they run, and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_SECONDS = 3600.0
"""The longest limit on time that an experiment may set."""
MAX_MEMORY_MIB = 2**20
"""The largest limit on memory that an experiment may set."""


class ProgramStatus(StrEnum):
    """How a program ended: told by its exit status and its limits, never by what it printed."""

    OK = "ok"
    """It ended with exit status 0."""
    ERROR = "error"
    """It raised, was no Python, ended with another exit status, or died by a signal."""
    TIMEOUT = "timeout"
    """It ran out of time."""
    MEMORY_LIMIT = "memory_limit"
    """It ran out of memory, or had too many threads."""
    OUTPUT_LIMIT = "output_limit"
    """It wrote too much: to standard output, as a result, or into files."""
    BAD_RESULT = "bad_result"
    """Its function gave no value, or one that is not made of exact builtin types (`sandbox.values`)."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function of a program, and what it is called with: values that `sandbox.values` can encode.

    Where the program has no function of this name, the method of that name of its class `Solution` is called.
    """

    function: str
    arguments: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Program:
    """Python source with its standard input; with `call`, one of its functions is called at the end.

    It runs as `__main__`, and under a call as a module of another name, so that it does not start by itself.
    """

    source: str
    stdin: str = ""
    call: Call | None = None


@dataclass(frozen=True, slots=True)
class ProgramLimits:
    """What one program may use.

    `seconds`: wall clock. `memory_mib`: address space in MiB. `output_bytes`: standard output, the result of
    a call, and each file that it writes.
    """

    seconds: float
    memory_mib: int
    output_bytes: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """What came of a program.

    `stdout`: what it printed, cut at the limit; bytes that are no UTF-8 are replaced. `value`: what its
    function returned, where the status is OK. `error`: the name of what it raised. The program can forge all
    three, so `error` is for people only, and values are compared outside of it.
    """

    status: ProgramStatus
    stdout: str
    value: Any = None
    error: str = ""
