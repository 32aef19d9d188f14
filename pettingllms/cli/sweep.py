"""`pettingllms sweep`: studies over the swept values of an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pettingllms.cli.arguments import File, Overlays, Sets, Words
from pettingllms.cli.train import Json, Output
from pettingllms.errors import UsageError

app = typer.Typer(
    help="Run studies over the swept values of an experiment.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

NOT_AVAILABLE = ("status", "retry", "best", "export", "worker")


DropInvalid = Annotated[
    bool, typer.Option("--drop-invalid", help="Leave out cells that cannot run instead of refusing all.")
]


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
def plan(
    file: File,
    words: Words = None,
    sets: Sets = None,
    overlays: Overlays = None,
    json: Json = False,
    drop_invalid: DropInvalid = False,
) -> None:
    """Print every cell with what differs in it, and why some cannot run; start nothing."""
    from pettingllms.sweep.start import Asked, show_sweep_plan

    asked = Asked(file, (*(sets or ()), *(words or ())), tuple(overlays or ()), drop_invalid)
    raise typer.Exit(show_sweep_plan(asked, as_json=json))


def _refuse(context: typer.Context) -> None:
    raise UsageError(f"`sweep {context.info_name}` is not available in this version")


for _name in NOT_AVAILABLE:
    app.command(
        _name,
        hidden=True,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(_refuse)
