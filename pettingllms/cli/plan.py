"""`pettingllms plan`: how one trial would be started, and what it takes; starts nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pettingllms.cli.arguments import Assume, File, Here, Overlays, Runs, Sets, Words
from pettingllms.cli.train import Json, Output

if TYPE_CHECKING:
    from pettingllms.sweep.planning.plans import Basis


def plan(  # noqa: PLR0913, PLR0917 - typer reads the options from the signature
    file: File,
    words: Words = None,
    sets: Sets = None,
    overlays: Overlays = None,
    runs: Runs = None,
    output: Output = Path("outputs"),
    here: Here = False,
    assume: Assume = None,
    json: Json = False,
) -> None:
    """Print what `train` would start, and its tokens, time, memory and disk; start nothing."""
    from pettingllms.sweep.planning.plans import show_run_plan
    from pettingllms.sweep.start import Asked

    asked = Asked(file, (*(sets or ()), *(words or ())), tuple(overlays or ()))
    raise typer.Exit(show_run_plan(asked, basis(output, runs, here=here, assume=assume), as_json=json))


def basis(
    output: Path, runs: Sequence[Path] | None, *, here: bool, assume: Sequence[str] | None, jobs: int = 1
) -> Basis:
    """What a plan goes by, as the command line says it. Raises UsageError for an assumption that is none."""
    from pettingllms.lint.facts import Facts
    from pettingllms.sweep.planning.plans import Basis

    facts = Facts.here() if here else None
    facts = Facts.assumed(*assume, over=facts) if assume else facts
    return Basis(output, tuple(runs or ()), jobs, facts)
