"""PLM5, environment and data: where tasks come from, and the environment's own options."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pettingllms.agents import AGENTS
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.shape import shape_findings
from pettingllms.data.presets import PRESETS
from pettingllms.data.sources import is_row_source
from pettingllms.documents.source import Finding, KeyPath, Place, Source, Span
from pettingllms.envs import DATASETS, ENVS, reasoning
from pettingllms.envs.homes import home_of, parts_named, sets_named, sets_of
from pettingllms.errors import RefusedError, raised_in_line
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.rule import Context, rule
from pettingllms.lint.rules.graph import AGENT
from pettingllms.plugins import use
from pettingllms.registry import closest

BUILTIN = "builtin:"


def _is_own(env: str) -> bool | None:
    """True for an environment of this package, False for one of somebody else, None for none that is here."""
    # Asked first: to find out whether a name is that of an installed package takes longer.
    if env in ENVS.announced or env not in ENVS:
        return None
    return ENVS[env].startswith("pettingllms.")


def _sets(context: Context) -> Iterator[tuple[KeyPath, str, str]]:
    """Key, environment and name of each set of tasks; none for an environment of somebody else."""
    use(context.config.plugins)
    yield from sets_named(context.config.env)


@rule(
    "PLM501",
    "dataset-not-available",
    Severity.WARNING,
    reads=["env.name", "env.dataset", "env.benchmark", "env.options", "plugins"],
    blocks=True,
)
def dataset_not_available(context: Context) -> Iterator[Finding]:
    """`env.dataset` or `env.benchmark` is a name that this version does not know.

    It knows presets, `hf:owner/name` for a dataset of the Hugging Face hub, paths of `*.jsonl`, `*.json` and
    `*.parquet` files and of folders with such files, `builtin:` sets, and `reasoning_gym:NAME` for most tasks
    of that package. A path has a slash or such an ending: the folder `rows` is written `rows/`. Files are for
    environments that read rows; `stateful_env` makes its tasks. The experiment may be right; `train` and
    `sweep run` refuse it.
    """
    for path, env, name in _sets(context):
        if is_row_source(name) and home_of(name) is None and _is_own(env) and ENVS.load(env).rows is None:
            message = f"{path[-1]} {name!r} is not available in this version: {env} reads no rows"
            yield Finding(path, message, f"available: {', '.join(sets_of(env))}")
        elif name.startswith(reasoning.PREFIX):
            if fault := reasoning.fault_in(name):
                yield Finding(path, fault, "name another task of reasoning-gym")
            elif unknown := reasoning.unknown_in(name):
                yield Finding(path, *unknown)
        elif not (name.startswith(BUILTIN) or name in DATASETS or is_row_source(name)):
            fitting = sets_of(env) or [*PRESETS, *DATASETS]
            near = closest(name, fitting)
            known = f"available: {', '.join(fitting)}, hf:owner/name, or a path"
            known += f"; a folder of that name is '{name}/'"
            message = f"{path[-1]} {name!r} is not available in this version"
            yield Finding(path, message, f"did you mean {near}?" if near else known)


@rule(
    "PLM502",
    "unknown-builtin-dataset",
    Severity.ERROR,
    reads=["env.name", "env.dataset", "env.benchmark", "env.options", "plugins"],
)
def unknown_builtin_dataset(context: Context) -> Iterator[Finding]:
    """A name starts with `builtin:` and no such set of tasks is built in."""
    for path, env, name in _sets(context):
        if name.startswith(BUILTIN) and name not in DATASETS:
            fitting = [one for one in sets_of(env) if one in DATASETS] or list(DATASETS)
            # What all of them begin with would make any two of them alike.
            near = closest(name.removeprefix(BUILTIN), [one.removeprefix(BUILTIN) for one in fitting])
            listed = f"available: {', '.join(fitting)}"
            help_text = f"did you mean {BUILTIN}{near}?" if near else listed
            yield Finding(path, f"there is no dataset {name!r}", help_text)


@rule(
    "PLM503",
    "environment-options",
    Severity.ERROR,
    reads=["env.name", "env.options", "env.dataset", "env.benchmark", "plugins"],
)
def environment_options(context: Context) -> Iterator[Finding]:
    """`env.options` does not fit the chosen environment, which types its own options.

    So does that of a part of `mixed_env`, whose environment is another one.
    """
    env = context.config.env
    use(context.config.plugins)
    # An environment is imported for its options only.
    if (env.options or env.name == "mixed_env") and _is_own(env.name) is not None:
        sets = (env.dataset, env.benchmark)
        yield from _of_options(env.name, env.options, sets, ("env", "options"), ("env", "name"))
    for place, name, part in parts_named(env):
        own = part.get("options", {})
        if name == "mixed_env" or (name not in ENVS and name not in ENVS.announced):
            path = (*place, "env") if "env" in part else place
            known = ", ".join(one for one in ENVS if one != "mixed_env")
            message = f"the part {place[-1]!r} has the environment {name!r}, which cannot be one of a part"
            yield Finding(path, message, f"available: {known}", at_key="env" not in part)
        elif isinstance(own, dict) and _is_own(name) is not None:
            parts_sets = (part.get("dataset"), part.get("benchmark"))
            yield from _of_options(name, own, parts_sets, (*place, "options"), place)


def _of_options(
    name: str, given: dict[str, Any], sets: Sequence[Any], path: KeyPath, where: KeyPath
) -> Iterator[Finding]:
    """What is wrong with options for `sets` of tasks; `where`: of an environment that cannot be had."""
    try:
        options: Any = ENVS.load(name).Options
    except RefusedError as error:
        yield Finding(where, str(error), error.help)
        return
    try:
        typed = options.model_validate(given)
        for dataset in dict.fromkeys(one for one in sets if isinstance(one, str)):
            for below, message, help_text in ENVS.load(name).misfits(dataset, typed):
                yield Finding((*path, *below), message, help_text)
    except ValidationError as error:
        yield from shape_findings(error, given, options, path)
    except Exception as error:
        message = f"the options of {name} fail: {raised_in_line(error)}"
        yield Finding(path, message, "mend the environment", at_key=True)


@rule(
    "PLM504",
    "environment-not-available",
    Severity.WARNING,
    reads=["env.name", f"{AGENT}.name", f"{AGENT}.agent", "plugins"],
    blocks=True,
)
def environment_not_available(context: Context) -> Iterator[Finding]:
    """An environment or an agent class is documented, and this version does not have it.

    The experiment may be right; `train` and `sweep run` refuse it.
    """
    config = context.config
    use(config.plugins)
    if config.env.name in ENVS.announced:
        message = f"the environment {config.env.name!r} is not available in this version"
        yield Finding(("env", "name"), message, f"available: {', '.join(ENVS)}")
    for key, agent in config.agent_policy_configs.agent_configs.items():
        name = agent.agent or agent.name
        if name in AGENTS.announced:
            path = ("agent_policy_configs", "agent_configs", key, "agent" if agent.agent else "name")
            message = f"the agent class {name!r} is not available in this version"
            yield Finding(path, message, f"available: {', '.join(AGENTS)}")


def family(agent: str) -> str | None:
    """The environment that an agent class is made for; None for any, or where unknown.

    The roles of one task family of this package are one module, which is named like the environment; classes
    of plug-ins say it themselves, and those of installed packages are not imported to ask them.
    """
    own = AGENTS.own(agent)
    if own is not None:
        return own.environment
    if agent not in AGENTS:
        return None
    module = AGENTS[agent].partition(":")[0]
    env = f"{module.rpartition('.')[2]}_env"
    return env if module.startswith("pettingllms.agents.") and _is_single_task(env) else None


def _is_single_task(env: str) -> bool:
    """True for an environment with tasks of one kind: of a plug-in, or of this package."""
    known = env in ENVS.announced or ENVS.own(env) is not None or _is_own(env) is True
    return known and env != "mixed_env"


def _plays(home: str, env: str) -> bool:
    """Whether an agent that is made for `home` plays in `env`: the same one, or one that derives from it."""
    own = ENVS.own(env)
    return home == env or (own is not None and home in ENVS and issubclass(own, ENVS.load(home)))


@rule(
    "PLM505",
    "agent-of-another-environment",
    Severity.ERROR,
    reads=["env.name", "env.options", f"{AGENT}.name", f"{AGENT}.agent", "plugins"],
)
def agent_of_another_environment(context: Context) -> Iterator[Finding]:
    """An agent class is made for another environment than `env.name`.

    It would look for what this environment does not show, and answer what it does not understand.
    In `mixed_env` it has to be made for one of the parts, and each part needs an agent that plays there.
    `single_agent` plays anywhere, and so does a class of a plug-in that names no `environment`. Classes and
    environments of installed packages are not judged.
    """
    config = context.config
    use(config.plugins)
    if config.env.name == "mixed_env":
        yield from _of_parts(config)
    if not _is_single_task(config.env.name):
        return
    for key, agent in config.agent_policy_configs.agent_configs.items():
        name = agent.agent or agent.name
        home = family(name)
        if home is not None and not _plays(home, config.env.name):
            path = ("agent_policy_configs", "agent_configs", key, "agent" if agent.agent else "name")
            message = f"the agent class {name!r} is made for {home}, and env.name is {config.env.name!r}"
            fitting = [one for one in AGENTS if _plays(family(one) or "", config.env.name)]
            listed = f"agents of {config.env.name}: {', '.join(fitting)}" if fitting else None
            yield Finding(path, message, listed)


def _of_parts(config: ExperimentConfig) -> Iterator[Finding]:
    """Agents that play in no part of a mixture, and parts in which no agent plays."""
    homes = {}
    for key, agent in config.agent_policy_configs.agent_configs.items():
        path = ("agent_policy_configs", "agent_configs", key, "agent" if agent.agent else "name")
        homes[path] = agent.agent or agent.name, family(agent.agent or agent.name)
    parts = list(parts_named(config.env))
    for path, (name, home) in homes.items():
        if parts and home is not None and not any(_plays(home, env) for _, env, _ in parts):
            message = f"the agent class {name!r} is made for {home}, and no part of the mixture is"
            yield Finding(path, message, "add such a part to env.options.parts, or leave the agent out")
    for place, env, _ in parts:
        if all(home is not None and not _plays(home, env) for _, home in homes.values()):
            message = f"no agent plays in the part {place[-1]!r}, whose environment is {env}"
            yield Finding(place, message, "add an agent of that environment, or single_agent", at_key=True)


@rule("PLM506", "broken-plugin", Severity.ERROR, reads=["plugins"])
def broken_plugin(context: Context) -> Iterator[Finding]:
    """An entry of `plugins` cannot be loaded, or what it registers cannot be used.

    A plug-in is a Python file (a path that ends in `.py`, starting at the folder of the experiment file that
    names it) or the name of a module. The linter loads it, as a run does: lint plug-ins only of people whose
    code you would run. Names that it registers have to be free, and its classes complete.
    """
    for fault in use(context.config.plugins):
        number = context.config.plugins.index(fault.plugin)
        message = f"the plug-in {_shown(fault.plugin)} cannot be used: {fault.message}"
        place = None if fault.file is None else _place(fault.file, fault.line)
        yield Finding(("plugins", number), message, fault.help, place=place)


def _shown(name: str) -> str:
    """The name of a file as it is from the current folder, where that is shorter; others as they are."""
    if not Path(name).is_absolute():
        return name
    try:
        return min(os.path.relpath(name), name, key=len)
    except ValueError:
        # On another drive.
        return name


def _place(file: str, line: int) -> Place:
    try:
        text = Path(file).read_bytes().decode("utf-8", errors="replace")
    except (OSError, ValueError):
        text = ""
    source = Source(_shown(file), text)
    return Place(source, Span(line, 1, line, len(source.line(line)) + 1))
