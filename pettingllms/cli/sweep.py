"""`pettingllms sweep`: studies over the swept values of an experiment."""

from __future__ import annotations

from pathlib import Path

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

NOT_AVAILABLE = ("plan", "status", "retry", "best", "export", "worker")


@app.command()
def run(
    file: File,
    words: Words = None,
    sets: Sets = None,
    overlays: Overlays = None,
    output: Output = Path("outputs"),
    json: Json = False,
) -> None:
    """Run every combination of the swept values and show the best."""
    from pettingllms.sweep.start import start_sweep

    overrides = [*(sets or []), *(words or [])]
    raise typer.Exit(start_sweep(file, overrides, output, as_json=json, overlays=overlays or ()))


def _refuse(context: typer.Context) -> None:
    raise UsageError(f"`sweep {context.info_name}` is not available in this version")


for _name in NOT_AVAILABLE:
    app.command(
        _name,
        hidden=True,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(_refuse)
