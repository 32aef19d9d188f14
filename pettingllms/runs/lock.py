"""One run per folder: a lock that the operating system takes back when its holder ends, however it ends."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO

from pettingllms.errors import RefusedError

RUN_LOCK = ".run.lock"
"""Held by the command that follows a run, from before it looks into the folder until the run has ended."""
WORKER_LOCK = ".worker.lock"
"""Held by the leading process of the run itself, which may outlive the command for a moment or have none."""
NAMED_SECONDS = 1.0
"""How long the holder may take to say who it is."""


class FolderHeldError(RefusedError):
    """Another process holds the lock of a folder."""


class FolderLock:
    """Inside the context nobody else holds `folder/name`. The file stays; it says who holds it.

    Entering raises FolderHeldError when another process holds it, naming that process. A process that ended
    holds nothing, so a stale file is taken over.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._path = folder, folder / name
        self._file: IO[str] | None = None

    def __enter__(self) -> FolderLock:
        # Only trials come here, and they need a POSIX system.
        import fcntl

        # Appending: the content belongs to the holder, who this process is not yet.
        try:
            file = self._path.open("a+", encoding="utf-8")
        except OSError as cause:
            raise RefusedError(f"{self._path} cannot be locked: {cause.strerror}") from cause
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)
            file.write(json.dumps(_myself()) + "\n")
            file.flush()
        except OSError as cause:
            file.close()
            if cause.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise self._held() from None
            raise RefusedError(f"{self._path} cannot be locked: {cause.strerror}") from cause
        self._file = file
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None

    def _held(self) -> FolderHeldError:
        holder = _holder(self._path)
        who = (
            f"process {holder['pid']} on {holder['host']} since {holder['since']}"
            if holder
            else "a process that does not say which it is"
        )
        return FolderHeldError(
            f"the run folder {self._folder} is in use by {who}",
            help="wait until that run has ended, or end it",
        )


def _myself() -> dict[str, str | int]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _holder(path: Path) -> dict[str, str | int] | None:
    """Who holds the lock, as it says in the file; it writes that a moment after it has it."""
    deadline = time.monotonic() + NAMED_SECONDS
    while time.monotonic() < deadline:
        try:
            holder: dict[str, str | int] = json.loads(path.read_text(encoding="utf-8"))
            return holder
        except (OSError, ValueError):
            time.sleep(0.02)
    return None
