"""Ctrl-C and SIGTERM while trials run: remembered here, acted on where it is safe."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any


class StopRequest:
    """A context in which SIGINT and SIGTERM are counted instead of ending this process.

    `signal`: the first one that came, or None. `urgent`: whether another came after it.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.urgent = False
        self._before: dict[signal.Signals, Any] = {}

    def request(self, number: int) -> None:
        """Ask to stop, as the signal `number` does."""
        if self.signal is None:
            self.signal = number
        else:
            self.urgent = True

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of handlers
        self.request(number)
