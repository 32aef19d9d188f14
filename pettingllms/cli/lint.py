"""`pettingllms lint`: check files, folders or stdin; this module reads the arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pettingllms.cli.arguments import Overlays, Sets
from pettingllms.cli.lint_request import LintRequest
from pettingllms.errors import UsageError
from pettingllms.lint.diagnostic import Severity

Format = Literal["text", "concise", "json", "github", "sarif", "gitlab", "junit"]
FailOn = Literal["error", "warning", "info"]


def lint(  # noqa: PLR0913, PLR0917 - typer reads the options from the signature
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Files, folders, or - for stdin (TOML, or YAML by its look).",
            show_default=False,
        ),
    ],
    sets: Sets = None,
    overlays: Overlays = None,
    output_format: Annotated[Format, typer.Option("--format", help="Form of the report.")] = "text",
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the report to a file, not to stdout.", show_default=False),
    ] = None,
    fail_on: Annotated[
        FailOn | None,
        typer.Option(help="Least severity that gives exit code 1; warning by default.", show_default=False),
    ] = None,
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="Findings give exit code 0.")] = False,
    statistics: Annotated[
        bool, typer.Option("--statistics", help="Print how often each code was found.")
    ] = False,
    select: Annotated[
        list[str] | None,
        typer.Option(metavar="CODES", help="Only codes with these beginnings.", show_default=False),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="CODES", help="No codes with these beginnings.", show_default=False),
    ] = None,
    here: Annotated[bool, typer.Option("--here", help="Check against this machine too.")] = False,
    assume: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FACTS", help="Check against a machine such as gpus=8; repeatable.", show_default=False
        ),
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended safely.")] = False,
    unsafe_fixes: Annotated[
        bool, typer.Option("--unsafe-fixes", help="With --fix or --diff: also what may change the meaning.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Print what --fix would change, and write nothing.")
    ] = False,
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Leave out the findings that it lists.", show_default=False),
    ] = None,
    write_baseline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write all findings as known ones.", show_default=False),
    ] = None,
    stdin_filename: Annotated[
        Path | None,
        typer.Option(
            metavar="NAME", help="What - is called: its format and folder follow.", show_default=False
        ),
    ] = None,
    skip_others: Annotated[
        bool, typer.Option("--skip-others", help="Leave out named files that are no experiments.")
    ] = False,
    drop_invalid: Annotated[
        bool, typer.Option("--drop-invalid", help="Cells of a sweep with an error are only told.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Processes; as many as pay by default.", show_default=False),
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Check everything anew.")] = False,
) -> None:
    """Check experiment files, and every cell of their sweeps, against the schema and the rules.

    What the command line leaves out may stand in [tool.pettingllms.lint] of pyproject.toml.
    """
    from pettingllms.cli.lint_run import run_lint

    request = LintRequest(
        paths=tuple(paths),
        overrides=tuple(sets or ()),
        overlays=tuple(overlays or ()),
        output_format=output_format,
        output=output,
        fail_on=None if fail_on is None else Severity(fail_on),
        exit_zero=exit_zero,
        statistics=statistics,
        select=_codes(select),
        ignore=_codes(ignore),
        here=here,
        assume=",".join(assume or ()),
        fix=fix,
        unsafe_fixes=unsafe_fixes,
        diff=diff,
        baseline=baseline,
        write_baseline=write_baseline,
        stdin_name=stdin_filename,
        skip_others=skip_others,
        drop_invalid=drop_invalid,
        jobs=jobs,
        cached=not no_cache,
    )
    request.refuse_contradictions()
    raise typer.Exit(run_lint(request))


def _codes(words: list[str] | None) -> tuple[str, ...]:
    """The code prefixes of options that may be repeated or hold commas.

    Raises UsageError for one that no rule starts with: a typo would switch the linter off.
    """
    codes = [code.strip().upper() for word in words or () for code in word.split(",") if code.strip()]
    if codes:
        import pettingllms.lint.rules  # noqa: F401 - fills RULES
        from pettingllms.lint.rule import RULES

        for code in codes:
            if not any(known.startswith(code) for known in RULES):
                raise UsageError(f"no rule's code starts with {code}", help="`pettingllms rule` lists them")
    return tuple(codes)
