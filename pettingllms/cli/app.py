"""The typer application: a table of verbs, each imported when it is called."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from pettingllms.errors import Interrupted, PettingLLMsError, UsageError
from pettingllms.registry import closest

VERBS = {
    "new": "pettingllms.cli.new:new",
    "convert": "pettingllms.cli.convert:convert",
    "lint": "pettingllms.cli.lint:lint",
    "check": "pettingllms.cli.lint:lint",
    "show": "pettingllms.cli.show:show",
    "explain": "pettingllms.cli.explain:explain",
    "diff": "pettingllms.cli.diff:diff",
    "set": "pettingllms.cli.set:set_values",
    "schema": "pettingllms.cli.schema:schema",
    "rule": "pettingllms.cli.rule:rule",
    "import": "pettingllms.cli.import_:import_",
    "plan": "pettingllms.cli.plan:plan",
    "train": "pettingllms.cli.train:train",
    "sweep": "pettingllms.cli.sweep:app",
    "eval": "pettingllms.cli.eval:evaluate",
    "export": "pettingllms.cli.export:export",
    "data": "pettingllms.cli.data:app",
    "doctor": "pettingllms.cli.doctor:doctor",
}
SUMMARIES = {
    "new": "Write a commented experiment from a shipped preset, or an environment of your own.",
    "convert": "Convert YAML to TOML or back, nothing lost.",
    "lint": "Check experiment files, and every cell of their sweeps.",
    "check": "The same as lint.",
    "show": "Print an experiment after overrides, or with all references resolved.",
    "explain": "Print where a value comes from: every layer that touched it.",
    "diff": "Print what differs between two experiments or runs.",
    "set": "Change values in a file; everything else stays as it is.",
    "schema": "Print a JSON Schema.",
    "rule": "Print a rule's page, or the list of rules.",
    "import": "Make one TOML of a launch script, a Hydra command line or a sweep file.",
    "plan": "Print what a trial would start and take: tokens, time, memory, disk; start nothing.",
    "train": "Run one trial, each swept value at its default.",
    "sweep": "Run a study over the swept values.",
    "eval": "Measure a run, a checkpoint or an experiment on held-out tasks, and compare.",
    "export": "Write adapters or merged weights that other programs load.",
    "data": "Check datasets: bad rows, revisions, and tasks that training shares with others.",
    "doctor": "Show what is installed and what a trial could use here.",
}
NOT_AVAILABLE = (
    "runs", "report", "view",
)  # fmt: skip


class LazyGroup(TyperGroup):
    """A group whose help and error messages know all verbs without importing them."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - given by the base class
        """The verbs in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - given by the base class
        """Import and return the command of one verb."""
        if cmd_name in NOT_AVAILABLE:
            raise UsageError(f"`{cmd_name}` is not available in this version")
        if cmd_name not in VERBS:
            near = closest(cmd_name, VERBS)
            help_text = f"did you mean `{near}`?" if near else f"verbs: {', '.join(VERBS)}"
            raise UsageError(f"there is no verb `{cmd_name}`", help=help_text)
        return _command(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - given by the base class
        """Write the list of verbs from the table."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(SUMMARIES.items()))


def _command(verb: str) -> Any:
    module, _, attribute = VERBS[verb].partition(":")
    target = getattr(importlib.import_module(module), attribute)
    if isinstance(target, typer.Typer):
        command = get_command(target)
    else:
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(verb)(target)
        command = get_command(single)
    command.name = verb
    return command


app = typer.Typer(
    cls=LazyGroup,
    name="pettingllms",
    help="Train teams of language-model agents: one TOML file is one experiment.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"pettingllms {version('pettingllms')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[  # noqa: ARG001 - its callback prints
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say only what is wrong.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say more.")] = False,
) -> None:
    """Train teams of language-model agents: one TOML file is one experiment."""
    level = logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("pettingllms").setLevel(level)


def _complete(arguments: Sequence[str]) -> list[str]:
    """The words with what the parser of arguments cannot leave open."""
    if "--resume" not in arguments:
        return list(arguments)
    from pettingllms.cli.train import with_bare_resume

    return with_bare_resume(arguments)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; return its exit code."""
    try:
        result = app(_complete(arguments), standalone_mode=False, prog_name="pettingllms")
    except Interrupted as event:
        typer.echo("interrupted", err=True)
        return event.exit_code
    except PettingLLMsError as error:
        typer.echo(f"error: {error}", err=True)
        if error.help:
            typer.echo(f"help: {error.help}", err=True)
        return error.exit_code
    except PermissionError as cause:
        # Wherever it comes from, a file or folder of the user's is what stands in the way.
        typer.echo(f"error: {cause.filename} cannot be used: {cause.strerror}", err=True)
        typer.echo("help: change its permissions, or run as the user whose it is", err=True)
        return UsageError.exit_code
    except Exception as error:
        # The argument parser's own errors show themselves; anything else is a fault of this program.
        if not hasattr(error, "show"):
            raise
        error.show()
        return int(getattr(error, "exit_code", 2))
    return result if isinstance(result, int) else 0
