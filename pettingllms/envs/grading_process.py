"""Processes that compare expressions or ask scorers, and are killed where they take too long."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pettingllms.envs.grading_verdict import Verdict
from pettingllms.errors import InfrastructureError
from pettingllms.process import usable_cores

START_SECONDS = 60.0
"""How long a process may take to start, on a machine that has much else to do."""
REMEMBERED = 4096
"""Comparisons whose verdicts are kept: candidates of one group often give the same answer."""
MOST = 2
"""Processes at one time."""

Work = Literal["compare", "score"]
"""Expressions are compared by math-verify; tasks of reasoning-gym have scorers of their own."""

_SERVER = Path(__file__).with_name("grading_server.py")


class LostComparerError(Exception):
    """The process did not start, or has ended; the message says which."""


class LostAnswerError(Exception):
    """The answer ended the process, in whose place there is another one."""


class Comparer:
    """One process, for one kind of work, and one answer at a time.

    Raises LostComparerError where it does not start.
    """

    _worker = 0
    """The copy of the process that compares."""

    def __init__(self, work: Work) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = self._started(theirs, work)
        self._lines = self._socket.makefile("rb")
        try:
            self._await_worker()
        except LostComparerError:
            self.close()
            raise

    def verdict(self, asked: str, seconds: float) -> Verdict:
        """The verdict. Raises TimeoutError after `seconds`, when the next answer can be compared at once.

        Raises LostAnswerError where comparing ended the copy that compares, and LostComparerError where none
        is left.
        """
        try:
            self._socket.sendall(asked.encode() + b"\n")
        except OSError as error:
            raise LostComparerError(f"it has ended: {error}") from error
        try:
            said = self._said(seconds)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._worker, signal.SIGKILL)
            # A file of a socket cannot be read any more once its time has run out.
            self._lines.close()
            self._lines = self._socket.makefile("rb")
            self._await_worker()
            raise
        if said.isdigit():
            self._worker = int(said)
            raise LostAnswerError
        return Verdict(said)

    def close(self) -> None:
        """Kill the process, whatever it does."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._lines.close()
        self._socket.close()
        self._errors.close()

    def _await_worker(self) -> None:
        """Until a copy says that it is there. One that was killed may have had its word before."""
        try:
            while not (said := self._said(START_SECONDS)).isdigit():
                if said not in set(Verdict):
                    raise LostComparerError(said)
        except TimeoutError:
            raise LostComparerError(f"it says nothing for {START_SECONDS:.0f} s") from None
        self._worker = int(said)

    def _started(self, theirs: socket.socket, work: Work) -> subprocess.Popen[bytes]:
        # What is installed for this process may lie where an isolated one does not look.
        paths = [path for path in sys.path if path]
        try:
            return subprocess.Popen(
                [sys.executable, "-I", "-B", str(_SERVER), json.dumps(paths), work],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                env={"PYTHONHASHSEED": "0"},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            self._socket.close()
            self._errors.close()
            raise LostComparerError(f"it cannot be started: {error}") from error

    def _said(self, seconds: float) -> str:
        self._socket.settimeout(max(seconds, 0.001))
        try:
            line = self._lines.readline()
        except TimeoutError:
            raise
        except OSError as error:
            raise LostComparerError(f"it has ended: {error}") from error
        if not line:
            self._errors.seek(0)
            words = self._errors.read(1 << 16).decode(errors="replace").strip().splitlines()
            raise LostComparerError(f"it has ended: {words[-1] if words else 'it left no word'}")
        said: str = json.loads(line)
        return said


class Comparers:
    """A few processes, each started when it is first needed. Safe to use from many threads."""

    def __init__(self, size: int, work: Work = "compare") -> None:
        self._size, self._work = size, work
        # The last one that worked works next: others are started only where several are needed at once.
        self._idle: queue.LifoQueue[Comparer | None] = queue.LifoQueue()
        for _ in range(size):
            self._idle.put(None)
        self._known: dict[str, Verdict] = {}
        self.started = 0

    def verdict(self, asked: str, seconds: float) -> tuple[Verdict, float]:
        """The verdict on what is `asked`, and how long it was waited for a process.

        Raises InfrastructureError where none can be had. An answer at which two processes end is as one that
        takes too long: it takes too much memory.
        """
        if (known := self._known.get(asked)) is not None:
            return known, 0.0
        begin = time.monotonic()
        one, computing = self._idle.get(), 0.0
        verdict = Verdict.TIMEOUT
        try:
            for _ in range(2):
                one = one or self._fresh()
                since = time.monotonic()
                try:
                    verdict = one.verdict(asked, seconds - computing)
                    computing += time.monotonic() - since
                    break
                except (TimeoutError, LostAnswerError, LostComparerError) as failed:
                    computing += time.monotonic() - since
                    if isinstance(failed, LostComparerError):
                        one.close()
                        one = None
                    if isinstance(failed, TimeoutError) or computing >= seconds:
                        break
        finally:
            self._idle.put(one)
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[asked] = verdict
        return verdict, time.monotonic() - begin - computing

    def close(self) -> None:
        """End all processes that are idle."""
        for _ in range(self._size):
            with contextlib.suppress(queue.Empty):
                if one := self._idle.get_nowait():
                    one.close()

    def _fresh(self) -> Comparer:
        self.started += 1
        try:
            return Comparer(self._work)
        except LostComparerError as lost:
            raise InfrastructureError(
                f"the process that grades mathematical answers: {lost}",
                help="math-verify is in the extra hf, reasoning-gym in the extra reasoning",
            ) from lost


_comparers: dict[Work, Comparers] = {}
_making = threading.Lock()


def shared_comparers(work: Work) -> Comparers:
    """Those of this process."""
    with _making:
        if work not in _comparers:
            _comparers[work] = Comparers(min(MOST, usable_cores()), work)
            atexit.register(_comparers[work].close)
        return _comparers[work]


def compare(gold: str, answer: str, seconds: float) -> tuple[Verdict, float]:
    """Compare two expressions with math-verify; see `Comparers.verdict`."""
    asked = json.dumps({"gold": gold, "answer": answer})
    return shared_comparers("compare").verdict(asked, seconds)


def score(scorer: Mapping[str, Any], answer: str, seconds: float) -> tuple[Verdict, float]:
    """Ask the scorer of a task of reasoning-gym; see `Comparers.verdict`."""
    asked = json.dumps({"scorer": dict(scorer), "answer": answer})
    return shared_comparers("score").verdict(asked, seconds)


def _forget() -> None:
    """A process that is forked from this one has comparers of its own."""
    global _making  # noqa: PLW0603 - one lock for all threads
    _making = threading.Lock()
    _comparers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
