"""A lock between processes that lies in a file and is free at once when its holder ends, however it ends."""

from __future__ import annotations

import errno
import os
import random
import socket
import time
from pathlib import Path
from types import TracebackType

from pettingllms.errors import StudyError

WAIT_SECONDS = 120.0
"""How long others may hold the lock in all; a holder needs some milliseconds."""
POLL_SECONDS = 0.01


class FileLock:
    """Inside the context nobody else holds the lock at `path`; its file says who holds it, and stays.

    Entering waits for others, and raises StudyError where they take longer than `WAIT_SECONDS`, or where the
    file cannot be made. The lock belongs to one open file: a process that enters it twice waits for itself.
    `acquire` and `release` are what Optuna asks of the lock of a journal.
    """

    def __init__(self, path: Path, wait: float = WAIT_SECONDS) -> None:
        self._path, self._wait = path, wait
        self._handle: int | None = None

    def acquire(self) -> bool:
        """Wait until the lock is this process's; returns True."""
        # Studies run on POSIX systems only.
        import fcntl

        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as cause:
            raise StudyError(
                f"the lock {self._path} cannot be made: {cause.strerror}",
                help="a study is changed only where its folder can be written",
            ) from cause
        deadline = time.monotonic() + self._wait
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as cause:
                    self._judge(cause, handle, late=time.monotonic() > deadline)
                # Those that wait do not come back at the same moment.
                time.sleep(POLL_SECONDS * (0.5 + random.random()))
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle
        return True

    def release(self) -> None:
        """Let others have it."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def _judge(self, cause: OSError, handle: int, *, late: bool) -> None:
        if cause.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR):
            raise StudyError(
                f"the lock {self._path} cannot be taken: {cause.strerror}",
                help="keep the study on a file system with locks, or in PostgreSQL with --storage",
            ) from cause
        if late:
            holder = os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process"
            raise StudyError(
                f"the study has been held for {self._wait:.0f} s by {holder}",
                help="end that process if it hangs; what it was about to write is then left out",
            )
