"""`pettingllms rule`: a rule's page, or the list of all rules."""

from __future__ import annotations

from typing import Annotated

import typer


def rule(
    code: Annotated[
        str | None,
        typer.Argument(help="A code such as PLM101, or the rule's name.", show_default=False),
    ] = None,
) -> None:
    """Print the page of one rule; without a code, the list of all."""
    import pettingllms.lint.rules  # noqa: F401 - fills RULES
    from pettingllms.errors import UsageError
    from pettingllms.lint.rule import RULES
    from pettingllms.registry import closest

    if code is None:
        rows = sorted(RULES.values(), key=lambda found: found.code)
        typer.echo("\n".join(f"{row.code}  {row.severity:<8} {row.name}" for row in rows))
        return
    names = {found.name: found.code for found in RULES.values()}
    wanted = names.get(code.lower(), code.upper())
    if wanted not in RULES:
        near = closest(wanted, RULES) or closest(code.lower(), names)
        raise UsageError(f"there is no rule {code!r}", help=f"did you mean {near}?" if near else None)
    found = RULES[wanted]
    typer.echo(f"{found.code} {found.name} ({found.severity})\n\n{found.page}")
