"""Calls of the Linux kernel for which Python has no function."""

from __future__ import annotations

import ctypes
import os
from functools import cache

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 22, 38


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int, pointer: bytes = b"") -> None:
    """Change something about this process; `pointer`: a structure that some options take. Raises OSError."""
    _checked(_libc().prctl(option, ctypes.c_ulong(value), _word(pointer or 0), _word(0), _word(0)))


def syscall(number: int, *arguments: int | bytes) -> int:
    """Call the kernel by number; bytes are passed by address. Returns what it returns; raises OSError."""
    return _checked(_libc().syscall(ctypes.c_long(number), *map(_word, arguments)))


def _word(value: int | bytes) -> ctypes.c_long | ctypes.c_char_p:
    return ctypes.c_char_p(value) if isinstance(value, bytes) else ctypes.c_long(value)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
