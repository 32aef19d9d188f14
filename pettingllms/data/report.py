"""What `pettingllms data check` says: where tasks come from, which rows were bad, what splits share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pettingllms.data.contamination import Overlap, overlap_of
from pettingllms.data.records import DatasetRecord, record_of, with_bad_rows
from pettingllms.types import Split, Task


@dataclass(frozen=True, slots=True)
class DataReport:
    """Records of all splits, and what each but training shares with training."""

    records: Mapping[Split, DatasetRecord]
    overlaps: Sequence[Overlap]

    @property
    def clean(self) -> bool:
        """Whether training shares nothing with another split."""
        return all(overlap.clean for overlap in self.overlaps)

    def as_json(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return {
            "clean": self.clean,
            "splits": {split: record.as_json() for split, record in self.records.items()},
            "overlaps": [
                {**asdict(one), "pairs": [pair._asdict() for pair in one.pairs]} for one in self.overlaps
            ],
        }

    def as_text(self) -> list[str]:
        """The report as lines for people."""
        lines = _table(
            ("split", "tasks", "rows", "bad", "revision", "sha256", "source"),
            [_record_cells(split, record) for split, record in self.records.items()],
        )
        for record in with_bad_rows(self.records.values()):
            lines += ["", f"{record.bad_words}; the first:", *(f"  {place}" for place in record.bad_places)]
        if dropped := sum(record.contaminated for record in self.records.values()):
            lines += ["", f"{dropped} training tasks shared text with held-out ones, and are left out"]
        lines += [
            "",
            *_table(("shared with training", "exact", "13 words", "of", "train tasks"), self._rows()),
        ]
        for overlap in self.overlaps:
            lines += [f"  {pair.held} and {pair.train}: {_KINDS[pair.kind]}" for pair in overlap.pairs]
            if overlap.short:
                lines.append(
                    f"  {overlap.short} of {overlap.split} have fewer than 13 words: compared as a whole only"
                )
        return lines

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (one.split, str(one.exact), str(one.words), str(one.tasks), str(one.train))
            for one in self.overlaps
        ]


_KINDS = {"exact": "the same question", "words": "13 words in a row"}


def data_report(sources: Mapping[Split, str], tasks: Mapping[Split, Sequence[Task]]) -> DataReport:
    """The report on the tasks of all splits. `sources`: as the experiment names them."""
    records = {split: record_of(sources[split], own) for split, own in tasks.items()}
    overlaps = [overlap_of(split, own, tasks["train"]) for split, own in tasks.items() if split != "train"]
    return DataReport(records, overlaps)


def _record_cells(split: str, record: DatasetRecord) -> tuple[str, ...]:
    rows = "-" if record.rows is None else str(record.rows)
    revision = (record.revision or "-")[:12]
    bad = str(sum(record.bad.values()))
    return (split, str(record.tasks), rows, bad, revision, record.sha256[:12], record.source)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of one width each; those between the first and the last are right-aligned."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    return [
        "  ".join(
            cell.rjust(width) if 0 < column < len(head) - 1 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [head, *rows]
    ]
