"""Where an Optuna study lies: a journal in a folder, or a database; and what Optuna says beside it."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pettingllms.errors import StudyError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

JOURNAL = "study.journal"
"""The journal's name in the folder of a study."""


class JournalLock(Protocol):
    """What Optuna holds while it writes to a journal."""

    def acquire(self) -> bool:
        """Wait for the lock; True when it is held."""
        ...

    def release(self) -> None:
        """Let others have it."""
        ...


def journal_storage(file: Path, lock: JournalLock) -> BaseStorage:
    """The storage in a journal file, which is made where it is missing.

    `lock` keeps other processes from writing. Inside a transaction of the ledger it has nothing to do.
    Raises StudyError where what is in the file is no journal.
    """
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    guarded = _WholeLines(file, lock)
    with _held(guarded):
        try:
            # Optuna passes over a last line that is none, and stumbles over it when the next is written.
            for line in file.read_bytes().splitlines() if file.exists() else ():
                json.loads(line)
            return JournalStorage(JournalFileBackend(str(file), lock_obj=guarded))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StudyError(
                f"{file} is damaged: {error}", help="delete it: it is made anew from the ledger of the study"
            ) from error


@contextmanager
def database_storage(url: str) -> Iterator[BaseStorage]:
    """The storage in the database at `url`, in SQLAlchemy's form; missing tables are made.

    A connection to a server is kept, as each takes longer to make than what is asked on it, and tried before
    each use: after hours between two trials it may be dead. One to a file is made for each use.
    """
    from optuna.storages import RDBStorage, get_storage
    from sqlalchemy import NullPool

    of_file = url.startswith("sqlite")
    pool = {"poolclass": NullPool} if of_file else {"pool_pre_ping": True, "pool_size": 1}
    storage = RDBStorage(url, engine_kwargs=pool)
    try:
        yield get_storage(storage)
    finally:
        storage.engine.dispose()


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna from saying what the study says by itself.

    It logs every trial, and which axes a sampler draws at random, as the linter does; and it warns that some
    options may change in later versions of Optuna, whose version is pinned.
    """
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


class _WholeLines:
    """A lock under which a journal ends with a whole line.

    A writer that was killed in the middle of one would make the journal unreadable with the next line.
    """

    def __init__(self, file: Path, lock: JournalLock) -> None:
        self._file, self._lock = file, lock

    def acquire(self) -> bool:
        held = self._lock.acquire()
        if held:
            drop_torn_line(self._file)
        return held

    def release(self) -> None:
        self._lock.release()


@contextmanager
def _held(lock: JournalLock) -> Iterator[None]:
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def drop_torn_line(file: Path) -> None:
    """Cut off what stands behind the last line break of `file`; whoever calls keeps others from writing."""
    if not file.exists():
        return
    with file.open("rb+") as stream:
        size = stream.seek(0, os.SEEK_END)
        if size == 0:
            return
        stream.seek(size - 1)
        if stream.read(1) == b"\n":
            return
        stream.seek(0)
        stream.truncate(stream.read().rfind(b"\n") + 1)
        stream.flush()
        os.fsync(stream.fileno())
