"""PLM5, environment and data: datasets hold tasks of some environment, and their rows lie somewhere."""

from __future__ import annotations

from collections.abc import Iterator

from pettingllms.data.sources import HUB, is_row_source, source_of
from pettingllms.documents.source import Finding
from pettingllms.envs.homes import home_of, sets_named, sets_of
from pettingllms.errors import RefusedError
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.rule import Context, rule

SETS = ["env.name", "env.dataset", "env.benchmark", "env.options"]


@rule("PLM507", "dataset-of-another-environment", Severity.ERROR, reads=SETS)
def dataset_of_another_environment(context: Context) -> Iterator[Finding]:
    """A preset or a `builtin:` set holds tasks of another environment than `env.name`.

    An environment of one's own may use any.
    """
    for path, env, name in sets_named(context.config.env):
        home = home_of(name)
        if home is not None and env != home:
            fitting = ", ".join(sets_of(env))
            said = "env.name" if len(path) == 2 else "the environment of its part"
            message = f"{path[-1]} {name!r} holds tasks of {home}, and {said} is {env!r}"
            yield Finding(path, message, f"datasets of {env}: {fitting}" if fitting else None)


@rule("PLM508", "dataset-not-found", Severity.ERROR, reads=SETS)
def dataset_not_found(context: Context) -> Iterator[Finding]:
    """A dataset is a path without a file or folder to read rows from, or begins with `hf:` and names none.

    Relative paths start in the current folder. They are only checked where the facts are those of this very
    machine (`--here`, `train`, `sweep run`); what is in the rows is for `pettingllms data check` to say.
    """
    here = context.facts is not None and context.facts.local
    for path, _, name in sets_named(context.config.env):
        if is_row_source(name) and (here or name.startswith(HUB)):
            try:
                source_of(name)
            except RefusedError as refused:
                yield Finding(path, str(refused), refused.help)
