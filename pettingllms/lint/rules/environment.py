"""PLM5, environment and data: where tasks come from, and the environment's own options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from pettingllms.agents import AGENTS
from pettingllms.config.shape import shape_findings
from pettingllms.data.presets import PRESETS
from pettingllms.data.sources import is_row_source
from pettingllms.documents.source import Finding
from pettingllms.envs import DATASETS, ENVS
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.rule import Context, rule
from pettingllms.lint.rules.graph import AGENT
from pettingllms.registry import closest


def _sets(context: Context) -> Iterator[tuple[str, str]]:
    env = context.config.env
    yield "dataset", env.dataset
    if env.benchmark is not None:
        yield "benchmark", env.benchmark


@rule(
    "PLM501",
    "dataset-not-available",
    Severity.WARNING,
    reads=["env.dataset", "env.benchmark"],
    blocks=True,
)
def dataset_not_available(context: Context) -> Iterator[Finding]:
    """`env.dataset` or `env.benchmark` is a name that this version does not know.

    It knows presets, `hf:owner/name` for a dataset of the Hugging Face hub, paths of `*.jsonl`, `*.json` and
    `*.parquet` files and of folders with such files, and `builtin:` sets. The experiment may be right;
    `train` and `sweep run` refuse it.
    """
    for key, name in _sets(context):
        if not name.startswith("builtin:") and not is_row_source(name):
            near = closest(name, PRESETS)
            known = f"available: {', '.join([*PRESETS, *DATASETS])}, hf:owner/name, or a path"
            message = f"{key} {name!r} is not available in this version"
            yield Finding(("env", key), message, f"did you mean {near}?" if near else known)


@rule("PLM502", "unknown-builtin-dataset", Severity.ERROR, reads=["env.dataset", "env.benchmark"])
def unknown_builtin_dataset(context: Context) -> Iterator[Finding]:
    """A name starts with `builtin:` and no such set of tasks is built in."""
    for key, name in _sets(context):
        if name.startswith("builtin:") and name not in DATASETS:
            near = closest(name, DATASETS)
            help_text = f"did you mean {near}?" if near else f"available: {', '.join(DATASETS)}"
            yield Finding(("env", key), f"there is no dataset {name!r}", help_text)


@rule("PLM503", "environment-options", Severity.ERROR, reads=["env.name", "env.options"])
def environment_options(context: Context) -> Iterator[Finding]:
    """`env.options` does not fit the chosen environment, which types its own options."""
    env = context.config.env
    # Only code of this package is imported by a linter.
    if not env.options or env.name not in ENVS or not ENVS[env.name].startswith("pettingllms."):
        return
    options: Any = ENVS.load(env.name).Options
    try:
        options.model_validate(env.options)
    except ValidationError as error:
        yield from shape_findings(error, env.options, options, ("env", "options"))


@rule(
    "PLM504",
    "environment-not-available",
    Severity.WARNING,
    reads=["env.name", f"{AGENT}.name", f"{AGENT}.agent"],
    blocks=True,
)
def environment_not_available(context: Context) -> Iterator[Finding]:
    """An environment or an agent class is documented, and this version does not have it.

    The experiment may be right; `train` and `sweep run` refuse it.
    """
    config = context.config
    if config.env.name in ENVS.announced:
        message = f"the environment {config.env.name!r} is not available in this version"
        yield Finding(("env", "name"), message, f"available: {', '.join(ENVS)}")
    for key, agent in config.agent_policy_configs.agent_configs.items():
        name = agent.agent or agent.name
        if name in AGENTS.announced:
            path = ("agent_policy_configs", "agent_configs", key, "agent" if agent.agent else "name")
            message = f"the agent class {name!r} is not available in this version"
            yield Finding(path, message, f"available: {', '.join(AGENTS)}")


ANNOUNCED_FAMILIES = {
    **dict.fromkeys(("plan_agent", "tool_call_agent"), "stateful_env"),
    **dict.fromkeys(("web_search_agent", "search_reasoning_agent"), "search_env"),
}
"""The environments of documented agent classes that this version does not have."""


def family(agent: str) -> str | None:
    """The environment that an agent class of this package is made for; None for any, or where unknown.

    The roles of one task family are one module, which is named like the environment.
    """
    if agent in AGENTS:
        module = AGENTS[agent].partition(":")[0]
        env = f"{module.rpartition('.')[2]}_env"
        return env if module.startswith("pettingllms.agents.") and _is_single_task(env) else None
    return ANNOUNCED_FAMILIES.get(agent)


def _is_single_task(env: str) -> bool:
    """True for an environment of this package with tasks of one kind."""
    ours = env in ENVS and ENVS[env].startswith("pettingllms.")
    return (ours or env in ENVS.announced) and env != "mixed_env"


@rule(
    "PLM505",
    "agent-of-another-environment",
    Severity.ERROR,
    reads=["env.name", f"{AGENT}.name", f"{AGENT}.agent"],
)
def agent_of_another_environment(context: Context) -> Iterator[Finding]:
    """An agent class is made for another environment than `env.name`.

    It would look for what this environment does not show, and answer what it does not understand.
    `single_agent` plays anywhere; classes and environments that are not of this package are not judged.
    """
    config = context.config
    if not _is_single_task(config.env.name):
        return
    everyone = [*AGENTS, *ANNOUNCED_FAMILIES]
    for key, agent in config.agent_policy_configs.agent_configs.items():
        name = agent.agent or agent.name
        home = family(name)
        if home is not None and home != config.env.name:
            path = ("agent_policy_configs", "agent_configs", key, "agent" if agent.agent else "name")
            message = f"the agent class {name!r} is made for {home}, and env.name is {config.env.name!r}"
            fitting = [one for one in everyone if family(one) == config.env.name]
            yield Finding(path, message, f"agents of {config.env.name}: {', '.join(fitting)}")
