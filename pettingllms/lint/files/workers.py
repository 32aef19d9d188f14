"""Files checked by several processes at once; one that dies costs the file that it was checking.

This module is imported where it is used: most runs check too few files for it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import multiprocessing
import signal
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import cast

from pettingllms.lint.files.cache import Cache
from pettingllms.lint.files.checked import CheckOptions, FileResult, Named
from pettingllms.process import end_with_parent

FORK, SPAWN = "fork", "spawn"
GRACE_SECONDS = 5.0


def start_method() -> str:
    """`fork` where that is safe, as such a process needs no imports; else `spawn`."""
    if sys.platform != "linux":
        return SPAWN
    try:
        alone = len(list(Path("/proc/self/task").iterdir())) == 1
    except OSError:
        alone = False
    return FORK if alone else SPAWN


def check_in_processes(
    files: Sequence[Named], options: CheckOptions, cache: Cache | None, workers: int
) -> dict[int, FileResult]:
    """The results by the position of their file.

    A file whose process ends while it is being checked has a result that says so. Files for which no
    process could be started are missing.
    """
    crew = _Crew(options, cache, deque(enumerate(files)))
    results: dict[int, FileResult] = {}
    try:
        while len(crew.busy) < workers and crew.hire():
            pass
        while crew.busy:
            for ready in wait(list(crew.busy)):
                member = crew.busy.pop(cast("Connection", ready))
                index, file = member.task
                try:
                    results[index] = member.connection.recv()
                except (EOFError, OSError):
                    results[index] = FileResult(file.path, crash=_how_it_ended(member.process))
                    member.connection.close()
                    crew.hire()
                else:
                    crew.go_on(member)
    finally:
        crew.dismiss()
    return results


@dataclass(slots=True)
class _Member:
    """One process, the connection to it, and the file that it is checking."""

    process: BaseProcess
    connection: Connection
    task: tuple[int, Named]


class _Crew:
    """The processes; `busy` are those that are checking a file, `waiting` the files that none has yet."""

    def __init__(self, options: CheckOptions, cache: Cache | None, waiting: deque[tuple[int, Named]]) -> None:
        fork = start_method() == FORK
        if fork:
            # What is imported here need not be imported by each process.
            importlib.import_module("pettingllms.lint.engine")
        self.context = multiprocessing.get_context("fork") if fork else multiprocessing.get_context("spawn")
        self.options, self.cache, self.waiting = options, cache, waiting
        self.busy: dict[Connection, _Member] = {}
        self.idle: list[_Member] = []

    def hire(self) -> bool:
        """Start a process with the next file; False where no file waits, or none can be started."""
        if not self.waiting:
            return False
        ours, theirs = self.context.Pipe()
        process = self.context.Process(
            target=_serve, args=(theirs, self.options, self.cache), name="lint", daemon=True
        )
        try:
            process.start()
        except OSError:
            ours.close()
            return False
        finally:
            theirs.close()
        self.go_on(_Member(process, ours, self.waiting[0]))
        return True

    def go_on(self, member: _Member) -> None:
        """Give `member` the next file, if there is one."""
        if not self.waiting:
            self.idle.append(member)
            return
        member.task = self.waiting.popleft()
        # Where it has ended meanwhile, reading its answer says so.
        with contextlib.suppress(OSError):
            member.connection.send(member.task[1])
        self.busy[member.connection] = member

    def dismiss(self) -> None:
        """End all processes: those without a file by themselves, the others at once."""
        for member in self.idle:
            # A forked process holds the ends of all others, so that closing ours would not reach it.
            with contextlib.suppress(OSError):
                member.connection.send(None)
        for member in self.busy.values():
            member.process.terminate()
        for member in [*self.idle, *self.busy.values()]:
            member.process.join(GRACE_SECONDS)
            if member.process.is_alive():
                member.process.kill()
                member.process.join()
            member.connection.close()


def _how_it_ended(process: BaseProcess) -> str:
    process.join(GRACE_SECONDS)
    code = process.exitcode
    if code is not None and code < 0:
        try:
            return f"the process that checked it was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"the process that checked it was ended by signal {-code}"
    return f"the process that checked it ended with exit code {code}"


def _serve(connection: Connection, options: CheckOptions, cache: Cache | None) -> None:
    """Check one file after the other until there is none."""
    # An interrupt reaches the whole group; the parent alone decides what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent()
    from pettingllms.lint.files.batch import check_one

    # What was there before the fork is not collected: looking at it would copy all of its memory.
    gc.freeze()
    with contextlib.suppress(EOFError, OSError):
        while (file := connection.recv()) is not None:
            connection.send(check_one(file, options, cache))
