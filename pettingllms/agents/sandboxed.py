"""Whether an experiment runs programs that models write, and whether the sandbox here is enough for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pettingllms.agents import AGENTS
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.envs import ENVS
from pettingllms.envs.homes import played_in


def runs_programs(config: ExperimentConfig) -> bool:
    """True where an environment or an agent of the team says so (`runs_programs`)."""
    agents = config.agent_policy_configs.agent_configs.values()
    return any(ENVS.load(name).runs_programs for name in played_in(config.env)) or any(
        AGENTS.load(agent.agent or agent.name).runs_programs for agent in agents
    )


def require_sandbox(configs: Iterable[ExperimentConfig]) -> str | None:
    """Try the sandbox where one of `configs` runs programs; returns what reports say where it is weak.

    Raises RefusedError where it is weaker than one of them requires, and does not allow.
    """
    weak = None
    for config in configs:
        if runs_programs(config):
            from pettingllms.sandbox.strength import require_strength, weakness

            least = config.sandbox.require
            found = require_strength(least, allow_weak=config.sandbox.allow_weak)
            weak = weakness(found, least) or weak
    return weak


def weak_sandbox(weak: str) -> str:
    """The warning, the same at the start and in the records, that the sandbox is `weak`."""
    return f"programs that models write run in a weak sandbox: {weak}"


def sandbox_record(config: ExperimentConfig) -> dict[str, Any] | None:
    """What a manifest keeps of the sandbox; None for an experiment that runs no programs."""
    if not runs_programs(config):
        return None
    from pettingllms.sandbox.probes import probed

    return probed().record()
