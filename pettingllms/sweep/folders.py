"""Run folders: where they lie, whether they can be written, and how one comes into being whole."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from pettingllms.errors import RefusedError


def training_folder(output: Path, now: datetime) -> Path:
    """The run folder of a single trial: `outputs/<date>/<time>`."""
    return output / now.strftime("%Y-%m-%d") / now.strftime("%H-%M-%S")


def trial_folder(study: Path, number: int) -> Path:
    """The run folder of trial `number` of the study in folder `study`."""
    return study / f"trial_{number:04d}"


def require_writable(folder: Path, setting: str) -> None:
    """Prove that files can be made in `folder`, which is created where it is missing.

    `setting` is the option or key that names the folder. Raises RefusedError with the reason.
    """
    if reason := write_fault(folder):
        raise RefusedError(
            f"the output folder {folder} cannot be written: {reason}",
            help=f"free it, or name another folder with {setting}",
        )


def write_fault(folder: Path) -> str | None:
    """Why no file can be made in `folder`, which is created where it is missing; None where one can.

    A file in the way, missing rights, a file system that is read-only or full. Mode bits alone prove nothing
    for root, so a file is really written and flushed to the disk.
    """
    probe = folder / f".writable-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with probe.open("wb") as file:
                file.write(b"probe")
                file.flush()
                os.fsync(file.fileno())
        finally:
            probe.unlink(missing_ok=True)
    except OSError as cause:
        blocker = next((str(part) for part in (folder, *folder.parents) if part.is_file()), None)
        return f"{blocker} is a file" if blocker else cause.strerror or str(cause)
    return None


def create_folder(wanted: Path, files: Mapping[str, str]) -> Path:
    """Create the run folder `wanted` with `files` (relative path -> text); returns the folder.

    It appears whole or not at all. Where `wanted` is taken it gets the suffix -2, -3, …
    Raises RefusedError when the disk does not take it.
    """
    prepared = wanted.parent / f".{wanted.name}-{secrets.token_hex(4)}"
    try:
        for name, text in files.items():
            file = prepared / name
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("w", encoding="utf-8", newline="") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
        return _put_in_place(prepared, wanted)
    except OSError as cause:
        raise RefusedError(f"the run folder {wanted} cannot be written: {cause.strerror or cause}") from cause
    finally:
        shutil.rmtree(prepared, ignore_errors=True)


def _put_in_place(prepared: Path, wanted: Path) -> Path:
    """Rename `prepared` to the first free name; the rename decides between two runs of one second."""
    for candidate in _candidates(wanted):
        if candidate.exists():
            continue
        try:
            return prepared.rename(candidate)
        except OSError as taken:
            if taken.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
    raise AssertionError("unreachable: there is always a next suffix")


def _candidates(wanted: Path) -> Iterator[Path]:
    yield wanted
    number = 2
    while True:
        yield wanted.with_name(f"{wanted.name}-{number}")
        number += 1
