"""`sweep export`: a study as a file, in the form that its name asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TextIO

from pettingllms.documents.atomic import write_text
from pettingllms.documents.source import dotted
from pettingllms.errors import UsageError
from pettingllms.sweep.study.charts import bars, parallel_coordinates
from pettingllms.sweep.study.export import as_csv, as_json, as_parquet
from pettingllms.sweep.study.importances import importances
from pettingllms.sweep.study.outcome import short_names
from pettingllms.sweep.study.reading import Reading

SUFFIXES = (".csv", ".json", ".parquet", ".svg")


def write_study(
    reading: Reading,
    target: Path | None,
    stream: TextIO,
    *,
    plot: Literal["parallel", "importances"] | None,
    metric: str | None,
    force: bool,
) -> None:
    """Write the study to `target`, or as CSV to `stream`.

    `plot`: what a picture shows, by default `parallel`. Raises UsageError for another suffix, an unknown
    metric, and options of pictures where none is written; RefusedError where the file is there and not
    `force`, and where too few trials have completed for a picture.
    """
    suffix = ".csv" if target is None else target.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{target}: its name does not end in {', '.join(SUFFIXES)}")
    if suffix != ".svg":
        option = "--metric" if metric is not None else "--plot" if plot is not None else None
        if option is not None:
            raise UsageError(
                f"{option} is of pictures, and a table holds all metrics",
                help="leave it out, or name an .svg",
            )
    if target is None:
        stream.write(as_csv(reading))
        return
    data: str | bytes
    if suffix == ".svg":
        data = _picture(reading, plot, metric or reading.sweep.objectives[0].metric)
    elif suffix == ".parquet":
        data = as_parquet(reading)
    else:
        data = as_csv(reading) if suffix == ".csv" else as_json(reading)
    write_text(target, data, force=force)


def _picture(reading: Reading, plot: str | None, metric: str) -> str:
    known = {name for row in reading.rows.values() for name in row.metrics}
    known |= {objective.metric for objective in reading.sweep.objectives}
    if metric not in known:
        raise UsageError(f"--metric {metric} was not measured", help=f"measured: {', '.join(sorted(known))}")
    name = reading.study.name
    if plot == "importances":
        names = {dotted(path): short for path, short in short_names(reading.axes).items()}
        found = {names[axis]: share for axis, share in importances(reading, metric).items()}
        return bars(f"{name}: share of the differences in {metric} by axis", found)
    return parallel_coordinates(reading, metric)
