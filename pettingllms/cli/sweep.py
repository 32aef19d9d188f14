"""`pettingllms sweep`: studies over the swept values of an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pettingllms.cli.arguments import Assume, DropInvalid, File, Here, Overlays, Runs, Sets, Words
from pettingllms.cli.studies import best, export, retry, status
from pettingllms.cli.train import Json, Output

app = typer.Typer(
    help="Run studies over the swept values of an experiment.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        help="Where the study is kept: postgresql://USER@HOST/DATABASE, or sqlite:///FILE for one job. "
        "Default: in its folder.",
        show_default=False,
    ),
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", metavar="N", help="Trials that run side by side here.")]
Lease = Annotated[
    float,
    typer.Option(
        "--lease",
        metavar="SECONDS",
        help="After so long without a word from its worker a cell is taken over by another.",
    ),
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first trial that fails.")]
NewStudy = Annotated[
    bool, typer.Option("--new-study", help="Start another study, where there is one of this name.")
]
Extend = Annotated[bool, typer.Option("--extend", help="Go on with the study, though its space has changed.")]


@app.command()
def run(  # noqa: PLR0913, PLR0917 - typer reads the options from the signature
    file: File,
    words: Words = None,
    sets: Sets = None,
    overlays: Overlays = None,
    output: Output = Path("outputs"),
    storage: Storage = None,
    jobs: Jobs = 1,
    lease: Lease = 120.0,
    fail_fast: FailFast = False,
    new_study: NewStudy = False,
    extend: Extend = False,
    json: Json = False,
    drop_invalid: DropInvalid = False,
) -> None:
    """Run the trials of a study and show the best; go on with the newest study of the file's name."""
    from pettingllms.sweep.start import Asked
    from pettingllms.sweep.start_sweep import SweepOptions, start_sweep

    asked = Asked(file, (*(sets or ()), *(words or ())), tuple(overlays or ()), drop_invalid)
    options = SweepOptions(output, storage, jobs, lease, fail_fast, new_study, extend)
    raise typer.Exit(start_sweep(asked, options, as_json=json))


@app.command()
def worker(  # noqa: PLR0913, PLR0917 - typer reads the options from the signature
    file: File,
    words: Words = None,
    sets: Sets = None,
    overlays: Overlays = None,
    output: Output = Path("outputs"),
    storage: Storage = None,
    jobs: Jobs = 1,
    lease: Lease = 120.0,
    fail_fast: FailFast = False,
    json: Json = False,
    drop_invalid: DropInvalid = False,
) -> None:
    """Run trials of a study that `sweep run` has started, here or on another machine."""
    from pettingllms.sweep.start import Asked
    from pettingllms.sweep.start_sweep import SweepOptions, join_sweep

    asked = Asked(file, (*(sets or ()), *(words or ())), tuple(overlays or ()), drop_invalid)
    options = SweepOptions(output, storage, jobs, lease, fail_fast)
    raise typer.Exit(join_sweep(asked, options, as_json=json))


@app.command()
def plan(  # noqa: PLR0913, PLR0917 - typer reads the options from the signature
    file: File,
    words: Words = None,
    sets: Sets = None,
    overlays: Overlays = None,
    runs: Runs = None,
    output: Output = Path("outputs"),
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Trials that run at the same time.")] = 1,
    cell: Annotated[
        int | None, typer.Option("--cell", metavar="N", help="All about one cell.", show_default=False)
    ] = None,
    here: Here = False,
    assume: Assume = None,
    json: Json = False,
    drop_invalid: DropInvalid = False,
) -> None:
    """Print every cell: what differs in it, what it takes, or why it cannot run; start nothing."""
    from pettingllms.cli.plan import basis
    from pettingllms.sweep.planning.plans import show_sweep_plan
    from pettingllms.sweep.start import Asked

    asked = Asked(file, (*(sets or ()), *(words or ())), tuple(overlays or ()), drop_invalid)
    by = basis(output, runs, here=here, assume=assume, jobs=jobs)
    raise typer.Exit(show_sweep_plan(asked, by, cell, as_json=json))


app.command()(status)
app.command()(retry)
app.command()(best)
app.command()(export)
