"""The cells of a study as a table for other programs: CSV, JSON, Parquet."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from typing import Any

from pettingllms.documents.source import dotted
from pettingllms.errors import RefusedError
from pettingllms.sweep.packages import missing
from pettingllms.sweep.study.reading import Reading

LAST = (
    "step",
    "seconds",
    "gpu_seconds",
    "attempt",
    "failures",
    "cause",
    "reason",
    "worker",
    "folder",
    "outside",
)
"""Fields of a row that come after its values and figures."""


def columns(reading: Reading) -> dict[str, list[Any]]:
    """One column per name, with a value per cell: number, state, swept values, objectives, metrics, the rest.

    A metric has its last value. What a cell does not have is None, and so is the value of an axis
    that is not swept there.
    """
    rows = [row for _, row in sorted(reading.rows.items())]
    axes = [dotted(path) for path in reading.axes]
    goals = [objective.metric for objective in reading.sweep.objectives]
    metrics = sorted({name for row in rows for name in row.metrics} - set(goals))
    found: dict[str, list[Any]] = {
        "number": [row.number for row in rows],
        "state": [row.state for row in rows],
    }
    found |= {name: [row.swept.get(name) for row in rows] for name in axes}
    for place, name in enumerate(goals):
        found[name] = [row.objectives[place] if row.objectives else row.metrics.get(name) for row in rows]
    found |= {name: [row.metrics.get(name) for row in rows] for name in metrics}
    return found | {name: [getattr(row, name) for row in rows] for name in LAST}


def as_csv(reading: Reading) -> str:
    """One line per cell under a line of names; lists and tables are JSON, what is missing is empty."""
    found = columns(reading)
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(found)
    writer.writerows(map(_text, line) for line in zip(*found.values(), strict=True))
    return stream.getvalue()


def as_json(reading: Reading) -> str:
    """A list with a table per cell."""
    found = columns(reading)
    cells = [dict(zip(found, line, strict=True)) for line in zip(*found.values(), strict=True)]
    return json.dumps(finite(cells), indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n"


def as_parquet(reading: Reading) -> bytes:
    """A Parquet file; a column of mixed or nested values is JSON. Raises RefusedError without pyarrow."""
    if missing(["pyarrow"]):
        raise RefusedError(
            "Parquet needs pyarrow, which is not installed",
            help="install with: uv sync --extra data; or export to .csv or .json",
        )
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = {name: _uniform(values) for name, values in columns(reading).items()}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(found), sink)
    raw: bytes = sink.getvalue().to_pybytes()
    return raw


def finite(value: Any) -> Any:
    """`value` without NaN and infinity, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value


def _text(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _uniform(values: list[Any]) -> list[Any]:
    """Values of one type, numbers as floats where some are; JSON where they have none in common."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int} or kinds <= {str} or kinds <= {bool}:
        return values
    if kinds <= {int, float}:
        return [None if value is None else float(value) for value in values]
    return [None if value is None else json.dumps(value, ensure_ascii=False, default=str) for value in values]
