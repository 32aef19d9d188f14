"""Stopping on Ctrl-C and SIGTERM at the next safe point."""

from __future__ import annotations

import signal
from types import FrameType

from pettingllms.errors import Interrupted


class StopFlag:
    """Remembers the signal; `check` raises Interrupted where stopping is safe."""

    def __init__(self) -> None:
        self._signal: int | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._remember)

    def check(self) -> None:
        """Raise Interrupted when a signal has come."""
        if self._signal is not None:
            raise Interrupted(self._signal)

    def _remember(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of handlers
        self._signal = number
