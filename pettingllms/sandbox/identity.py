"""The layer of users: programs that a server of root starts run as a user that no one else is."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from pettingllms.sandbox.kernel import PR_CAPBSET_DROP, PR_SET_DUMPABLE, prctl

FIRST, COUNT = 65_000, 500
"""User ids that programs get. Debian keeps them free, and user namespaces of 65,536 ids have them, too."""

_CAPABILITIES = 64


def program_user() -> int | None:
    """The user id of this server's programs; None where the server is an ordinary user already.

    Servers at the same time have different ones, so that a program cannot use up the threads of another.
    """
    return FIRST + os.getpid() % COUNT if os.geteuid() == 0 else None


def become(user: int) -> None:
    """Give up root for good: ids, groups and with them all capabilities. Raises OSError."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    if sys.platform == "linux":
        # Otherwise its own /proc/self would be closed to it: `/dev/stdin`, and Python's folder (`home.py`).
        prctl(PR_SET_DUMPABLE, 1)


def empty_bounding_set() -> None:
    """See to it that nothing which this process starts ever gets a capability by running another program."""
    for capability in range(_CAPABILITIES):
        with suppress(OSError):
            prctl(PR_CAPBSET_DROP, capability)
