"""The header of a study: what it is, what it is locked to, and how it goes on when that has changed.

| key | holds |
|---|---|
| `name`, `experiment` | the study's name, and that of its experiment, fit for folders |
| `created` | when, in UTC |
| `source`, `text`, `overrides`, `overlays` | the experiment as it was written, and where |
| `lock`, `digest` | `StudyLock` as two tables, and the hash of it |
| `axes` | the paths of what is swept, in the order of the file |
| `sweep` | the whole `[sweep]` section |
| `revision` | from 1; each `--extend` adds one |
| `advised` | the revision that Optuna's study was made of |

Others may keep keys of their own in it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pettingllms.config.axes import Axis
from pettingllms.config.study_lock import Change, StudyLock, changes, study_lock
from pettingllms.config.sweep import SweepConfig
from pettingllms.documents.source import dotted
from pettingllms.errors import RefusedError, StudyError
from pettingllms.lint.report import Report
from pettingllms.space.cells import Cell
from pettingllms.sweep.ledger.row_json import dumped
from pettingllms.sweep.ledger.rows import ENDED, Row, Table

SHOWN_CHANGES = 20
OBJECTIVES, SAMPLER = "[sweep] objectives", "[sweep] sampler"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a file asks for: the study's lock, and the cells of a grid (of other samplers there are none)."""

    lock: StudyLock
    sweep: SweepConfig
    axes: tuple[Axis, ...]
    rows: tuple[Row, ...]
    told: Mapping[str, Any]

    @classmethod
    def of(cls, checked: Report, overlays: Sequence[Path] = ()) -> Wanted:
        """What a report that is not refused asks for."""
        experiment, draft = checked.experiment, checked.draft
        if experiment is None or draft is None:
            raise ValueError("a refused experiment has no study")
        sweep = experiment.config.sweep or SweepConfig()
        cells = checked.cells.runnable if sweep.sampler == "grid" else ()
        told = {
            "source": str(experiment.path.absolute()),
            "text": experiment.text,
            "overrides": list(experiment.overrides),
            "overlays": [str(path.absolute()) for path in overlays],
            "axes": [list(axis.path) for axis in draft.axes],
            "sweep": sweep.model_dump(mode="json"),
        }
        return cls(study_lock(draft, sweep), sweep, draft.axes, tuple(map(row_of_cell, cells)), told)

    def header(self, name: str, experiment: str) -> dict[str, Any]:
        """The header of a new study."""
        created = datetime.now(UTC).isoformat(timespec="seconds")
        names = {"name": name, "experiment": experiment, "created": created}
        return {**names, **self.told, **self.locked(), "revision": 1, "advised": 1}

    def locked(self) -> dict[str, Any]:
        """The keys of the header that lock it."""
        lock = {"space": dict(self.lock.space), "rest": dict(self.lock.rest)}
        return {"lock": lock, "digest": self.lock.digest}


def row_of_cell(cell: Cell) -> Row:
    """The waiting row of a cell."""
    active = tuple(dotted(path) for path in cell.values if path in cell.active)
    return Row(cell.number, {dotted(path): value for path, value in cell.values.items()}, active)


def changed(header: Mapping[str, Any], wanted: Wanted) -> tuple[list[Change], list[Change]]:
    """What a file asks for that a study is not locked to: in its space, and in the rest.

    Raises StudyError where the header says nothing of it.
    """
    lock = header.get("lock")
    if not isinstance(lock, dict) or not all(isinstance(lock.get(key), dict) for key in ("space", "rest")):
        raise StudyError(
            "the header of the study is damaged: it does not say which space it has",
            help="put back a copy, or start another study with --new-study",
        )
    if header.get("digest") == wanted.lock.digest:
        return [], []
    return changes(lock["space"], wanted.lock.space), changes(lock["rest"], wanted.lock.rest)


