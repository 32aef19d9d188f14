"""A command and all that it starts as one group: a trial's launcher and worker, or its engine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from pettingllms.errors import LauncherError
from pettingllms.process import terminate_with_parent

POLL_SECONDS = 0.05
LEAVE_SECONDS = 2.0
"""How long processes may take to go by themselves after the launcher has ended."""
KILLED_SECONDS = 10.0
"""How long the system may take to clear away processes that were killed."""
MARK = "PETTINGLLMS_PROCESS_GROUP"
"""The variable by which the processes of one command are known."""


class ProcessGroup:
    """A command in a session of its own, so that a terminal's Ctrl-C reaches only the caller.

    Its output goes to `log`; its standard input is the file descriptor `stdin`, or empty. It keeps to
    `cores`, where they are given. On Linux it is told to end when the caller dies. Raises
    LauncherError when the command cannot be started.
    """

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        stdin: int = subprocess.DEVNULL,
        cores: frozenset[int] | None = None,
    ) -> None:
        self._mark = str(uuid.uuid4())
        try:
            with log.open("ab") as output:
                self._leader = subprocess.Popen(
                    list(argv),
                    stdin=stdin,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=dict(environment, **{MARK: self._mark}),
                    start_new_session=True,
                    preexec_fn=partial(_prepare_child, cores),  # noqa: PLW1509 - this process has no threads
                )
        except OSError as cause:
            raise LauncherError(f"{argv[0]} cannot be started: {cause}") from cause
        self._group = self._leader.pid

    def exit_status(self) -> int | None:
        """Exit status of the command, or None while it runs."""
        return self._leader.poll()

    def stop(self, number: int, worker: int | None) -> None:
        """Send signal `number` to the process `worker` of the group, or to all where it is not known."""
        with contextlib.suppress(ProcessLookupError):
            if worker is not None and (worker in self._members() or os.getpgid(worker) == self._group):
                os.kill(worker, number)
            else:
                os.killpg(self._group, number)

    def kill(self) -> None:
        """Kill every process of the group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._group, signal.SIGKILL)
        for member in self._members():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(member, signal.SIGKILL)

    def end(self) -> None:
        """Return when no process of the group is left; those that do not leave are killed.

        Raises LauncherError when the system keeps one alive all the same.
        """
        if self._leader.poll() is not None and self._gone_within(LEAVE_SECONDS):
            return
        self.kill()
        self._leader.wait()
        if not self._gone_within(KILLED_SECONDS):
            raise LauncherError(f"processes of group {self._group} cannot be killed")

    def _members(self) -> set[int]:
        """Processes of the command that run, also those in sessions of their own.

        A launcher of several workers gives each a session of its own; all inherit the mark. It can be read
        on Linux only: elsewhere those of the group are not told apart, and the command stands for them.
        """
        if sys.platform != "linux":
            return {self._leader.pid} if self._leader.poll() is None else set()
        wanted = f"{MARK}={self._mark}".encode()
        return {int(folder.name) for folder in Path("/proc").glob("[0-9]*") if _was_given(folder, wanted)}

    def _gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while group_is_alive(self._group) or self._members():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True


def _prepare_child(cores: frozenset[int] | None) -> None:
    terminate_with_parent()
    if cores is not None and sys.platform == "linux":
        os.sched_setaffinity(0, cores)


def _was_given(folder: Path, variable: bytes) -> bool:
    """Whether the process of `folder` has `variable` in its environment; one that ended has none."""
    try:
        return variable in (folder / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def group_is_alive(group: int) -> bool:
    """True when a process of the group runs; one that ended and was not yet collected does not count."""
    if sys.platform == "linux":
        return any(_runs_in(stat, group) for stat in Path("/proc").glob("[0-9]*/stat"))
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # macOS answers so for a group of which only uncollected processes are left.
        return False
    return True


def _runs_in(stat: Path, group: int) -> bool:
    try:
        text = stat.read_text(errors="replace")
    except OSError:
        return False
    # After the name, which may hold anything, come state, parent and group.
    state, _, member_of = text.rpartition(")")[2].split()[:3]
    return int(member_of) == group and state not in "ZX"
