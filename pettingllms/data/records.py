"""What is remembered of the tasks of a split: where they came from, how many, which were bad, and a hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pettingllms.data.comparing import canonical, digest
from pettingllms.types import Task


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """Where the tasks of a split came from, for `manifest.json`.

    `source`: as the experiment names it. `repo`, `revision`: of the hub, where it is from there and known.
    `files`: those that were read; `rows`: in them, and `bad` of these by reason, `bad_places` the first.
    `contaminated`: tasks that were left out, as they share text with held-out ones. `tasks`: of the split;
    `sha256`: over their ids and data, in order.
    """

    source: str
    tasks: int
    sha256: str
    repo: str | None = None
    revision: str | None = None
    files: tuple[str, ...] = ()
    rows: int | None = None
    bad: Mapping[str, int] = field(default_factory=dict)
    bad_places: tuple[str, ...] = ()
    contaminated: int = 0

    @property
    def bad_words(self) -> str:
        """How many rows are bad, and why: `2 of 100 rows of train.jsonl are bad (bad_json 2)`."""
        files = self.files[0] if len(self.files) == 1 else f"{len(self.files)} files of {self.source}"
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.bad.items())
        return f"{sum(self.bad.values())} of {self.rows} rows of {files} are bad ({reasons})"

    def as_json(self) -> dict[str, Any]:
        """The record as JSON has it."""
        return asdict(self)


class RecordedTasks(tuple[Task, ...]):
    """Tasks of a split that were read from rows, with their record."""

    record: DatasetRecord

    def __new__(cls, tasks: Iterable[Task], record: DatasetRecord) -> RecordedTasks:
        """`record`: of these tasks."""
        made = super().__new__(cls, tasks)
        made.record = record
        return made


def with_bad_rows(records: Iterable[DatasetRecord]) -> list[DatasetRecord]:
    """The records that have bad rows, one of those that were read from the same files."""
    found = {(record.source, record.files): record for record in records if record.bad}
    return list(found.values())


def record_of(source: str, tasks: Sequence[Task]) -> DatasetRecord:
    """The record of the tasks that `source` gave: the one that they carry, or one of what they are."""
    if isinstance(tasks, RecordedTasks):
        return tasks.record
    return DatasetRecord(source, len(tasks), fingerprint((task.id, _digest(task)) for task in tasks))


def fingerprint(tasks: Iterable[tuple[str, str]]) -> str:
    """SHA-256 over the ids of tasks and the hashes of their data, in order."""
    found = hashlib.sha256()
    for name, data in tasks:
        found.update(f"{canonical([name, data])}\n".encode())
    return found.hexdigest()


def _digest(task: Task) -> str:
    """The hash of a task's data; of data that no text describes, such as objects, nothing."""
    try:
        return digest(canonical(task.data, strict=True))
    except (TypeError, ValueError, RecursionError):
        return ""
