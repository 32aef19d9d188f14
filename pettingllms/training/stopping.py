"""Stopping on Ctrl-C and SIGTERM: at the next safe point, or at once where there is nothing to save."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pettingllms.errors import Interrupted


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

        Imports and models take long, and none of them asks.
        """
        self.check()
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
