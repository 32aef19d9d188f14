"""The verbs of `pettingllms sweep` that read a study, or put its cells back: status, retry, best, export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from pettingllms.cli.train import Json, Output

Named = Annotated[
    Path,
    typer.Argument(
        metavar="STUDY",
        help="The folder of a study, or the file of its experiment: its newest study below --output, or in "
        "--storage, where a study's name will do as well.",
        show_default=False,
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        help="The database that the study is kept in: postgresql://USER@HOST/DATABASE, or sqlite:///FILE.",
        show_default=False,
    ),
]
Cell = Annotated[
    list[int] | None,
    typer.Option(
        "--cell", metavar="N", help="This cell, whatever it came to; repeatable.", show_default=False
    ),
]
Trial = Annotated[
    int | None,
    typer.Option("--trial", metavar="N", help="This trial instead of the best.", show_default=False),
]
As = Annotated[
    Path | None,
    typer.Option(
        "--as",
        metavar="NEW.toml",
        help="Write the experiment with this trial's values in place, without the sweep.",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]
Target = Annotated[
    Path | None,
    typer.Argument(
        metavar="[DST]",
        help="A file: .csv, .json, .parquet or .svg.  [default: CSV on standard output]",
        show_default=False,
    ),
]
Plot = Annotated[
    Literal["parallel", "importances"] | None,
    typer.Option(
        "--plot",
        help="What an .svg shows: values and objective of each trial, or which axis matters.  "
        "[default: parallel]",
        show_default=False,
    ),
]
Metric = Annotated[
    str | None,
    typer.Option(
        "--metric", help="What an .svg is about.  [default: the first objective]", show_default=False
    ),
]


def status(
    study: Named, output: Output = Path("outputs"), storage: Storage = None, json: Json = False
) -> None:
    """Print all cells of a study and how they stand; also while it runs."""
    from pettingllms.sweep.study.reading import named_study
    from pettingllms.sweep.study.status import show_status

    show_status(named_study(study, output, storage), sys.stdout, as_json=json)


def retry(
    study: Named,
    cell: Cell = None,
    output: Output = Path("outputs"),
    storage: Storage = None,
    json: Json = False,
) -> None:
    """Let failed cells wait again, for the workers that run and the next `sweep run`."""
    from pettingllms.sweep.study.reading import named_study
    from pettingllms.sweep.study.status import retry_cells

    retry_cells(named_study(study, output, storage), cell, sys.stdout, as_json=json)


def best(
    study: Named,
    trial: Trial = None,
    as_: As = None,
    force: Force = False,
    output: Output = Path("outputs"),
    storage: Storage = None,
    json: Json = False,
) -> None:
    """Print the best trial of a study, or those that no other one beats; with --as, write its experiment."""
    from pettingllms.sweep.study.best import show_best, winners, write_winner
    from pettingllms.sweep.study.reading import named_study, read_study

    reading = read_study(named_study(study, output, storage))
    rows = winners(reading, trial)
    notes = write_winner(reading, rows, as_, force=force) if as_ is not None else []
    for note in notes:
        typer.echo(f"warning: {note}", err=True)
    show_best(reading, rows, sys.stdout, as_json=json)


def export(
    study: Named,
    target: Target = None,
    plot: Plot = None,
    metric: Metric = None,
    force: Force = False,
    output: Output = Path("outputs"),
    storage: Storage = None,
) -> None:
    """Write the cells of a study as a table, or a picture of them."""
    from pettingllms.sweep.study.reading import named_study, read_study
    from pettingllms.sweep.study.writing import write_study

    write_study(
        read_study(named_study(study, output, storage)),
        target,
        sys.stdout,
        plot=plot,
        metric=metric,
        force=force,
    )
