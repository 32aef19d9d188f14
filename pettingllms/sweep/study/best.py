"""`sweep best`: the best trial of a study, and an experiment file that is that trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from pettingllms.config.trial_file import stored_trial
from pettingllms.config.winning_values import SweptSource, stored_values, with_values
from pettingllms.documents.atomic import write_text
from pettingllms.documents.source import DocumentError, dotted
from pettingllms.errors import RefusedError, UsageError
from pettingllms.lint.engine import check_experiment
from pettingllms.lint.report import refuses
from pettingllms.sweep.best_prompts import best_of
from pettingllms.sweep.ledger.rows import Row
from pettingllms.sweep.report import write_json
from pettingllms.sweep.study.export import finite
from pettingllms.sweep.study.reading import Reading
from pettingllms.sweep.trial import shown

RESOLVED = "resolved.toml"
"""In a run folder: the experiment that ran."""
FORMATS = (".toml", ".yaml", ".yml")


def winners(reading: Reading, number: int | None) -> Sequence[Row]:
    """The trial `number`; else the best one, or with several objectives those that no other one beats.

    Raises UsageError where there is no such trial, RefusedError where none has completed.
    """
    if number is not None:
        return [reading.row(number)]
    found = reading.outcome.front if len(reading.sweep.objectives) > 1 else ()
    best = reading.outcome.best
    if best is not None:
        found = (best,)
    if not found:
        raise RefusedError(
            f"no trial of study {reading.study.name} has completed, so there is no best one",
            help="`sweep status` shows how it stands",
        )
    return found


def show_best(reading: Reading, rows: Sequence[Row], stream: TextIO, *, as_json: bool) -> None:
    """Write the trials with their objectives, values and folders."""
    metrics = [objective.metric for objective in reading.sweep.objectives]
    if as_json:
        trials = [_trial_json(reading, row, metrics) for row in rows]
        write_json({"study": reading.study.name, "trials": trials}, stream)
        return
    if len(rows) > 1:
        stream.write(f"{len(rows)} trials that no other one beats in every objective:\n")
    for row in rows:
        figures = [
            f"{name} = {value:.4g}" for name, value in zip(metrics, row.objectives or (), strict=False)
        ]
        what = ", ".join(figures) or f"{row.state}: {row.reason or 'no objective yet'}"
        lines = [f"trial {row.number} with {what}"]
        lines += [f"  {name} = {shown(value)}" for name, value in row.values.items()]
        lines += [f"  {place}" for place in (row.folder, _prompts(reading, row)) if place]
        stream.write("\n".join(lines) + "\n")


def write_winner(reading: Reading, rows: Sequence[Row], target: Path, *, force: bool) -> list[str]:
    """Write the experiment of the one trial of `rows` to `target`; returns what the user is to be told.

    It is the source of the study with the trial's values in place, without the sweep. Raises RefusedError
    where there are several trials, where `target` is there and not `force`, and where the file would not run.
    """
    if len(rows) != 1:
        numbers = ", ".join(str(row.number) for row in rows)
        raise RefusedError(
            f"{len(rows)} trials are best, each in its way: {numbers}", help="choose one with --trial N"
        )
    if target.suffix.lower() not in FORMATS:
        raise UsageError(f"--as {target}: its name does not end in {', '.join(FORMATS)}", help="name a .toml")
    row = rows[0]
    source = _source(reading)
    stored, notes = _stored(reading, row, source)
    values = {path: row.values[dotted(path)] for path in reading.axes if dotted(path) in row.values}
    text, is_source = with_values(source, values, stored, target.absolute())
    if not is_source:
        notes.append(
            f"{target} is the whole experiment without the comments of {source.path.name}, which builds on "
            "files that are not found from there, or cannot be edited"
        )
    found = next(filter(refuses, check_experiment(target, text=text).diagnostics), None)
    if found is not None:
        raise RefusedError(
            f"the experiment of trial {row.number} does not run: {found.code}: {found.message}"
        )
    write_text(target, text, force=force)
    return notes


def _source(reading: Reading) -> SweptSource:
    header = reading.header
    try:
        return SweptSource(
            Path(header["source"]),
            str(header["text"]),
            tuple(header["overrides"]),
            tuple(map(Path, header["overlays"])),
        )
    except (KeyError, TypeError):
        raise RefusedError(f"the header of study {reading.study.name} does not hold its experiment") from None


def _stored(reading: Reading, row: Row, source: SweptSource) -> tuple[Mapping[str, Any], list[str]]:
    """What ran: as its run folder says, else as the source says now."""
    folder = reading.folder_of(row)
    try:
        if folder is not None and (folder / RESOLVED).is_file():
            return stored_trial(folder / RESOLVED), []
        stored = stored_values(source.draft(), row.values)
    except DocumentError as error:
        raise RefusedError(
            f"{source.path}, the experiment of the study, is not as it was: {error}",
            help="put the files that it builds on back, or name the study on a machine that has its runs",
        ) from None
    note = f"the run of trial {row.number} is not here: its experiment is as {source.path} gives it now"
    return stored, [note]


def _trial_json(reading: Reading, row: Row, metrics: Sequence[str]) -> dict[str, Any]:
    prompts = _prompts(reading, row)
    return {
        "number": row.number,
        "state": row.state,
        "objectives": dict(zip(metrics, row.objectives or (), strict=False)),
        "values": dict(row.values),
        "metrics": finite(row.metrics),
        "folder": row.folder,
        **({"best_prompts": prompts} if prompts else {}),
    }


def _prompts(reading: Reading, row: Row) -> str | None:
    folder = reading.folder_of(row)
    best = best_of(folder) if folder is not None else None
    return str(best) if best is not None else None
