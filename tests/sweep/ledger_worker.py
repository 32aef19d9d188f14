"""A worker of a study without trials: claims a row, waits a moment, ends it; for tests of storages."""

import os
import random
import sys
import time
from dataclasses import replace
from pathlib import Path

from pettingllms.sweep.ledger import claims as ledger
from pettingllms.sweep.ledger.in_folder import FileLedger


def open_ledger(spec, name):
    if "://" not in spec:
        return FileLedger(Path(spec))
    from pettingllms.sweep.ledger.in_database import Database, SqlLedger
    from pettingllms.sweep.ledger.url import storage_url

    return SqlLedger(Database(storage_url(spec)), name)


def main(spec, name, mine, lease, log):
    study = open_ledger(spec, name)
    while True:
        now = time.time()
        with study.transaction() as table:
            row = ledger.claimable(table, now)
            held = None if row is None else ledger.claim(table, row, mine, now, lease)
            over = ledger.is_over(table.rows)
        if over:
            return
        if held is None:
            time.sleep(0.02)
            continue
        time.sleep(random.uniform(0, 0.04))
        with study.transaction() as table:
            done = ledger.finish(table, replace(held, state="complete", objectives=(float(held.number),)))
        if done is not None:
            # One write of an appending handle is not mixed with others.
            os.write(log, f"{held.number}\n".encode())


if __name__ == "__main__":
    handle = os.open(sys.argv[5], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), handle)
