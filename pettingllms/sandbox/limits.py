"""The first layer: what a program may use of the machine, and that it ends with its server."""

from __future__ import annotations

import math
import os
import signal
import sys
from contextlib import suppress

from pettingllms.sandbox.kernel import PR_SET_PDEATHSIG, prctl

if sys.platform != "win32":
    import resource

OPEN_FILES = 64
THREADS = 64
FILES = 256
"""Files and folders that one program may leave in its scratch folder at one time."""
SCRATCH_BYTES = 16 << 20
"""Of all of them."""


def set_limits(seconds: float, memory_bytes: int, file_bytes: int) -> None:
    """Bind this process, for good.

    `seconds`: of its processor time, as the wall clock is the server's; `file_bytes`: of each file. A file
    that grows beyond that ends the process by SIGXFSZ, unless it catches that.
    """
    processor = math.ceil(seconds) + 1
    # One second after the signal that says so, which a program can ignore, the kernel ends it.
    _bind("RLIMIT_CPU", processor, processor + 1)
    _bind("RLIMIT_AS", memory_bytes)
    _bind("RLIMIT_FSIZE", file_bytes)
    _bind("RLIMIT_NOFILE", OPEN_FILES)
    for name in ("RLIMIT_CORE", "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE"):
        _bind(name, 0)


def limit_processes() -> None:
    """Bound the threads and processes of this process's user, where that user is no one else's."""
    _bind("RLIMIT_NPROC", THREADS)


def _bind(name: str, *limits: int) -> None:
    """Set a limit to `limits`, the lower and the upper one, or to the one that there is, where it is less."""
    # Systems that have no such limit, or not in earnest, are found out by the probes.
    with suppress(AttributeError, *() if sys.platform == "linux" else (OSError, ValueError)):
        kind = getattr(resource, name)
        _, highest = resource.getrlimit(kind)
        if highest != resource.RLIM_INFINITY:
            limits = tuple(min(limit, highest) for limit in limits)
        resource.setrlimit(kind, (limits[0], limits[-1]))


def end_with(server: int) -> None:
    """Let the kernel kill this process when `server`, its parent, ends (Linux).

    A change of user undoes it.
    """
    if sys.platform == "linux":
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server:
            os._exit(1)


def close_all_but(kept: set[int], highest: int) -> None:
    """Close every file descriptor up to `highest` that is not among `kept`."""
    low = 0
    for descriptor in sorted({*kept, highest + 1}):
        # An empty range from 0 would close everything.
        if low < descriptor:
            os.closerange(low, descriptor)
        low = descriptor + 1