def refuse_changes(name: str, space: Sequence[Change], rest: Sequence[Change]) -> None:
    """Raise RefusedError where a study is another one than a file asks for, key by key."""
    found = [*space, *rest]
    if not found:
        return
    lines = [f"  {change}" for change in found[:SHOWN_CHANGES]]
    if len(found) > SHOWN_CHANGES:
        lines.append(f"  and {len(found) - SHOWN_CHANGES} more")
    what = " and ".join(word for word, some in (("another space", space), ("other settings", rest)) if some)
    choice = "--new-study starts another study"
    if not _is_other(space):
        choice += "; --extend goes on with this one: cells that have ended stay, new ones are added"
    raise RefusedError("\n".join([f"study {name} has {what} than the file:", *lines]), help=choice)


def extend(table: Table, wanted: Wanted, now: float) -> list[str]:
    """Let the study of `table` go on with what `wanted` asks for; returns what became of it, in words.

    Rows keep their numbers. Those that have ended stay, marked where the new space does not have them; others
    that it does not have are dropped. Cells of a grid that are new are added. Optuna's study has to be made
    anew (`advised`). Raises RefusedError while cells run, and where the objectives are others.
    """
    header = table.header
    space, rest = changed(header, wanted)
    if not space and not rest:
        return []
    if _is_other(space):
        refuse_changes(str(header.get("name")), space, rest)
    running = [row.number for row in table.rows.values() if row.state == "running" and row.lease_until > now]
    if running:
        raise RefusedError(
            f"the study cannot be extended while cells run: {', '.join(map(str, sorted(running)))}",
            help="stop its workers, whose trials go on from their checkpoints",
        )
    before = set(table.rows)
    first = max(before, default=-1) + 1
    asked = {key(row.values): row for row in wanted.rows}
    other_kind = any(change.name == SAMPLER for change in space) and wanted.sweep.sampler != "grid"
    outside = 0
    for row in sorted(table.rows.values(), key=lambda row: row.number):
        inside = _has(row, wanted.axes) if wanted.sweep.sampler != "grid" else key(row.values) in asked
        if row.state in ENDED:
            outside += not inside
            table.put(replace(row, outside=not inside, advice=None))
        elif inside and not other_kind:
            table.put(replace(row, advice=None))
        else:
            table.drop(row.number)
    there = {key(row.values) for row in table.rows.values()}
    for number, row in enumerate((row for name, row in asked.items() if name not in there), start=first):
        table.put(replace(row, number=number))
    revision = int(header.get("revision", 1)) + 1
    table.set_header({**header, **wanted.told, **wanted.locked(), "revision": revision})
    return _told(rest, len(before - set(table.rows)), len(set(table.rows) - before), outside)


def key(values: Mapping[str, Any]) -> str:
    """One text for the values of a cell, whatever the order of its axes."""
    return dumped(dict(sorted(values.items())))


def _told(rest: Collection[Change], dropped: int, added: int, outside: int) -> list[str]:
    lines = [f"cells that have ended ran under another value: {change}" for change in rest]
    lines += [f"new cells: {added}"] if added else []
    lines += [f"{dropped} cells that had not ended are not in the space any more"] if dropped else []
    lines += [f"{outside} cells that have ended are not in the space any more, and stay"] if outside else []
    return lines


def _is_other(space: Sequence[Change]) -> bool:
    """Whether the study could not go on: what its cells came to are other figures."""
    return any(change.name == OBJECTIVES for change in space)


def _has(row: Row, axes: Sequence[Axis]) -> bool:
    """Whether the axes have the row's values."""
    by_name = {dotted(axis.path): axis for axis in axes}
    return set(by_name) == set(row.values) and all(
        _on(by_name[name], value) for name, value in row.values.items()
    )


def _on(axis: Axis, value: Any) -> bool:
    if axis.kind == "choice":
        return dumped(value) in {dumped(one) for one in (*(axis.values or ()), axis.default)}
    if value == axis.default:
        return True
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or axis.low is None or axis.high is None or not axis.low <= value <= axis.high:
        return False
    if axis.kind == "int" and not isinstance(value, int):
        return False
    steps = 0.0 if axis.step is None else (value - axis.low) / axis.step
    return bool(abs(steps - round(steps)) < 1e-6)
