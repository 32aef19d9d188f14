"""Where a study is kept: what every storage can do, and a study's rows while they are changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pettingllms.sweep.ledger.row_json import dumped
from pettingllms.sweep.ledger.rows import Ledger, Row


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A study as it was at one moment, between two transactions."""

    header: Mapping[str, Any]
    rows: Mapping[int, Row]


class StoredLedger(Ledger, Protocol):
    """A ledger that can be looked at without waiting for those who change it."""

    def read(self) -> Snapshot:
        """The study after the newest transaction; nothing is locked or written.

        Raises StudyError where it cannot be read.
        """
        ...


class ChangedTable:
    """Header and rows inside a transaction, and what it changes; what it was made of stays as it is."""

    def __init__(self, header: Mapping[str, Any], rows: Mapping[int, Row]) -> None:
        self._header: Mapping[str, Any] = json.loads(dumped(header))
        self._rows = dict(rows)
        self.changed: dict[int, Row] = {}
        self.dropped: set[int] = set()
        self.new_header: Mapping[str, Any] | None = None

    @property
    def header(self) -> Mapping[str, Any]:
        """What the study is."""
        return self._header

    @property
    def rows(self) -> Mapping[int, Row]:
        """All rows by number."""
        return self._rows

    def put(self, row: Row) -> None:
        """Add a row, or write one anew."""
        if self._rows.get(row.number) != row:
            self._rows[row.number] = self.changed[row.number] = row
            self.dropped.discard(row.number)

    def drop(self, number: int) -> None:
        """Take a row out."""
        self._rows.pop(number, None)
        self.changed.pop(number, None)
        self.dropped.add(number)

    def set_header(self, header: Mapping[str, Any]) -> None:
        """Write the header anew."""
        self._header = self.new_header = json.loads(dumped(header))

    @property
    def is_changed(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.changed or self.dropped) or self.new_header is not None
