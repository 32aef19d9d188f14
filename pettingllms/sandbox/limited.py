"""Runs one program in a subprocess with time, memory and output limits and an empty environment.

This keeps honest mistakes in (endless loops, memory hogs, floods of output). It is no wall against
hostile code: the program can read files and open sockets.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pettingllms.process import usable_cores

OUTPUT_LIMIT_BYTES = 64 * 1024
"""Standard output beyond this ends the program."""

_slots = threading.BoundedSemaphore(max(1, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
"""For programs that run at one time: limits are wall-clock time, which they must not take from each other."""

# Runs inside the child before the program: the limits bind from here on, for grandchildren too.
_BOOTSTRAP = """
import sys
try:
    import resource
    seconds, memory, output = (int(word) for word in sys.argv[1:4])
    for name, limit in (("RLIMIT_CPU", seconds), ("RLIMIT_AS", memory), ("RLIMIT_FSIZE", output),
                        ("RLIMIT_CORE", 0), ("RLIMIT_NOFILE", 64)):
        resource.setrlimit(getattr(resource, name), (limit, limit))
except ImportError:
    pass
with open(sys.argv[4], encoding="utf-8", errors="surrogatepass") as file:
    source = file.read()
sys.argv = ["program"]
exec(compile(source, "program", "exec"), {"__name__": "__main__"})
"""


class ProgramStatus(StrEnum):
    """How a program ended."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    OUTPUT_LIMIT = "output_limit"


@dataclass(frozen=True, slots=True)
class ProgramLimits:
    """`seconds`: wall clock; `memory_mib`: address space in MiB."""

    seconds: float
    memory_mib: int


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """How the program ended and what it printed (bytes that are no UTF-8 are replaced)."""

    status: ProgramStatus
    stdout: str


def run_program(source: str, limits: ProgramLimits) -> ProgramResult:
    """Run Python `source` in a scratch folder of its own, for at most `limits.seconds`.

    As many run at one time as this process has cores, of which several processes of one run have equal
    shares; the others wait, which does not count. The verdict comes from
    the process status, never from what it printed.
    """
    with _slots, tempfile.TemporaryDirectory(prefix="program-", ignore_cleanup_errors=True) as scratch:
        program, output = Path(scratch) / "program.py", Path(scratch) / "stdout"
        program.write_text(source, encoding="utf-8", errors="surrogatepass")
        arguments = [
            str(int(limits.seconds) + 1),
            str(limits.memory_mib << 20),
            str(OUTPUT_LIMIT_BYTES),
            str(program),
        ]
        with output.open("wb") as stdout:
            child = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.DEVNULL,
                cwd=scratch,
                env={},
                start_new_session=True,
            )
            status = _wait(child, limits.seconds)
        printed = output.read_bytes()
        if len(printed) >= OUTPUT_LIMIT_BYTES:
            status = ProgramStatus.OUTPUT_LIMIT
        return ProgramResult(status, printed[:OUTPUT_LIMIT_BYTES].decode("utf-8", errors="replace"))


def _wait(child: subprocess.Popen[bytes], seconds: float) -> ProgramStatus:
    try:
        code = child.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return ProgramStatus.TIMEOUT
    finally:
        _end_group(child)
    return ProgramStatus.OK if code == 0 else ProgramStatus.ERROR


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """Kill the program and whatever it started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
    child.wait()
