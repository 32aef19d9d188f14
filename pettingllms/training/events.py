"""`events.jsonl`: what the worker tells whoever follows it. Records are listed in docs/records.md."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from pettingllms.hiding import hidden


class EventStream:
    """Appends one JSON object per event; each is on the disk's way when `write` returns.

    `leads`: whether this is the process that speaks for the run; the others tell of errors only.
    """

    def __init__(self, path: Path, *, leads: bool = True) -> None:
        self._path, self._leads = path, leads
        self._newest: tuple[str, dict[str, Any]] | None = None

    def write(self, event: str, **fields: Any) -> None:
        """Append an event with its fields and the time (Unix seconds).

        A phase in which nothing has moved since the newest event is not told again: whoever reads takes each
        event for a sign of life.
        """
        if not self._leads and event != "error":
            return
        if event == "phase" and self._newest == (event, fields):
            return
        self._newest = event, fields
        shown = {key: hidden(value) if isinstance(value, str) else value for key, value in fields.items()}
        line = json.dumps({"time": time.time(), "event": event, **shown}) + "\n"
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line)

    def status(self, text: str) -> None:
        """Something that takes time begins."""
        self.write("status", text=text)

    def error(self, text: str, exit_code: int, **fields: Any) -> None:
        """Why the run ends. A disk too full for this line is not the reason that is looked for."""
        with suppress(OSError):
            self.write("error", text=text, exit_code=exit_code, **fields)

    def warning(self, text: str) -> None:
        """Something the user should know; the run goes on."""
        self.write("warning", text=text)
