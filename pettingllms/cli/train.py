"""`pettingllms train`: one trial with the defaults, from the start or from where a run of it is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from pettingllms.cli.arguments import Overlays, Sets, Words
from pettingllms.errors import UsageError

NEWEST = ""
"""The value of a bare `--resume`."""

File = Annotated[
    str | None,
    typer.Argument(
        metavar="FILE",
        help="The experiment file, or the name of a shipped preset. With --resume FOLDER it may be left out: "
        "the run goes on with its own.",
        show_default=False,
    ),
]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="[FOLDER]",
        help="Go on with the run in FOLDER; without FOLDER, with the newest run of FILE below --output.",
        show_default=False,
    ),
]
Output = Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder for run folders.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


def train(
    file: File = None,
    words: Words = None,
    sets: Sets = None,
    overlays: Overlays = None,
    resume: Resume = None,
    output: Output = Path("outputs"),
    json: Json = False,
) -> None:
    """Run one trial of an experiment, each swept value at its default."""
    from pettingllms.sweep.start import Asked, resume_training, start_training

    if resume is not None and file is not None and "=" in file and not Path(file).exists():
        # Without FILE the first word is an override.
        words, file = [file, *(words or ())], None
    if file is None and resume == NEWEST:
        raise UsageError(
            "--resume: which run is meant is not said",
            help="pettingllms train FILE --resume goes on with the newest run of FILE below --output, "
            "pettingllms train --resume FOLDER with the run in FOLDER",
        )
    if file is None and resume is None:
        raise UsageError(
            "FILE is missing",
            help="pettingllms train FILE; to go on with a run, pettingllms train --resume FOLDER",
        )
    overrides, with_files = (*(sets or ()), *(words or ())), tuple(overlays or ())
    if resume is None:
        asked = Asked(Path(str(file)), overrides, with_files)
        raise typer.Exit(start_training(asked, output, as_json=json))
    from pettingllms.sweep.resume import run_folder

    folder = run_folder(Path(resume)) if resume else None
    asked = Asked(Path(file) if file else run_folder(Path(resume)) / "trial.toml", overrides, with_files)
    raise typer.Exit(resume_training(asked, output, folder, as_json=json))


def with_bare_resume(words: Iterable[str]) -> list[str]:
    """`words` of a command line, in which `--resume` has a value: none where no folder follows it.

    The parser of arguments knows no option whose value may be left out.
    """
    given = list(words)
    for place, word in enumerate(given):
        if word == "--":
            break
        if word == "--resume" and not _is_folder(given[place + 1 : place + 2]):
            given[place] = f"--resume={NEWEST}"
    return given


def _is_folder(following: list[str]) -> bool:
    """Whether the word that follows is meant as a folder; a file or an override is not."""
    return bool(following) and not (
        following[0].startswith("-") or Path(following[0]).is_file() or "=" in Path(following[0]).name
    )
