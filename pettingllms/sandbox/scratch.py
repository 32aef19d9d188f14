"""The scratch folder of a program: how much may be in it, and that nothing is left for the next program."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from pettingllms.sandbox.limits import FILES, SCRATCH_BYTES

BLOCK, BLOCK_ROUNDING = 512, 4096
"""Bytes of what `st_blocks` counts; and what a small file or folder takes more than its length."""


def fresh(folder: Path, user: int | None) -> Path:
    """A new folder in `folder`, for `user` alone."""
    scratch = folder / "program"
    scratch.mkdir(mode=0o700)
    if user is not None:
        os.chown(scratch, user, user)
    return scratch


def overfull(folder: Path) -> bool:
    """Whether there is too much in `folder`; looks no further than that takes."""
    count = size = 0
    pending = [str(folder)]
    while pending:
        with suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                count += 1
                with suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    # A file may have blocks behind its end; one with holes has fewer than its length says.
                    size += max(found.st_size, found.st_blocks * BLOCK - BLOCK_ROUNDING)
                if count > FILES or size > SCRATCH_BYTES:
                    return True
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
    return False


def emptied(folder: Path) -> bool:
    """Remove all that is in `folder`; returns whether it is empty."""
    for path in folder.iterdir():
        # A program whose system calls are not filtered can build folders too deep for this.
        with suppress(RecursionError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    return not any(folder.iterdir())
