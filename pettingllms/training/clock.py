"""What the parts of a training step take."""

from __future__ import annotations

import time


class Clock:
    """Seconds of a step, lap by lap."""

    def __init__(self) -> None:
        self._begin = self._last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """Seconds since the lap before belong to `name`."""
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now

    def record(self) -> dict[str, float]:
        """The metrics `time/step` and `time/<name>`."""
        whole = {"time/step": self._last - self._begin}
        return whole | {f"time/{name}": seconds for name, seconds in self.laps.items()}
