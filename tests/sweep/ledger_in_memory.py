"""A ledger in memory, and a study over it in one process: rows and an advisor, nothing that runs."""

import contextlib
import dataclasses

from pettingllms.sweep.ledger.rows import Row


class MemoryTable:
    """The rows within one transaction."""

    def __init__(self, header, rows):
        self.header, self.rows = dict(header), dict(rows)

    def put(self, row):
        """Add a row, or write one anew."""
        self.rows[row.number] = row

    def set_header(self, header):
        """Write the header anew."""
        self.header = dict(header)


class MemoryLedger:
    """Keeps a table; what a transaction changed is gone where it raises."""

    def __init__(self, header=()):
        self.header, self.rows = dict(header), {}

    @contextlib.contextmanager
    def transaction(self):
        table = MemoryTable(self.header, self.rows)
        yield table
        self.header, self.rows = table.header, table.rows


class NoLock:
    """The lock of a journal that nobody else writes to."""

    def acquire(self):
        return True

    def release(self):
        pass


def started(ledger, advisor, number):
    """Sample row `number` and write it down as running."""
    with ledger.transaction() as table:
        advisor.reconcile(table.rows)
        proposal = advisor.propose(number)
        row = Row(number, proposal.values, proposal.active, "running", 1, advice=proposal.advice)
        table.put(row)
    return row


def ended(ledger, advisor, number, state="complete", objectives=None, **changes):
    """Write down that row `number` has ended, and tell the advisor."""
    with ledger.transaction() as table:
        row = dataclasses.replace(table.rows[number], state=state, objectives=objectives, **changes)
        table.put(row)
        advisor.tell(row)
    return row


def studied(advisor, objective, trials, ledger=None):
    """Run rows one after the other up to `trials` of them; returns the ledger.

    `objective`: from the values of a row to its objectives.
    """
    ledger = ledger or MemoryLedger()
    for number in range(len(ledger.rows), trials):
        row = started(ledger, advisor, number)
        ended(ledger, advisor, number, objectives=objective(row.values))
    return ledger
