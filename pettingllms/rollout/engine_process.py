"""The engine's own process and the remote calls to it.

The process has its own threads, random numbers and log file, and can be killed without harm to the
trainer. Calls and answers are pickled over one stream each way.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from pettingllms.errors import RolloutError
from pettingllms.process import ENGINE_HOST, end_with_parent
from pettingllms.rollout.engine import ENGINES, Engine, EngineSettings
from pettingllms.rollout.engine_link import Child, Host, Link
from pettingllms.types import Completion, Request

POLL_SECONDS = 0.2
LOG_TAIL_LINES = 15
ONE_WAY = frozenset({"submit"})
"""Calls without an answer of their own: what goes wrong in one is the answer to the next call."""
HUNG_UP = (EOFError, ConnectionError, pickle.UnpicklingError)
"""What comes of a stream whose other side is gone, also in the middle of a message."""


class EngineProcess:
    """An engine in a process of its own; the same protocol as an engine.

    The process is the host that the environment names, which then was started for this trial, or else a
    child. The constructor returns at once, so that the engine loads while the caller imports; `wait_ready`
    waits. `check` is called while an answer is awaited; what it raises ends the wait. Raises RolloutError
    when the host is not there.
    """

    def __init__(self, settings: EngineSettings, log: Path, check: Callable[[], None]) -> None:
        self._log, self._check = log, check
        self._link = self._connect(settings)
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

    def collect(self, wait: bool = True) -> list[tuple[int, Completion]]:
        """As `Engine.collect`."""
        done: list[tuple[int, Completion]] = self._call("collect", wait)
        return done

    def load_policy(self, policy: str, version: int, folder: Path) -> None:
        """As `Engine.load_policy`."""
        self._call("load_policy", policy, version, folder)

    def forget_prompts(self) -> None:
        """As `Engine.forget_prompts`."""
        self._call("forget_prompts")

    def sleep(self) -> None:
        """As `Engine.sleep`."""
        self._call("sleep")

    def wake(self) -> None:
        """As `Engine.wake`."""
        self._call("wake")

    def restore(self) -> None:
        """As `Engine.restore`."""
        self._call("restore")

    def close(self) -> None:
        """End a child: ask first, kill after a second. A host stays, for who started it to end or to keep."""
        self._link.end()
        self._receiver.join()
        self._link.answers.close()

    def _connect(self, settings: EngineSettings) -> Link:
        address = os.environ.get(ENGINE_HOST)
        if address is None:
            return Child(settings, self._log)
        try:
            return Host(address)
        except OSError as cause:
            raise self._failure(f"is not there: {cause.strerror}") from cause

    def _receive(self) -> None:
        """Own thread: a pipe cannot be waited for with a timeout everywhere, a queue can.

        The last thing in the queue is None where the child hung up, or a text: why an answer is unreadable.
        """
        try:
            while True:
                self._answers.put(pickle.load(self._link.answers))
        except (EOFError, OSError):
            self._answers.put(None)
        except Exception as error:
            # Unpickling imports and calls what the answer names; whatever goes wrong, somebody waits here.
            self._answers.put(_in_one_line(error))

    def _call(self, name: str, *arguments: Any) -> Any:
        self._send((name, arguments))
        return self._answer()

    def _send(self, message: Any) -> None:
        try:
            _put(self._link.calls, message)
        except (OSError, ValueError) as cause:
            raise self._failure(self._link.end()) from cause

    def _answer(self) -> Any:
        while True:
            self._check()
            try:
                answer = self._answers.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if answer is None or isinstance(answer, str):
                ended = self._link.end()
                raise self._failure(f"{ended}; its answer could not be read: {answer}" if answer else ended)
            worked, value = answer
            if not worked:
                raise RolloutError(f"the engine failed: {value}", help=f"its log is {self._log}")
            return value

    def _failure(self, ended: str) -> RolloutError:
        """Why there are no more answers, with what the process said last."""
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        lines = text.splitlines()[-LOG_TAIL_LINES:]
        tail = "\n".join(f"  {line}" for line in lines)
        return RolloutError(
            f"the engine process {ended}; its last lines:\n{tail}",
            help=f"its whole log is {self._log}",
        )


def build(settings: EngineSettings) -> tuple[bool, Any]:
    """True and the engine of `settings`, or False and why there is none, in one line."""

    def start() -> Engine:
        return ENGINES.load(settings.name)(settings)

    return attempt(start)


def serve(built: tuple[bool, Any], calls: BinaryIO, answers: BinaryIO) -> None:
    """Say how building the engine went; where there is one, answer calls to it until the caller hangs up."""
    worked, engine = built
    owed: tuple[bool, Any] | None = None
    with suppress(*HUNG_UP):
        _put(answers, (worked, None if worked else engine))
        while worked:
            name, arguments = pickle.load(calls)
            outcome = owed or attempt(partial(getattr(engine, name), *arguments))
            owed = outcome if name in ONE_WAY and not outcome[0] else None
            if name not in ONE_WAY:
                _put(answers, outcome)


def main(calls: BinaryIO, answers: BinaryIO) -> None:
    """The child: build the engine that the parent describes, answer calls until it hangs up."""
    end_with_parent()
    # A Ctrl-C in a terminal is the parent's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        settings: EngineSettings = pickle.load(calls)
    except EOFError:
        return
    built = build(settings)
    serve(built, calls, answers)
    if built[0]:
        built[1].close()


def attempt(call: Callable[[], Any]) -> tuple[bool, Any]:
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
    main(sys.stdin.buffer, answers_stream)
