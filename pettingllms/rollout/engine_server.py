"""The other end of an engine's process: builds the engine, answers calls to it, says that it lives.

Calls and answers are pickled over one stream each way.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, BinaryIO

from pettingllms.process import end_with_parent
from pettingllms.rollout.engine import ENGINES, Engine, EngineSettings

BEAT_SECONDS = 1.0
ONE_WAY = frozenset({"submit"})
"""Calls without an answer of their own: what goes wrong in one is the answer to the next call."""
HUNG_UP = (EOFError, ConnectionError, pickle.UnpicklingError)
"""What comes of a stream whose other side is gone, also in the middle of a message."""


def build(settings: EngineSettings) -> tuple[bool, Any]:
    """True and the engine of `settings`, or False and why there is none, in one line."""

    def start() -> Engine:
        return ENGINES.load(settings.name)(settings)

    return attempt(start)


def serve(built: tuple[bool, Any], calls: BinaryIO, answers: BinaryIO) -> None:
    """Say how building the engine went; where there is one, answer calls to it until the caller hangs up."""
    worked, engine = built
    owed: tuple[bool, Any] | None = None
    one_at_a_time = threading.Lock()

    def say(value: Any) -> None:
        with one_at_a_time:
            pickle.dump(value, answers)
            answers.flush()

    with suppress(*HUNG_UP):
        if not worked:
            say((False, engine))
            return
        with _beating(say):
            say((True, None))
            while True:
                name, arguments = pickle.load(calls)
                outcome = owed or attempt(partial(getattr(engine, name), *arguments))
                owed = outcome if name in ONE_WAY and not outcome[0] else None
                if name not in ONE_WAY:
                    say(outcome)


@contextmanager
def _beating(say: Callable[[int], None]) -> Iterator[None]:
    """Say the number of this process every second inside the block, whatever the engine is doing."""
    over = threading.Event()

    def beat() -> None:
        with suppress(OSError):
            say(os.getpid())
            while not over.wait(BEAT_SECONDS):
                say(os.getpid())

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def attempt(call: Callable[[], Any]) -> tuple[bool, Any]:
    """Whether the call worked, and its value or one line about what went wrong; the log gets the rest."""
    try:
        return True, call()
    except Exception as error:
        traceback.print_exc()
        return False, in_one_line(error)


def in_one_line(error: Exception) -> str:
    """The error's type and the first line of what it says."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


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


if __name__ == "__main__":
    answers_stream = os.fdopen(os.dup(1), "wb")
    # Whatever libraries print must not get between the answers: standard output joins the log.
    os.dup2(2, 1)
    main(sys.stdin.buffer, answers_stream)
