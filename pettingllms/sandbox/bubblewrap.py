"""The outer wall: bubblewrap puts a whole server into namespaces of its own, where it is installed.

In there are no network, no other processes, and no files but Python, shared libraries and the scratch folder.
It is a second wall around what the other layers hold, and stands in for Landlock where the kernel has none.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

CAPABILITIES = ("SETUID", "SETGID", "SETPCAP", "KILL", "CHOWN", "DAC_OVERRIDE")
"""What a server of root needs to give programs a user of their own, to end them and to clean up."""

_LIBRARIES = ("/lib", "/lib64")
_PACKAGES = ("python3*/site-packages", "python3*/dist-packages")


def installed() -> str | None:
    """The path of `bwrap`; None where there is none."""
    return shutil.which("bwrap") if sys.platform == "linux" else None


def wall(bwrap: str, scratch: Path, code: Iterable[Path]) -> list[str]:
    """The words before the command of a server, which sees of this package no more than `code`."""
    words = [bwrap, "--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    if os.geteuid() == 0:
        # The users of programs have to be real ones: limits count by them.
        words += ["--cap-drop", "ALL"]
        words += [word for name in CAPABILITIES for word in ("--cap-add", f"CAP_{name}")]
    else:
        words += ["--unshare-user"]
    words += ["--ro-bind", "/usr", "/usr", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for folder in map(Path, _LIBRARIES):
        if folder.is_symlink():
            words += ["--symlink", str(folder.readlink()), str(folder)]
        elif folder.is_dir():
            words += ["--ro-bind", str(folder), str(folder)]
    words += ["--proc", "/proc", "--dev", "/dev"]
    prefix = Path(sys.base_prefix).resolve()
    if not prefix.is_relative_to("/usr"):
        words += [*_parents(prefix), "--ro-bind", str(prefix), str(prefix)]
    for packages in _installed_packages(prefix):
        words += ["--tmpfs", str(packages)]
    for path in code:
        words += [*_parents(path), "--ro-bind", str(path), str(path)]
    return [*words, *_parents(scratch), "--bind", str(scratch), str(scratch), "--chdir", "/"]


def _parents(path: Path) -> Iterator[str]:
    """Make the folders above `path`, which everybody may pass: bubblewrap's own would be closed."""
    for folder in reversed(path.parents[:-1]):
        yield from ("--perms", "0755", "--dir", str(folder))


def _installed_packages(prefix: Path) -> Iterator[Path]:
    for folder in {prefix / "lib", *map(Path, ("/usr/lib", "/usr/lib64", "/usr/local/lib"))}:
        for pattern in _PACKAGES:
            yield from (path for path in folder.glob(pattern) if path.is_dir())
