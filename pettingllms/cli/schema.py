"""`pettingllms schema`: print a JSON Schema."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


def schema(
    name: Annotated[
        Literal["experiment", "resolved"],
        typer.Argument(help="For experiment files as written, or for what `show --resolved` prints."),
    ] = "experiment",
) -> None:
    """Print a JSON Schema (draft-07) of experiment files."""
    from pettingllms.config.json_schema import SCHEMAS, as_text

    typer.echo(as_text(SCHEMAS[name]()), nl=False)
