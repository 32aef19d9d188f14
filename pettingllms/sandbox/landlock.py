"""The layer of files: the kernel's Landlock lets a program read Python and write into its scratch folder.

Documentation/userspace-api/landlock.rst of the kernel; it needs no rights, and binds a process for good. From
its fourth version on it keeps from TCP, too, and from the sixth from signals and abstract sockets of others.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pettingllms.sandbox.kernel import PR_SET_NO_NEW_PRIVS, prctl, syscall

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_PATH_BENEATH, _VERSION = 1, 1

WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5
MAKE_DIR, MAKE_REG, TRUNCATE = 1 << 7, 1 << 8, 1 << 14
SCRATCH = WRITE_FILE | READ_FILE | READ_DIR | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | TRUNCATE

_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many kinds of access to files a version knows; from the fifth on 16."""
_ALL_FILE_RIGHTS = 16
_NETWORK, _SCOPES = 0b11, 0b11

LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
OTHERS = ("/etc/ld.so.cache", "/usr/share/zoneinfo", "/dev/null", "/dev/urandom", "/dev/zero")
_PACKAGES = ("site-packages", "dist-packages", "python")
"""What is left out of the folders of Python and of libraries: installed packages, this one among them."""


def version() -> int:
    """The version that this kernel has. Raises OSError where it has none, or is told not to have it."""
    return syscall(_CREATE, 0, 0, _VERSION)


def ruleset(stdlib: Path, scratch: Path) -> int:
    """A descriptor of the rules of this server's programs, for `restrict`. Raises OSError."""
    level = version()
    handled = (1 << _FILE_RIGHTS.get(level, _ALL_FILE_RIGHTS)) - 1
    # `struct landlock_ruleset_attr`, as long as this version has it.
    words = [handled, *([_NETWORK] if level >= 4 else []), *([_SCOPES] if level >= 6 else [])]
    rules = syscall(_CREATE, struct.pack(f"={len(words)}Q", *words), 8 * len(words), 0)
    for path in _readable(stdlib):
        _allow(rules, path, READ_FILE | (READ_DIR if path.is_dir() else 0))
    _allow(rules, stdlib, READ_DIR)
    _allow(rules, scratch, SCRATCH & handled)
    return rules


def restrict(rules: int) -> None:
    """Put `rules` on this process, for good. Raises OSError."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    syscall(_RESTRICT, rules, 0)


def _readable(stdlib: Path) -> Iterator[Path]:
    """What programs may read: the standard library, shared libraries, and little else."""
    prefix = [Path(sys.base_prefix) / name for name in ("lib", "lib64")]
    for folder in (stdlib, *prefix, *map(Path, LIBRARIES)):
        with suppress(OSError):
            for path in folder.iterdir():
                if not path.name.startswith(_PACKAGES):
                    yield path
    yield from map(Path, OTHERS)


def _allow(rules: int, path: Path, access: int) -> None:
    """Add a rule; what is not there needs none."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as missing:
        if missing.errno in (errno.ENOENT, errno.EACCES, errno.ELOOP):
            return
        raise
    try:
        # `struct landlock_path_beneath_attr`, which is packed.
        syscall(_ADD, rules, _PATH_BENEATH, struct.pack("=Qi", access, descriptor), 0)
    finally:
        os.close(descriptor)
