"""Text files replaced whole: a reader sees the old content or the new, never half of either."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from secrets import token_hex

from pettingllms.errors import RefusedError, UsageError


def write_text(path: Path, data: bytes | str, *, force: bool = False) -> None:
    """Write `data` to `path` in one move; text is encoded as UTF-8, its line ends as they are.

    An existing file keeps its mode and, behind a link, its place. Raises RefusedError where a
    file is already there and `force` is not given, UsageError where nothing can be written.
    """
    try:
        raw = data.encode("utf-8") if isinstance(data, str) else data
        target = path.resolve()
        _check(path, target, force=force)
        _replace(target, raw, force=force)
    except FileExistsError:
        raise RefusedError(f"{path} exists already", help="write --force to replace it") from None
    except (OSError, RuntimeError, ValueError) as cause:
        # A circle of links is a RuntimeError; a NUL in the name or half a character in the text a ValueError
        reason = getattr(cause, "strerror", None) or str(cause)
        raise UsageError(f"{path} cannot be written: {reason}", help=_advice(cause)) from None


def _check(path: Path, target: Path, *, force: bool) -> None:
    if target.is_dir():
        raise UsageError(f"{path} is a folder", help="name a file in it")
    if target.exists() and not target.is_file():
        raise UsageError(f"{path} is no regular file", help="name a file, or write to standard output")
    if target.exists() and not force:
        raise FileExistsError
    if not target.parent.is_dir():
        raise UsageError(
            f"{path} cannot be written: there is no folder {path.parent}", help="create it first"
        )
    if target.exists() and not os.access(target, os.W_OK):
        # The move would succeed, as it asks only the folder; what a person protected stays as it is.
        raise PermissionError(errno.EACCES, "the file is read-only")


def _replace(target: Path, raw: bytes, *, force: bool) -> None:
    part = target.parent / f".{token_hex(8)}.part"
    try:
        with part.open("xb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            part.chmod(target.stat().st_mode & 0o7777)
        if force:
            part.replace(target)
        else:
            _move_to_free_name(part, target)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    _sync_folder(target.parent)


def _move_to_free_name(part: Path, target: Path) -> None:
    """Put the file in place; FileExistsError where something came to stand there since the check."""
    try:
        target.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links.
        part.replace(target)


def _sync_folder(folder: Path) -> None:
    """Make the move itself survive a power cut, where the system lets folders be synchronised."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _advice(cause: Exception) -> str:
    full = isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
    first = "make room on the disk" if full else "check the folder and its permissions"
    return f"{first}; whatever stood there is unchanged"
