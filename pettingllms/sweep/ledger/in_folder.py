"""A study in a folder: its ledger is a file of JSON lines, one for each transaction.

`study.jsonl` holds `{"header": …, "rows": [rows as they are now], "dropped": [numbers]}` on each line, all
three where they changed; the first line has `pettingllms` and `format` beside them. A transaction is one
line, written and flushed to the disk before the next one begins. The half line of a writer that was killed is
no transaction: readers leave it out, and the next writer takes it away. A file that has grown is written anew
with the rows as they are, and takes the place of the old one in one move.

`.study.lock` is held during a transaction. Readers need no lock.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

from pettingllms.documents.atomic import write_text
from pettingllms.errors import PettingLLMsError, StudyError
from pettingllms.sweep.ledger.file_lock import FileLock
from pettingllms.sweep.ledger.row_json import FORMAT, dumped, row_data, row_of
from pettingllms.sweep.ledger.rows import Row
from pettingllms.sweep.ledger.storage import ChangedTable, Snapshot

LEDGER, LOCK = "study.jsonl", ".study.lock"
KIND = "study"
"""What the first line has under `pettingllms`."""
FIRST_BYTES = 256
COMPACT_BYTES = 1 << 22
"""Below this size a ledger is left as it is."""
COMPACT_FACTOR = 8
"""How often a ledger may hold what it says before it is written anew."""


@dataclass(slots=True)
class _Known:
    """What was read of the ledger: `name` of the file, by its first line, and up to where."""

    name: str = ""
    offset: int = 0
    lines: int = 0
    header: Mapping[str, Any] = field(default_factory=dict)
    rows: dict[int, Row] = field(default_factory=dict)


class FileLedger:
    """The study in `folder`. Objects of several processes and several objects of one may be at work."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / LEDGER
        self._known = _Known()

    @contextmanager
    def transaction(self) -> Iterator[ChangedTable]:
        """Exclusive among all processes; see `Ledger`."""
        if not is_study(self.folder):
            raise not_a_study(self.folder)
        with FileLock(self.folder / LOCK):
            self._read(mend=True)
            table = ChangedTable(self._known.header, self._known.rows)
            yield table
            if table.is_changed:
                self._append(table)

    def read(self) -> Snapshot:
        """The study after the newest transaction; nothing is locked or written."""
        self._read(mend=False)
        return Snapshot(self._known.header, dict(self._known.rows))

    def _read(self, *, mend: bool) -> None:
        """Take in what is new; with `mend`, take away half a line at the end."""
        try:
            with self._path.open("r+b" if mend else "rb") as file:
                name = self._named(file)
                if name != self._known.name or file.seek(0, os.SEEK_END) < self._known.offset:
                    self._known = _Known(name)
                known = self._known
                file.seek(known.offset)
                grown = file.read()
                whole = grown[: grown.rfind(b"\n") + 1]
                for number, line in enumerate(whole.splitlines(), known.lines + 1):
                    self._take(line, number)
                known.offset += len(whole)
                if mend and len(whole) < len(grown):
                    file.truncate(known.offset)
        except (FileNotFoundError, NotADirectoryError):
            raise not_a_study(self.folder) from None
        except OSError as cause:
            verb = "written" if mend else "read"
            raise StudyError(
                f"the study {self._path} cannot be {verb}: {cause.strerror}",
                help="change the permissions of the folder, or copy it and use the copy" if mend else None,
            ) from cause

    def _named(self, file: BinaryIO) -> str:
        """What names this file among those that take its place; raises StudyError where it is no ledger."""
        start = file.readline(FIRST_BYTES).decode("utf-8", errors="replace")
        if not start.startswith(f'{{"pettingllms":"{KIND}","format":'):
            raise StudyError(
                f"{self._path} is not the ledger of a study, or its first line is damaged",
                help="put back a copy, or move the file away and start another study",
            )
        if not start.startswith(f'{{"pettingllms":"{KIND}","format":{FORMAT},'):
            raise StudyError(
                f"{self._path} has another format than {FORMAT}, which this version reads",
                help="use the version that wrote it",
            )
        return start

    def _take(self, line: bytes, number: int) -> None:
        known = self._known
        try:
            told = json.loads(line)
            header = told.get("header")
            rows = [row_of(data) for data in told.get("rows", ())]
            dropped = [int(one) for one in told.get("dropped", ())]
            if header is not None and not isinstance(header, dict):
                raise ValueError("its header is no table")
        except (ValueError, AttributeError, TypeError) as cause:
            self._known = _Known()
            raise StudyError(
                f"{self._path}:{number}: the line is damaged: {cause}",
                help="put back a copy"
                + ("; or delete this line, and what it says is done again" if number > 1 else ""),
            ) from None
        if header is not None:
            known.header = header
        known.rows |= {row.number: row for row in rows}
        for one in dropped:
            known.rows.pop(one, None)
        known.lines = number

    def _append(self, table: ChangedTable) -> None:
        told: dict[str, Any] = {}
        if table.new_header is not None:
            told["header"] = table.new_header
        if table.changed:
            told["rows"] = [row_data(row) for row in table.changed.values()]
        if table.dropped:
            told["dropped"] = sorted(table.dropped)
        line = dumped(told).encode() + b"\n"
        known = self._known
        try:
            self._write(line)
        except OSError as cause:
            raise StudyError(
                f"the study {self._path} cannot be written: {cause.strerror}", help="make room on the disk"
            ) from cause
        # What lies in the file is what others read: it is taken from there, and not from memory.
        self._take(line, known.lines + 1)
        known.offset += len(line)
        if known.offset > COMPACT_BYTES:
            self._compact()

    def _write(self, line: bytes) -> None:
        with self._path.open("r+b", buffering=0) as file:
            file.seek(self._known.offset)
            try:
                left = memoryview(line)
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    file.truncate(self._known.offset)
                raise

    def _compact(self) -> None:
        text = ledger_text(self._known.header, self._known.rows.values())
        if len(text.encode()) * COMPACT_FACTOR < self._known.offset:
            # It is as good as it is where there is no room for another.
            with suppress(PettingLLMsError):
                write_text(self._path, text, force=True)


def ledger_text(header: Mapping[str, Any], rows: Any = ()) -> str:
    """The text of a ledger that holds `header` and `rows`; no two are the same."""
    first = {"pettingllms": KIND, "format": FORMAT, "file": token_hex(16), "header": header}
    return dumped(first | {"rows": [row_data(row) for row in rows]}) + "\n"


def is_study(folder: Path) -> bool:
    """Whether `folder` holds a study."""
    return (folder / LEDGER).is_file()


def not_a_study(folder: Path) -> StudyError:
    """What is said of a folder without a ledger."""
    if not folder.exists():
        return StudyError(f"there is no folder {folder}", help="name the folder of a study, or its FILE")
    if not folder.is_dir():
        return StudyError(f"{folder} is no folder", help="name the folder of a study, or its FILE")
    below = sorted(file.parent for file in folder.glob(f"*/{LEDGER}"))
    if below:
        return StudyError(f"{folder} holds studies, and is none", help=f"name one of them, as {below[-1]}")
    if (folder.parent / LEDGER).is_file():
        return StudyError(f"{folder} is a folder of a study, and is none", help=f"name {folder.parent}")
    return StudyError(f"{folder} is no study: it holds no {LEDGER}", help="`sweep run FILE` starts one")
