"""What becomes of a study's rows: claimed, renewed, ended, given back, tried again; pure over a `Table`.

A worker holds a row by the pair of `worker` and `attempt`. Each claim raises `attempt`, so that one whose
lease has run out and whose row was claimed by another is told so at its next word, and changes nothing.
While nobody has claimed it, the row stays with the worker that is late. The clocks of the machines of a study
must agree to within a fraction of the lease.

A worker passes rows, not numbers: it changes the copy that it holds (`replace(row, step=7)`) and `renew`,
`finish` or `give_back` write it. None of the functions reads a clock or a file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from pettingllms.errors import RefusedError, UsageError
from pettingllms.hiding import hidden
from pettingllms.sweep.ledger.rows import ENDED, Cause, Row, Table

TRIED_AGAIN: frozenset[Cause] = frozenset({"oom", "port", "preempted"})
"""Causes that need not come back: an attempt that one of them ended is followed by another."""


def append(
    table: Table, values: Mapping[str, Any], active: tuple[str, ...] = (), advice: int | None = None
) -> Row:
    """Add a waiting row under the next number; returns it."""
    row = Row(next_number(table), values, active, advice=advice)
    table.put(row)
    return row


def next_number(table: Table) -> int:
    """The number that the next row gets."""
    return max(table.rows, default=-1) + 1


def claimable(table: Table, now: float) -> Row | None:
    """The row that is to be run next: the first that waits, or whose worker has let its lease run out."""
    free = (row for _, row in sorted(table.rows.items()) if is_free(row, now))
    return next(free, None)


def is_free(row: Row, now: float) -> bool:
    """Whether the row may be claimed."""
    return (row.state == "waiting" and row.not_before <= now) or is_stale(row, now)


def is_stale(row: Row, now: float) -> bool:
    """Whether the row's worker has not renewed its lease in time."""
    return row.state == "running" and row.lease_until <= now


def claim(table: Table, row: Row, worker: str, now: float, lease: float) -> Row:
    """Give a free row to `worker` for `lease` seconds; returns the row that it holds now.

    Another attempt that was left behind counts as preempted. Raises ValueError where the row is not free.
    """
    there = table.rows[row.number]
    if not is_free(there, now):
        raise ValueError(f"row {there.number} is {there.state}")
    stale = there.state == "running"
    held = replace(
        there,
        state="running",
        attempt=there.attempt + 1,
        failures=there.failures + stale,
        worker=worker,
        lease_until=now + lease,
        not_before=0.0,
        objectives=None,
        reason=_left(there) if stale else there.reason,
        cause="preempted" if stale else there.cause,
    )
    table.put(held)
    return held


def end_abandoned(table: Table, now: float, retries: int) -> list[Row]:
    """End the rows whose workers have gone more than `retries` times; returns them, failed."""
    ended = []
    for row in list(table.rows.values()):
        if is_stale(row, now) and row.failures >= retries:
            failed = replace(
                row,
                state="failed",
                failures=row.failures + 1,
                lease_until=0.0,
                objectives=None,
                reason=_left(row),
                cause="preempted",
            )
            table.put(failed)
            ended.append(failed)
    return ended


def holds(table: Table, held: Row) -> bool:
    """Whether the worker that has `held` still has that row."""
    there = table.rows.get(held.number)
    return (
        there is not None
        and there.state == "running"
        and (there.worker, there.attempt) == (held.worker, held.attempt)
    )


def renew(table: Table, held: Row, now: float, lease: float) -> Row | None:
    """Write the row as its worker has it, with a lease of `lease` seconds from now; returns it.

    None where the row is no longer this worker's: it kills the trial and leaves the row alone.
    """
    if not holds(table, held):
        return None
    renewed = replace(held, state="running", lease_until=now + lease)
    table.put(renewed)
    return renewed


def finish(table: Table, ended: Row) -> Row | None:
    """Write a row that its worker has ended: `state` complete, pruned or failed, with all that belongs to it.

    None where the row is no longer this worker's, and nothing was written. Raises ValueError where the row
    is not an ended one: a complete one has objectives, another a reason.
    """
    if ended.state not in ENDED or (ended.objectives is None) == (ended.state == "complete"):
        raise ValueError(f"row {ended.number} is {ended.state} with objectives {ended.objectives}")
    if not holds(table, ended):
        return None
    written = replace(ended, lease_until=0.0, not_before=0.0, reason=_safe(ended.reason))
    if written.state == "complete":
        written = replace(written, reason=None, cause=None)
    table.put(written)
    return written


def give_back(
    table: Table,
    held: Row,
    *,
    not_before: float = 0.0,
    cause: Cause | None = None,
    reason: str | None = None,
) -> Row | None:
    """Let a row wait again, from `not_before` on; the next attempt goes on from its checkpoint.

    `cause`: why the attempt failed, which counts; None where a person stopped it. None where the row is no
    longer this worker's.
    """
    if not holds(table, held):
        return None
    waiting = replace(
        held,
        state="waiting",
        failures=held.failures + (cause is not None),
        worker=None,
        lease_until=0.0,
        not_before=not_before,
        objectives=None,
        cause=cause,
        reason=_safe(reason),
    )
    table.put(waiting)
    return waiting


def is_tried_again(row: Row, cause: Cause, retries: int) -> bool:
    """Whether another attempt follows one that `cause` ended; `retries` of them may fail in a study."""
    return cause in TRIED_AGAIN and row.failures < retries


def retry(table: Table, numbers: Collection[int] | None = None) -> list[Row]:
    """Let ended rows wait again, as if they had never failed: those of `numbers`, by default all that failed.

    Returns them in order. Raises UsageError for a number that is no row, RefusedError for one that runs or
    waits.
    """
    chosen = [row for row in table.rows.values() if row.state == "failed" and not row.outside]
    if numbers is not None:
        chosen = [_ended(table, number) for number in dict.fromkeys(numbers)]
    again = [
        replace(
            row,
            state="waiting",
            failures=0,
            worker=None,
            lease_until=0.0,
            not_before=0.0,
            objectives=None,
            reason=None,
            cause=None,
            advice=None,
        )
        for row in sorted(chosen, key=lambda row: row.number)
    ]
    for row in again:
        table.put(row)
    return again


def counts(rows: Mapping[int, Row]) -> dict[str, int]:
    """How many rows are in each state, in the order of a cell's life; states without a row are there too."""
    found = dict.fromkeys(("waiting", "running", "complete", "pruned", "failed"), 0)
    for row in rows.values():
        found[row.state] += 1
    return found


def is_over(rows: Mapping[int, Row]) -> bool:
    """Whether every row has ended."""
    return all(row.state in ENDED for row in rows.values())


def _ended(table: Table, number: int) -> Row:
    row = table.rows.get(number)
    if row is None:
        raise UsageError(f"the study has no cell {number}", help=_known(table))
    if row.state not in ENDED:
        raise RefusedError(
            f"cell {number} is {row.state}: only one that has ended can be tried again",
            help="its worker goes on with it" if row.state == "running" else "`sweep run` runs it",
        )
    if row.outside:
        raise RefusedError(f"cell {number} is not in the space of the study any more")
    return row


def _known(table: Table) -> str:
    if not table.rows:
        return "it has no cells yet"
    return f"it has {min(table.rows)} to {max(table.rows)}; `sweep status` lists them"


def _left(row: Row) -> str:
    return f"its worker {row.worker} has gone at step {row.step}"


def _safe(reason: str | None) -> str | None:
    return None if reason is None else hidden(reason)
