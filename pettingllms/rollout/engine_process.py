"""The engine's own process and the remote calls to it.

The child has its own threads, random numbers and log file, and can be killed without harm to the
trainer. Calls and answers are pickled over its standard streams; it ends when they close.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from pettingllms.errors import RolloutError
from pettingllms.process import end_with_parent
from pettingllms.rollout.engine import ENGINES, Engine, EngineSettings
from pettingllms.types import Completion, Request

POLL_SECONDS = 0.2
LEAVE_SECONDS = 1.0
"""How long the child may take to end after it was asked to."""
LOG_TAIL_LINES = 15
ONE_WAY = frozenset({"submit"})
"""Calls without an answer of their own: what goes wrong in one is the answer to the next call."""


class EngineProcess:
    """An engine in a child process; the same protocol as an engine.

    The constructor returns at once, so that the child loads while the caller imports; `wait_ready`
    waits. `check` is called while an answer is awaited; what it raises ends the wait.
    """

    def __init__(self, settings: EngineSettings, log: Path, check: Callable[[], None]) -> None:
        self._log, self._check = log, check
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=dict(os.environ, OMP_NUM_THREADS=str(settings.threads)),
            )
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._receiver = threading.Thread(target=self._receive, daemon=True)
        self._receiver.start()
        self._send(settings)

    def wait_ready(self) -> None:
        """Wait until the engine has loaded. Raises RolloutError when it ends instead."""
        self._answer()

    def submit(self, requests: Sequence[tuple[int, Request]]) -> None:
        """As `Engine.submit`, without waiting; an error comes with the next call."""
        self._send(("submit", (list(requests),)))

    def collect(self) -> list[tuple[int, Completion]]:
        """As `Engine.collect`."""
        done: list[tuple[int, Completion]] = self._call("collect")
        return done

    def load_policy(self, policy: str, version: int, folder: Path) -> None:
        """As `Engine.load_policy`."""
        self._call("load_policy", policy, version, folder)

    def sleep(self) -> None:
        """As `Engine.sleep`."""
        self._call("sleep")

    def wake(self) -> None:
        """As `Engine.wake`."""
        self._call("wake")

    def close(self) -> None:
        """End the child: ask first, kill after a second."""
        assert self._child.stdout is not None
        self._end_child()
        self._receiver.join()
        self._child.stdout.close()

    def _receive(self) -> None:
        """Own thread: a pipe cannot be waited for with a timeout everywhere, a queue can.

        The last thing in the queue is None where the child hung up, or a text: why an answer is unreadable.
        """
        assert self._child.stdout is not None
        try:
            while True:
                self._answers.put(pickle.load(self._child.stdout))
        except (EOFError, OSError):
            self._answers.put(None)
        except Exception as error:
            # Unpickling imports and calls what the answer names; whatever goes wrong, somebody waits here.
            self._answers.put(_in_one_line(error))

    def _call(self, name: str, *arguments: Any) -> Any:
        self._send((name, arguments))
        return self._answer()

    def _send(self, message: Any) -> None:
        assert self._child.stdin is not None
        try:
            pickle.dump(message, self._child.stdin)
            self._child.stdin.flush()
        except (BrokenPipeError, ValueError) as cause:
            raise self._failure() from cause

    def _answer(self) -> Any:
        while True:
            self._check()
            try:
                answer = self._answers.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if answer is None or isinstance(answer, str):
                raise self._failure(answer)
            worked, value = answer
            if not worked:
                raise RolloutError(f"the engine failed: {value}", help=f"its log is {self._log}")
            return value

    def _end_child(self) -> bool:
        """Ask the child to end, kill it if it does not; whether it ended by itself."""
        assert self._child.stdin is not None
        with suppress(BrokenPipeError):
            self._child.stdin.close()
        try:
            self._child.wait(timeout=LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            return False
        return True

    def _failure(self, unreadable: str | None = None) -> RolloutError:
        """Why there are no more answers; the child is ended where it still runs."""
        ended = "did not end by itself and was killed"
        if self._end_child():
            ended = f"ended with status {self._child.returncode}"
        if unreadable is not None:
            ended += f"; its answer could not be read: {unreadable}"
        lines = self._log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        tail = "\n".join(f"  {line}" for line in lines)
        return RolloutError(
            f"the engine process {ended}; its last lines:\n{tail}",
            help=f"its whole log is {self._log}",
        )


def serve(calls: BinaryIO, answers: BinaryIO) -> None:
    """The child: build the engine that the parent describes, answer calls until it hangs up."""
    end_with_parent()
    # A Ctrl-C in a terminal is the parent's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings: EngineSettings = pickle.load(calls)
    engine: Engine | None = None

    def build() -> None:
        nonlocal engine
        engine = ENGINES.load(settings.name)(settings)

    owed: tuple[bool, Any] | None = None
    try:
        _put(answers, _attempt(build))
        while engine is not None:
            name, arguments = pickle.load(calls)
            outcome = owed or _attempt(partial(getattr(engine, name), *arguments))
            owed = outcome if name in ONE_WAY and not outcome[0] else None
            if name not in ONE_WAY:
                _put(answers, outcome)
    except (EOFError, BrokenPipeError):
        pass
    if engine is not None:
        engine.close()


def _attempt(call: Callable[[], Any]) -> tuple[bool, Any]:
    """Whether the call worked, and its value or one line about what went wrong; the log gets the rest."""
    try:
        return True, call()
    except Exception as error:
        traceback.print_exc()
        return False, _in_one_line(error)


def _in_one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _put(stream: BinaryIO, value: Any) -> None:
    pickle.dump(value, stream)
    stream.flush()


if __name__ == "__main__":
    answers_stream = os.fdopen(os.dup(1), "wb")
    # Whatever libraries print must not get between the answers: standard output joins the log.
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers_stream)
