"""`pettingllms schema`: print a JSON Schema, or write them where editors find them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

_log = logging.getLogger(__name__)


def schema(
    name: Annotated[
        Literal["experiment", "fragment", "resolved"] | None,
        typer.Argument(
            help="For experiment files as written, for trainer fragments, or for what `show --resolved` "
            "prints. Default: experiment; all of them with --write.",
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--write", metavar="FOLDER", help="Write NAME.schema.json there.", show_default=False),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="With --write: write nothing; exit 1 where a file differs.")
    ] = False,
) -> None:
    """Print a JSON Schema (draft-07) of experiment files, or write the schemas into a folder."""
    from pettingllms.config.json_schema import SCHEMAS, as_text, write_schemas
    from pettingllms.errors import UsageError

    if folder is None and check:
        raise UsageError("--check compares files", help="name their folder: --write FOLDER --check")
    if folder is None:
        typer.echo(as_text(SCHEMAS[name or "experiment"]()), nl=False)
        return
    stale = False
    for path, differs in write_schemas(folder, [name] if name else list(SCHEMAS), check=check):
        wrong = "differs from this version's schema" if path.exists() else "missing"
        _log.info("%s: %s", path, "up to date" if not differs else wrong if check else "written")
        stale = stale or differs
    if check and stale:
        raise typer.Exit(1)
