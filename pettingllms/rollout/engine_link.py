"""The two ways to an engine's process: a child of this one, or the host that a sweep keeps."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from pettingllms.rollout.engine import EngineSettings

CHILD = "pettingllms.rollout.engine_server"
"""The module that an engine's own child runs."""
LEAVE_SECONDS = 1.0
"""How long a child may take to end after it was asked to."""


class Link(Protocol):
    """A stream of calls to an engine's process and one of its answers."""

    calls: BinaryIO
    answers: BinaryIO

    def ended(self) -> bool:
        """Whether the process is known to have ended; what it started may keep its streams open."""

    def kill(self, process: int | None) -> None:
        """End the process, also one that is stopped. `process`: its number, where it has said one."""

    def end(self) -> str:
        """Hang up, so that `answers` ends; returns what became of the process, as words of a message."""


class Child:
    """A child that serves this process alone, over its standard streams; it ends when they close."""

    def __init__(self, settings: EngineSettings, log: Path) -> None:
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", CHILD],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=dict(os.environ, OMP_NUM_THREADS=str(settings.threads)),
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.calls: BinaryIO = self.process.stdin  # type: ignore[assignment]
        self.answers: BinaryIO = self.process.stdout  # type: ignore[assignment]

    def ended(self) -> bool:
        """Whether the child has ended."""
        return self.process.poll() is not None

    def kill(self, process: int | None) -> None:  # noqa: ARG002 - the protocol's
        """Kill the child."""
        self.process.kill()

    def end(self) -> str:
        """Ask the child to end, and kill it if it does not."""
        with suppress(OSError):
            self.calls.close()
        try:
            self.process.wait(timeout=LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "did not end by itself and was killed"
        return f"ended with status {self.process.returncode}"


class Host:
    """The process that listens at `address`, `<token>@<Unix socket>`; its owner ends it, or starts another.

    It listens to nobody who does not say the token first. Raises OSError when it is not there.
    """

    def __init__(self, address: str) -> None:
        token, _, path = address.partition("@")
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(path)
            self._socket.sendall(token.encode())
        except OSError:
            self._socket.close()
            raise
        self.calls: BinaryIO = self._socket.makefile("wb")
        self.answers: BinaryIO = self._socket.makefile("rb")

    def ended(self) -> bool:
        """Its answers end with it."""
        return False

    def kill(self, process: int | None) -> None:
        """Kill the process: it holds the memory that another engine needs. Its owner notices."""
        if process is not None:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def end(self) -> str:
        """Hang up; the process goes on."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self.calls.close()
        self._socket.close()
        return "hung up"
