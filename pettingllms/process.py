"""Processes: the cores they may use, children that end with their parent, and how they find each other."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

LOOK_SECONDS = 1.0
"""How often a process looks whether its parent is still there."""

ENGINE_HOST = "PETTINGLLMS_ENGINE_HOST"
"""The variable that tells a worker the token and the address of the engine that was started for it."""

_PR_SET_PDEATHSIG = 1


def usable_cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def end_with_parent(grace: float = 10.0) -> None:
    """End this process when its parent ends, however the parent ends (on Windows: does nothing).

    SIGTERM comes first, as in `terminate_with_parent`. A process that handles it has `grace` seconds, after
    which a thread ends the process with status 143 and without any cleaning up: the main thread may be
    stuck in a call that never returns, such as one that waits for another process of the run.
    """
    if sys.platform == "win32":
        # The parent's id stays the same there when the parent ends.
        return
    parent = os.getppid()
    terminate_with_parent()
    threading.Thread(target=_end_after, args=(parent, grace), name="parent watch", daemon=True).start()


def _end_after(parent: int, grace: float) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    time.sleep(grace)
    os._exit(128 + signal.SIGTERM)


def terminate_with_parent() -> None:
    """Ask the kernel to send this process SIGTERM when its parent ends (Linux; elsewhere nothing).

    The request outlives a change of program, so it can be made between fork and exec.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        # The parent ended between the two calls.
        os.kill(os.getpid(), signal.SIGTERM)
