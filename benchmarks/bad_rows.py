"""Time for 10,000 bad rows of each kind, read, converted and counted with their places.

What counts is the time of the processor: how long it is in all depends on what else the machine does.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from pettingllms.data.checked import checked_rows
from pettingllms.envs.math_rows import own

ROWS = 10_000


def _row(number, **changed):
    row = {"question": f"What is {number} + 1? " + "Think about it step by step. " * 4, "answer": number}
    return json.dumps({**row, **changed}).encode()


KINDS = {
    "good": _row,
    "broken JSON": lambda number: _row(number)[:-1],
    "byte order mark before broken JSON": lambda number: b"\xef\xbb\xbf" + _row(number)[1:],
    "CRLF after broken JSON": lambda number: _row(number)[:-1] + b"\r",
    "NUL": lambda number: _row(number) + b"\0",
    "huge line": lambda number: _row(number, more="x" * 10_000),
    "no UTF-8": lambda number: _row(number) + b"\xff",
    "half a character": lambda number: _row(number, question="\ud800"),
    "NaN": lambda number: _row(number, answer=float("nan")),
    "number of 5000 digits": lambda _: b'{"answer": ' + b"9" * 5000 + b"}",
    "no object": lambda _: b'["What?", 1]',
    "missing field": lambda _: b'{"question": "What is 1 + 1?"}',
    "wrong type": lambda number: _row(number, answer=[number]),
    "empty answer": lambda number: _row(number, answer=" "),
    "id twice": lambda number: _row(number, id="the same"),
    "question twice": lambda _: _row(0),
}
LIMIT = 8_000
"""Bytes of a line here, so that 10,000 huge ones fit the disk."""


def main(arguments=None):
    """Returns 1 where a bad row was not counted, or a kind takes more than a second of CPU per 10,000."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of each kind")
    rows = parser.parse_args(arguments).rows
    failed = False
    print(f"{'kind of row':<36}{'rows':>8}{'bad':>8}{'seconds':>9}{'of CPU':>8}  reasons")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        for kind, line in KINDS.items():
            with path.open("wb") as file:
                file.writelines(line(number) + b"\n" for number in range(rows))
            begin, begin_cpu = time.perf_counter(), time.process_time()
            found = checked_rows(path.parent, [path.name], own, set(), 1.0, limit=LIMIT)
            seconds, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
            bad = sum(found.bad.values())
            wanted = {"good": 0, "id twice": rows - 1, "question twice": rows - 1}.get(kind, rows)
            failed |= bad != wanted or found.total != rows or cpu > rows / ROWS
            reasons = ", ".join(found.bad) or "-"
            print(f"{kind:<36}{found.total:>8}{bad:>8}{seconds:>9.3f}{cpu:>8.3f}  {reasons}")
    print("FAILED" if failed else "every bad row counted, each kind in less than a second per 10,000")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
