"""Tasks from the rows of a source: its own splits, or rows held out for those that it has none for."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pettingllms.config.data import DataOptions
from pettingllms.data.checked import CheckedRows, GoodRow, checked_rows
from pettingllms.data.formats import RowFormat, row_format
from pettingllms.data.located import Located, located
from pettingllms.data.records import DatasetRecord, RecordedTasks, fingerprint
from pettingllms.data.rows import Converter, Verifier
from pettingllms.data.sources import Source, preset_of, source_of
from pettingllms.errors import RefusedError
from pettingllms.types import Split, Task

HELD_OUT: tuple[Split, ...] = ("test", "val")
"""The splits that rows are held out for, in this order."""


def load_tasks(
    source: str,
    split: Split,
    options: DataOptions,
    seed: int,
    *,
    own: Converter | None = None,
    verify: Verifier | None = None,
    benchmark: bool = False,
) -> RecordedTasks:
    """The tasks of one split; see `load_splits`."""
    return load_splits(source, (split,), options, seed, own=own, verify=verify, benchmark=benchmark)[split]


def load_splits(
    source: str,
    splits: Collection[Split],
    options: DataOptions,
    seed: int,
    *,
    own: Converter | None = None,
    verify: Verifier | None = None,
    benchmark: bool = False,
    measured_on: str | None = None,
) -> dict[Split, RecordedTasks]:
    """The tasks of `splits` from the rows of `source`; the same for the same rows, options and seed.

    A split that the source has files for is what is in them. Where it has none for validation or test, rows
    are held out of the training split: which ones depends on their content and `seed` alone. A source without
    any training rows gives those that it has for validation and test alike.

    `own`: reads rows of the environment's own format. `verify`: looks at what was read. `benchmark`: nothing
    is trained on this source, so that all rows of its test split are taken, else of its validation or
    training split. `measured_on`: what validation tasks come from instead; rows that are known to be of it
    are left out.
    Raises RefusedError where rows cannot be had, too many are bad, or too few are left.
    """
    named = source_of(source)
    form = row_format(named, options.benchmark_fields if benchmark else options.fields, own)
    form = form.without(None if measured_on is None else preset_of(measured_on))
    reading = _Reading(named, located(named), form, verify, options, seed, {})
    return {split: reading.tasks(split, whole=benchmark) for split in splits}


@dataclass(frozen=True, slots=True)
class _Reading:
    """One source while its splits are read, the rows of each but once."""

    source: Source
    located: Located
    form: RowFormat
    verify: Verifier | None
    options: DataOptions
    seed: int
    read: dict[Split, CheckedRows]

    def tasks(self, split: Split, *, whole: bool) -> RecordedTasks:
        files = self.located.files
        if whole or "train" not in files:
            order: Sequence[Split] = ("test", "val", "train") if whole else _without_training(split)
            part = next((one for one in order if one in files), None)
            if part is None:
                raise RefusedError(
                    f"dataset {self.source.text!r} has no rows to train on, only {' and '.join(files)} rows",
                    help="name it as env.benchmark, and another one as env.dataset",
                )
            return self._recorded(split, part, self._rows(part).good)
        if split in files and split != "train":
            return self._recorded(split, split, self._rows(split).good)
        return self._recorded(split, "train", self._divided()[split])

    def _rows(self, part: Split) -> CheckedRows:
        if part not in self.read:
            found = checked_rows(
                self.located.root,
                self.located.files[part],
                self.form.converter,
                self.form.known,
                self.options.max_bad_fraction,
                self.verify,
            )
            if not found.good:
                raise RefusedError(
                    f"dataset {self.source.text!r} has no rows in {', '.join(self.located.files[part])}",
                    help="name a file that holds some",
                )
            self.read[part] = found
        return self.read[part]

    def _divided(self) -> Mapping[Split, Sequence[GoodRow]]:
        """The training rows, divided among the splits that have no files."""
        rows = self._rows("train").good
        sizes = {"test": self.options.test_size, "val": self.options.validation_size}
        wanted = {split: sizes[split] for split in HELD_OUT if split not in self.located.files}
        if sum(wanted.values()) >= len(rows):
            raise RefusedError(
                f"dataset {self.source.text!r} has {len(rows)} training rows, too few beside "
                f"{sum(wanted.values())} held-out ones",
                help="lower env.options.validation_size or test_size",
            )
        drawn = sorted(range(len(rows)), key=lambda place: _draw(self.seed, rows[place]))
        divided: dict[Split, Sequence[GoodRow]] = {}
        begin = 0
        for split, size in wanted.items():
            divided[split] = [rows[place] for place in sorted(drawn[begin : begin + size])]
            begin += size
        divided["train"] = [rows[place] for place in sorted(drawn[begin:])]
        return divided

    def _recorded(self, split: Split, part: Split, rows: Sequence[GoodRow]) -> RecordedTasks:
        read, source = self._rows(part), self.source
        names = [f"{split}/{row.name}" for row in rows]
        record = DatasetRecord(
            source=source.text,
            tasks=len(rows),
            sha256=fingerprint(zip(names, (row.digest for row in rows), strict=True)),
            repo=source.repo,
            revision=self.located.revision,
            files=tuple(self.located.files[part]),
            rows=read.total,
            bad=read.bad,
            bad_places=read.places,
        )
        tasks = [Task(name, split, row.data) for name, row in zip(names, rows, strict=True)]
        return RecordedTasks(tasks, record)


def _without_training(split: Split) -> Sequence[Split]:
    """Where the rows of a split come from in a source that has none to train on."""
    return () if split == "train" else (split, *(one for one in HELD_OUT if one != split))


def _draw(seed: int, row: GoodRow) -> bytes:
    """What the order of a draw follows; where a row stands in its file does not matter."""
    return hashlib.sha256(f"held out/{seed}/{row.digest}".encode()).digest()
