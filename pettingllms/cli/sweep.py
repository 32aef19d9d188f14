"""`pettingllms sweep`: studies over the swept values of an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pettingllms.cli.arguments import Assume, DropInvalid, File, Here, Overlays, Runs, Sets, Words
from pettingllms.cli.train import Json, Output
from pettingllms.errors import UsageError

app = typer.Typer(
    help="Run studies over the swept values of an experiment.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

NOT_AVAILABLE = ("status", "retry", "best", "export", "worker")


@app.command()
def run(
    file: File,
    words: Words = None,
    sets: Sets = None,
    overlays: Overlays = None,
    output: Output = Path("outputs"),
    json: Json = False,
    drop_invalid: DropInvalid = False,
) -> None:
    """Run every combination of the swept values and show the best."""
    from pettingllms.sweep.start import Asked, start_sweep

    asked = Asked(file, (*(sets or ()), *(words or ())), tuple(overlays or ()), drop_invalid)
    raise typer.Exit(start_sweep(asked, output, as_json=json))


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
    from pettingllms.sweep.planning import show_sweep_plan
    from pettingllms.sweep.start import Asked

    asked = Asked(file, (*(sets or ()), *(words or ())), tuple(overlays or ()), drop_invalid)
    by = basis(output, runs, here=here, assume=assume, jobs=jobs)
    raise typer.Exit(show_sweep_plan(asked, by, cell, as_json=json))


def _refuse(context: typer.Context) -> None:
    raise UsageError(f"`sweep {context.info_name}` is not available in this version")


for _name in NOT_AVAILABLE:
    app.command(
        _name,
        hidden=True,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(_refuse)
