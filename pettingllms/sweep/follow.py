"""Reading what a worker writes while it writes: its event and metric streams, and the end of its log."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

LOG_LINES = 15
LAUNCHER_SAYS = r"failed \(exitcode: (-?\d+)\) local_rank: (\d+)"
"""How the launcher of several processes tells that one failed."""
STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)


class JsonLines:
    """A file of one JSON object per line that grows; it need not exist yet.

    `only_new`: what it holds already is passed over; half a line at its end does not count as held.
    """

    def __init__(self, path: Path, *, only_new: bool = False) -> None:
        self._path = path
        self._offset = 0
        if only_new and path.exists():
            self._offset = path.read_bytes().rfind(b"\n") + 1

    def read(self) -> list[dict[str, Any]]:
        """The objects of the lines that were completed since the last call; what is no object is skipped."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                grown = file.read()
        except FileNotFoundError:
            return []
        whole = grown[: grown.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [record for line in whole.splitlines() if (record := _object(line)) is not None]


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def numbers(record: dict[str, Any]) -> dict[str, float]:
    """The entries of `record` that are numbers."""
    return {
        name: value
        for name, value in record.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def log_tail(log: Path) -> list[str]:
    """The last lines that the worker printed; the launcher's own traceback after them is left out."""
    return _worker_lines(_lines(log))[-LOG_LINES:]


def lost_process(log: Path) -> str | None:
    """Which of several processes of a run failed first, and how, as their launcher says it in `log`.

    None where it says nothing of that kind; a process that was asked to stop and did has not failed.
    """
    told = [found for line in _lines(log) if (found := re.search(LAUNCHER_SAYS, line))]
    if not told or int(told[0][1]) in STOPPED:
        return None
    status, rank = int(told[0][1]), told[0][2]
    if status >= 0:
        return f"process {rank} of the run ended with status {status}"
    return f"process {rank} of the run was ended by {_signal_name(-status)}"


def _signal_name(number: int) -> str:
    name = signal.Signals(number).name
    return f"{name} (out of memory?)" if number == signal.SIGKILL else name


def cause_of_death(log: Path) -> str:
    """One line that says why a worker ended that reported nothing."""
    lines = _lines(log)
    killed = re.search(r"died with <Signals\.(\w+)", lines[-1]) if lines else None
    if killed:
        return f"the worker was ended by {_signal_name(signal.Signals[killed[1]])}"
    said = _worker_lines(lines)
    return f"the worker ended: {said[-1].strip()}" if said else "the worker ended without a word"


def _lines(log: Path) -> list[str]:
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [line for line in text.splitlines() if line.strip()]


def _worker_lines(lines: list[str]) -> list[str]:
    """`lines` up to the traceback with which the launcher reports that a process of it failed."""
    if lines and lines[-1].startswith(("subprocess.CalledProcessError", "=====")):
        starts = [number for number, line in enumerate(lines) if line.startswith("Traceback ")]
        if starts:
            return lines[: starts[-1]]
    return lines
