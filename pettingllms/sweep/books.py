"""What a worker says to the ledger and to Optuna: each method is one exclusive transaction, or two.

The row is written first and Optuna told after, in a transaction of its own: a worker that is killed between
the two leaves a row that has ended and a trial that runs, which the next claim mends. The other way round the
cell would be run again, and Optuna would not take its result.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from pettingllms.config.sweep import SweepConfig
from pettingllms.lint.engine import CheckedCell
from pettingllms.sweep.budget import spent, ticked
from pettingllms.sweep.folders import trial_folder
from pettingllms.sweep.ledger import claims as cells_ledger
from pettingllms.sweep.ledger.rows import ENDED, Advisor, Cause, Ledger, Row, Table


class Shared(Protocol):
    """A study that is open (see `studies`)."""

    @property
    def ledger(self) -> Ledger:
        """Who runs what."""
        ...

    @property
    def folder(self) -> Path:
        """Where its trials lie."""
        ...

    def require_same(self, table: Table) -> None:
        """Raise RefusedError where the study has become another one since it was opened."""
        ...


class Cells(Protocol):
    """What a row stands for (see `study_cells`)."""

    def of(self, row: Row) -> CheckedCell:
        """The cell of a row."""
        ...

    def refusal(self, values: Mapping[str, Any], active: tuple[str, ...]) -> str | None:
        """Why a cell of these values cannot run; None where it may."""
        ...


@dataclass(frozen=True, slots=True)
class Claim:
    """What came of asking for a cell.

    `row`: the one that is this worker's now, None where none is free. `abandoned`: rows that ended because
    their workers had gone too often. `over`: no row waits or runs, and none is to come. `budget`: why no
    further trial starts, where the budget is used up. `rows`: all, as they were.
    """

    row: Row | None
    abandoned: tuple[Row, ...]
    over: bool
    budget: str | None
    rows: Mapping[int, Row]


class Books:
    """The ledger and the advisor of a study as the worker `name` uses them.

    Leases last `lease` seconds.
    """

    def __init__(
        self,
        study: Shared,
        advisor: Advisor,
        cells: Cells,
        sweep: SweepConfig,
        *,
        name: str,
        lease: float,
    ) -> None:
        self._study, self._ledger = study, study.ledger
        self._advisor, self._cells, self._sweep = advisor, cells, sweep
        self._name, self._lease = name, lease

    def claim(self, *, only_look: bool = False) -> Claim:
        """Take the next cell, where one is free, or let the sampler propose one.

        `only_look`: take none. Raises RefusedError where the sampler finds no values.
        """
        with self._ledger.transaction() as table:
            now = time.time()
            self._study.require_same(table)
            self._advisor.reconcile(table.rows)
            abandoned = cells_ledger.end_abandoned(table, now, self._sweep.retries)
            budget = spent(table, self._sweep.budget)
            row = None
            if not only_look and budget is None:
                free = cells_ledger.claimable(table, now)
                if free is None and self._has_more(table):
                    free = self._proposed(table)
                if free is not None:
                    ticked(table, self._sweep.budget, now, self._lease)
                    row = self._taken(table, free)
            over = cells_ledger.is_over(table.rows) and not self._has_more(table)
            found = Claim(row, tuple(abandoned), over, budget, dict(table.rows))
        self.tell(abandoned)
        return found

    def renew(self, held: Sequence[Row]) -> tuple[list[Row | None], Mapping[int, Row]]:
        """Write the rows as they are, with new leases; and all rows.

        For each the row as it was written, None for one that another worker has now.
        """
        with self._ledger.transaction() as table:
            now = time.time()
            renewed = [cells_ledger.renew(table, row, now, self._lease) for row in held]
            ticked(table, self._sweep.budget, now, self._lease)
            return renewed, dict(table.rows)

    def report(self, row: Row, step: int, value: float) -> bool:
        """Pass the objective at `step` on; True where the trial is hopeless."""
        if len(self._sweep.objectives) > 1 or not math.isfinite(value) or row.advice is None:
            return False
        with self._ledger.transaction() as table:
            return cells_ledger.holds(table, row) and self._advisor.report(row.advice, step, value)

    def finish(self, row: Row) -> Row | None:
        """Write a row that has ended; None where it is another worker's now."""
        with self._ledger.transaction() as table:
            written = cells_ledger.finish(table, row)
            ticked(table, self._sweep.budget, time.time(), self._lease)
        if written is not None:
            self.tell([written])
        return written

    def give_back(
        self, row: Row, *, wait: float = 0.0, cause: Cause | None = None, reason: str | None = None
    ) -> Row | None:
        """Let the row wait again, for `wait` seconds at least; None where it is another worker's now."""
        with self._ledger.transaction() as table:
            ticked(table, self._sweep.budget, time.time(), self._lease)
            not_before = time.time() + wait if wait else 0.0
            return cells_ledger.give_back(table, row, not_before=not_before, cause=cause, reason=reason)

    def is_tried_again(self, row: Row, cause: Cause) -> bool:
        """Whether another attempt follows one that `cause` ended."""
        return cells_ledger.is_tried_again(row, cause, self._sweep.retries)

    def cell(self, row: Row) -> CheckedCell:
        """What the row stands for. Raises RefusedError where that cannot run."""
        return self._cells.of(row)

    def tell(self, ended: Iterable[Row]) -> None:
        """Tell Optuna of rows that ended."""
        told = [row for row in ended if row.state in ENDED]
        if told:
            with self._ledger.transaction():
                for row in told:
                    self._advisor.tell(row)

    def _has_more(self, table: Table) -> bool:
        return self._sweep.sampler != "grid" and self._inside(table) < self._sweep.trials

    def _inside(self, table: Table) -> int:
        """How many rows are of the space as it is now."""
        return sum(not row.outside for row in table.rows.values())

    def _taken(self, table: Table, free: Row) -> Row:
        held = cells_ledger.claim(table, free, self._name, time.time(), self._lease)
        folder = str(trial_folder(self._study.folder, held.number))
        held = replace(held, advice=self._advisor.enqueue(held), folder=folder)
        # Waiting for others and for Optuna is no part of the lease.
        held = replace(held, lease_until=time.time() + self._lease)
        table.put(held)
        return held

    def _proposed(self, table: Table) -> Row:
        """A new row, of values that the linter passes; what it refuses is counted in the header."""
        number = cells_ledger.next_number(table)
        while True:
            proposal = self._advisor.propose(number)
            why = self._cells.refusal(proposal.values, proposal.active)
            if why is None:
                return cells_ledger.append(table, proposal.values, proposal.active, proposal.advice)
            self._advisor.refuse(proposal.advice, why)
            table.set_header({**table.header, REFUSED: table.header.get(REFUSED, 0) + 1})


REFUSED = "refused_proposals"
"""The key of the header that counts proposals that the linter refused."""
