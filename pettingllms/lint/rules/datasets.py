"""PLM5, environment and data: datasets hold tasks of some environment, and their rows lie somewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from pettingllms.data.sources import HUB, is_row_source, source_of
from pettingllms.documents.source import Finding, dotted
from pettingllms.envs import DATASETS, ENVS
from pettingllms.envs.homes import home_of, played_at, sets_named, sets_of
from pettingllms.errors import RefusedError
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.rule import Context, rule
from pettingllms.plugins import use

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


@rule("PLM908", "option-of-another-dataset", Severity.INFO, reads=[*SETS, "plugins"])
def option_of_another_dataset(context: Context) -> Iterator[Finding]:
    """An option of the environment is set to another value than its default, and the datasets do not read it.

    For example `env.options.sokoban` beside `builtin:plan_path`, or `digits` beside `polaris`. The setting
    does no harm, but a change of it does nothing.
    """
    use(context.config.plugins)
    for place, name, keys in played_at(context.config.env):
        sets = [one for one in (keys.get("dataset"), keys.get("benchmark")) if isinstance(one, str)]
        # What a set of somebody else's reads, nobody else knows.
        strange = any(one in DATASETS and home_of(one) is None for one in sets)
        if strange or name in ENVS.announced or not ENVS.get(name, "").startswith("pettingllms."):
            continue
        for option, fitting in _unread(name, keys.get("options", {}), sets):
            path = (*place, "options", option)
            message = f"{dotted(path)} has no effect with {' and '.join(map(repr, dict.fromkeys(sets)))}"
            reading = ", ".join(f"{one}…" if one.endswith(":") else one for one in fitting)
            yield Finding(path, message, f"read by {reading}", at_key=True)


def _unread(env: str, given: Any, sets: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Options that were set and that none of `sets` reads, with what those are called that do."""
    kind = ENVS.load(env)
    try:
        options = kind.Options.model_validate(given)
    except ValidationError:
        return
    for option, fitting in kind.only_for.items():
        default = kind.Options.model_fields[option].get_default(call_default_factory=True)
        is_set = option in options.model_fields_set and getattr(options, option) != default
        if is_set and not any(one.startswith(fitting) for one in sets):
            yield option, fitting
