"""Arguments and options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="The experiment file, or the name of a shipped preset.", show_default=False
    ),
]
Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="[K=V]...", help="Overrides, as with --set.", show_default=False),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="K=V", help="Override a value; repeatable.", show_default=False),
]
Overlays = Annotated[
    list[Path] | None,
    typer.Option(
        "--with", metavar="FILE", help="Lay another file over the experiment; repeatable.", show_default=False
    ),
]
DropInvalid = Annotated[
    bool, typer.Option("--drop-invalid", help="Leave out cells that cannot run instead of refusing all.")
]
Runs = Annotated[
    list[Path] | None,
    typer.Option(
        "--from",
        metavar="RUN",
        help="Estimate by the finished runs in this folder, of a run or of a study; repeatable. Without it, "
        "by those of FILE below --output.",
        show_default=False,
    ),
]
Here = Annotated[bool, typer.Option("--here", help="Check against this machine too.")]
Assume = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FACTS", help="Check against a machine such as gpus=8; repeatable.", show_default=False
    ),
]
