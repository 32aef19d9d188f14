"""The layer of system calls: a filter in the kernel that refuses what no program needs.

The filter is a small program of the classic Berkeley packet filter, which the kernel runs at each system call
(Documentation/userspace-api/seccomp_filter.rst).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable

from pettingllms.sandbox.kernel import PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, prctl
from pettingllms.sandbox.syscalls import (
    ARCHITECTURES,
    CLONE,
    CLONE3,
    COMMANDED,
    DENIED,
    HIGHEST,
    ON_ITSELF,
    SIGNALLING,
    Numbers,
)

# Of `struct seccomp_data`: where its words begin. Both architectures have the low word first.
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
# Load a word; jump if equal, if greater, if bits are set; return.
_LOAD, _EQUAL, _GREATER, _SET, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_KILL, _ALLOW, _FAIL = 0x80000000, 0x7FFF0000, 0x00050000
_CLONE_THREAD = 0x10000
_SECCOMP_MODE_FILTER = 2


def forbid_calls() -> None:
    """Put the filter on this process, for good. Raises OSError where this machine or kernel has none."""
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no table of system calls for {machine}")
    install(filter_for(machine, os.getpid()))


def install(code: bytes) -> None:
    """Put a filter on this process and all that it starts, for good. Raises OSError."""
    address = ctypes.cast(ctypes.c_char_p(code), ctypes.c_void_p).value
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    # `struct sock_fprog`: how many instructions, and where.
    prctl(PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, struct.pack("@HP", len(code) // 8, address))


def filter_for(machine: str, process: int) -> bytes:
    """The filter of a process with id `process` on `machine`, one of `ARCHITECTURES`.

    Calls of another architecture kill. Of calls on processes only those on itself pass, commands by which the
    kernel sends signals fail, and `clone` only makes threads; `clone3`, whose flags a filter cannot see, does
    not exist, so that the C library takes `clone`.
    """

    def numbers(calls: Iterable[Numbers]) -> list[int]:
        found = (getattr(call, machine) for call in calls)
        return sorted(number for number in found if number is not None)

    (clone,), (clone3,) = numbers([CLONE]), numbers([CLONE3])
    own, denied = numbers(ON_ITSELF.values()), numbers(DENIED.values())
    commands = sorted(SIGNALLING.values())
    # Where the verdicts stand, in the numbering of `end`.
    missing = 7 + len(commands)
    refused, allowed = missing + 1, missing + 2
    # The end of the program, to which everything above jumps; places are counted from the first of these.
    end = [
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),  # 1: on a process
        (_EQUAL, allowed - 3, 0, process),
        (_EQUAL, allowed - 4, refused - 4, 0),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),  # 4: clone
        (_SET, allowed - 6, refused - 6, _CLONE_THREAD),
        (_LOAD, 0, 0, _SECOND_ARGUMENT),  # 6: a command on a descriptor
        *((_EQUAL, refused - place - 1, 0, command) for place, command in enumerate(commands[:-1], 7)),
        (_EQUAL, refused - missing, allowed - missing, commands[-1]),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
        (_RETURN, 0, 0, _FAIL | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    jumps = [
        (_EQUAL, clone3, missing),
        (_EQUAL, clone, 4),
        *((_EQUAL, number, 1) for number in own),
        *((_EQUAL, number, 6) for number in numbers(COMMANDED.values())),
        *((_EQUAL, number, refused) for number in denied),
    ]
    body = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, ARCHITECTURES[machine]), (_RETURN, 0, 0, _KILL)]
    body.append((_LOAD, 0, 0, _NUMBER))
    for place, (test, number, target) in enumerate([(_GREATER, HIGHEST, missing), *jumps]):
        # A jump is counted from the next instruction; it has a byte for that.
        body.append((test, len(jumps) - place + target, 0, number))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in [*body, *end])
