"""Stopping on Ctrl-C and SIGTERM: at the next safe point, or at once where there is nothing to save."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pettingllms.errors import Interrupted

LATE_SECONDS = 5.0
"""How long a call that does not return may hold up a stop at once."""


class StopFlag:
    """Remembers the signal; `check` raises Interrupted where stopping is safe."""

    def __init__(self) -> None:
        self._signal: int | None = None
        self._at_once = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._remember)

    def check(self) -> None:
        """Raise Interrupted when a signal has come."""
        if self._signal is not None:
            raise Interrupted(self._signal)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise Interrupted inside the block wherever a signal comes: nothing in it is worth keeping.

        Imports and models take long, and none of them asks. Where it comes in a call that does not return,
        as one that waits for another process of the run, this process ends after `LATE_SECONDS`.
        """
        self.check()
        with _ends_late():
            self._at_once = True
            try:
                yield
            except Exception:
                # Libraries make errors of their own of what happens while they are imported.
                self.check()
                raise
            finally:
                self._at_once = False
        self.check()

    def _remember(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of handlers
        self._signal = number
        if self._at_once:
            # What is done on the way out is not interrupted again.
            self._at_once = False
            raise Interrupted(number)


@contextmanager
def _ends_late() -> Iterator[None]:
    """End this process where a signal came inside the block and the block does not end.

    A handler runs in the main thread, between two steps of Python. Python writes the number of a signal to a
    file at once, whatever the main thread does; a thread waits there.
    """
    heard, told = socket.socketpair()
    with heard, told:
        told.setblocking(False)
        before = signal.set_wakeup_fd(told.fileno())
        watch = threading.Thread(target=_watch, args=(heard,), name="stop watch", daemon=True)
        watch.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            told.close()
            watch.join()


def _watch(heard: socket.socket) -> None:
    number = heard.recv(1)
    if not number:
        return
    heard.settimeout(LATE_SECONDS)
    try:
        while heard.recv(1):
            pass
    except TimeoutError:
        os._exit(128 + number[0])
