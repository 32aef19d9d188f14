"""Programs run here: as many at one time as this process has cores, each on a warm server."""

from __future__ import annotations

import atexit
import os
import queue
import threading
from collections.abc import Sequence

from pettingllms.errors import InfrastructureError
from pettingllms.process import usable_cores
from pettingllms.sandbox import bubblewrap
from pettingllms.sandbox.client import LostServerError, Server
from pettingllms.sandbox.programs import Program, ProgramLimits, ProgramResult

ATTEMPTS = 2
"""A program whose server is lost has one more try, on another server."""


class Pool:
    """Servers that are started when they are first needed, and programs that wait for one.

    `size`: how many. `without`: layers to leave out, `bubblewrap` among them; for tests. Safe to use from
    many threads; waiting for a server costs a program none of its time.
    """

    def __init__(self, size: int, without: frozenset[str] = frozenset()) -> None:
        # The linter knows this module by the environments that import it, and runs nothing.
        from concurrent.futures import ThreadPoolExecutor

        self._without = without
        self._idle: queue.SimpleQueue[Server | None] = queue.SimpleQueue()
        for _ in range(size):
            self._idle.put(None)
        self._size = size
        self._threads = ThreadPoolExecutor(size, "sandbox")
        self._choosing = threading.Lock()
        self._chosen: tuple[str | None, str] | None = None

    def run(self, programs: Sequence[Program], limits: ProgramLimits) -> list[ProgramResult]:
        """Run all `programs`; results are in their order. Raises InfrastructureError."""
        return list(self._threads.map(lambda program: self._run(program, limits), programs))

    def layers(self) -> dict[str, str]:
        """What the layers of this pool's servers are: by their names, "" or why there is none.

        Raises InfrastructureError where no server can be started.
        """
        server = self._idle.get()
        try:
            server = server or self._started()
            return {**server.missing, "bubblewrap": self._wall()[1]}
        except LostServerError as lost:
            raise _failure(lost) from lost
        finally:
            self._idle.put(server)

    def close(self) -> None:
        """End all servers, once their programs have ended."""
        self._threads.shutdown()
        for _ in range(self._size):
            if server := self._idle.get():
                server.close()

    def _run(self, program: Program, limits: ProgramLimits) -> ProgramResult:
        server = self._idle.get()
        try:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    if server is not None and server.worn:
                        server.close()
                        server = None
                    server = server or self._started()
                    return server.run(program, limits)
                except LostServerError as lost:
                    if server is not None:
                        server.close()
                        server = None
                    if attempt == ATTEMPTS:
                        raise _failure(lost) from lost
            raise AssertionError("unreachable: the last attempt returns or raises")
        finally:
            self._idle.put(server)

    def _started(self) -> Server:
        return Server(self._wall()[0], self._without - {"bubblewrap"})

    def _wall(self) -> tuple[str | None, str]:
        """The path of bubblewrap, where a server starts in it; and why there is none, where it does not."""
        with self._choosing:
            if self._chosen is None:
                self._chosen = self._found_wall()
            return self._chosen

    def _found_wall(self) -> tuple[str | None, str]:
        if "bubblewrap" in self._without:
            return None, "left out"
        bwrap = bubblewrap.installed()
        if bwrap is None:
            return None, "not installed"
        try:
            Server(bwrap).close()
        except LostServerError as refused:
            return None, str(refused)
        return bwrap, ""


def _failure(lost: LostServerError) -> InfrastructureError:
    return InfrastructureError(str(lost), help="`pettingllms doctor` says what the sandbox can do here")


_pool: Pool | None = None
_making = threading.Lock()


def shared_pool() -> Pool:
    """The pool of this process; several processes of one run have equal shares of the cores."""
    global _pool  # noqa: PLW0603 - one pool for all threads
    with _making:
        if _pool is None:
            _pool = Pool(max(1, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
            atexit.register(_pool.close)
        return _pool


def run_programs(programs: Sequence[Program], limits: ProgramLimits) -> list[ProgramResult]:
    """Run `programs`, each under `limits` and away from the others; results are in their order.

    Whatever a program does is a result. Raises InfrastructureError where the sandbox itself fails.
    """
    return shared_pool().run(programs, limits)


def _forget() -> None:
    """A process that is forked from this one has servers of its own."""
    global _pool, _making
    _pool, _making = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
