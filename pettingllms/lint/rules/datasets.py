"""PLM5, environment and data: datasets with rows, which are those of a preset or lie somewhere."""

from __future__ import annotations

from collections.abc import Iterator

from pettingllms.data.presets import PRESETS
from pettingllms.data.sources import HUB, is_row_source, preset_of, source_of
from pettingllms.documents.source import Finding
from pettingllms.envs import ENVS
from pettingllms.errors import RefusedError
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.rule import Context, rule

SETS = ["env.name", "env.dataset", "env.benchmark"]


def _row_sources(context: Context) -> Iterator[tuple[str, str]]:
    """Keys and names of datasets with rows; an environment of one's own may mean something else by a name."""
    env = context.config.env
    ours = env.name in ENVS.announced or (env.name in ENVS and ENVS[env.name].startswith("pettingllms."))
    for key, name in (("dataset", env.dataset), ("benchmark", env.benchmark)):
        if ours and name is not None and is_row_source(name):
            yield key, name


@rule("PLM507", "dataset-of-another-environment", Severity.ERROR, reads=SETS)
def dataset_of_another_environment(context: Context) -> Iterator[Finding]:
    """A preset holds tasks of another environment than `env.name`.

    An environment of one's own may use any.
    """
    env = context.config.env.name
    for key, name in _row_sources(context):
        preset = preset_of(name)
        if preset is not None and env != "mixed_env" and PRESETS[preset].env != env:
            fitting = ", ".join(one for one, row in PRESETS.items() if row.env == env)
            message = f"{key} {name!r} holds tasks of {PRESETS[preset].env}, and env.name is {env!r}"
            yield Finding(("env", key), message, f"presets of {env}: {fitting}" if fitting else None)


@rule("PLM508", "dataset-not-found", Severity.ERROR, reads=SETS)
def dataset_not_found(context: Context) -> Iterator[Finding]:
    """A dataset is a path without a file or folder to read rows from, or begins with `hf:` and names none.

    Relative paths start in the current folder. They are only checked where the facts are those of this very
    machine (`--here`, `train`, `sweep run`); what is in the rows is for `pettingllms data check` to say.
    """
    here = context.facts is not None and context.facts.local
    for key, name in _row_sources(context):
        if here or name.startswith(HUB):
            try:
                source_of(name)
            except RefusedError as refused:
                yield Finding(("env", key), str(refused), refused.help)
