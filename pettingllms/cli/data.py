"""`pettingllms data`: what an experiment's datasets hold."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pettingllms.cli.arguments import File, Overlays, Sets, Words
from pettingllms.errors import RefusedError

if TYPE_CHECKING:
    from pettingllms.config.experiment import ExperimentConfig

app = typer.Typer(
    help="Look into the datasets of an experiment.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def root() -> None:
    """Look into the datasets of an experiment."""


@app.command()
def check(
    file: File,
    words: Words = None,
    sets: Sets = None,
    overlays: Overlays = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Read all tasks: print where they come from, which rows are bad, and what training shares with others.

    Two tasks are the same where their questions are, or where these share 13 words in a row. The exit code
    is 1 where training shares a task with validation or test, and where too many rows are bad.
    """
    from json import dumps

    from pettingllms.data.report import data_report
    from pettingllms.envs.splits import SPLITS, dataset_of, splits_of

    _refuse_rows(str(file))
    config = _config(file, (*(sets or ()), *(words or ())), overlays)
    _require_sandbox(config)
    report = data_report({split: dataset_of(config, split) for split in SPLITS}, splits_of(config))
    typer.echo(dumps(report.as_json(), indent=2) if json else "\n".join(report.as_text()))
    raise typer.Exit(0 if report.clean else 1)


def _refuse_rows(name: str) -> None:
    """Rows alone do not say which environment reads them."""
    from pettingllms.data.sources import holds_rows

    if holds_rows(name):
        raise RefusedError(
            f"{name} names rows, and only an experiment says which environment reads them, and how",
            help=f"name an experiment, too: pettingllms data check EXPERIMENT.toml env.dataset={name}; its "
            'env.name says who reads them, such as "math_env" or "code_env"',
        )


def _require_sandbox(config: ExperimentConfig) -> None:
    """Known solutions of rows are programs of strangers, too."""
    from pettingllms.agents.sandboxed import require_sandbox
    from pettingllms.envs import ENVS
    from pettingllms.envs.homes import played_in
    from pettingllms.plugins import require

    require(config.plugins)
    if any(ENVS.load(name).runs_programs for name in played_in(config.env)):
        require_sandbox([config])


def _config(file: File, overrides: tuple[str, ...], overlays: Overlays) -> ExperimentConfig:
    """The experiment with its swept values at their defaults; findings go to standard error."""
    from pettingllms.lint.engine import check_experiment
    from pettingllms.lint.formats.text import format_coloured, format_text, wants_colour

    report = check_experiment(file, overrides, overlays=overlays or ())
    if report.refused or report.experiment is None:
        written = format_coloured if wants_colour(sys.stderr) else format_text
        typer.echo(written(report.diagnostics), err=True, nl=False)
        if report.exit_code() > 1:
            raise typer.Exit(report.exit_code())
        raise RefusedError(f"{file} has no tasks that can be looked at", help="the findings above say why")
    return report.experiment.config
