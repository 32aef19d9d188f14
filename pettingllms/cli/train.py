"""`pettingllms train`: one trial with the defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pettingllms.cli.arguments import File, Overlays, Sets, Words

Output = Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder for run folders.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


def train(
    file: File,
    words: Words = None,
    sets: Sets = None,
    overlays: Overlays = None,
    output: Output = Path("outputs"),
    json: Json = False,
) -> None:
    """Run one trial of an experiment, each swept value at its default."""
    from pettingllms.sweep.start import Asked, start_training

    asked = Asked(file, (*(sets or ()), *(words or ())), tuple(overlays or ()))
    raise typer.Exit(start_training(asked, output, as_json=json))
