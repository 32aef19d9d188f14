"""Python's own folder for the programs of a server of root, which may not go through root's folders to it."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_FIRST_FREE = 50
"""Descriptors below are the server's and the program's own."""


def is_closed() -> bool:
    """Whether this is root, and only root can reach Python's folder: it may lie in root's home."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    prefix = Path(sys.base_prefix).resolve()
    return not all(folder.stat().st_mode & stat.S_IXOTH for folder in (prefix, *prefix.parents))


def opened() -> int:
    """A descriptor of Python's folder.

    A process that inherits it reaches the folder as `home_of` says, whatever it may not pass on the way.
    """
    first = os.open(sys.base_prefix, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return fcntl.fcntl(first, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    finally:
        os.close(first)


def home_of(descriptor: int) -> str:
    """What PYTHONHOME is for a process that inherits `descriptor`."""
    return f"/proc/self/fd/{descriptor}"
