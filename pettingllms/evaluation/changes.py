"""What an evaluation changes of an experiment: who plays, with which policy, at which temperature."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.errors import RefusedError, UsageError
from pettingllms.registry import closest

COLDEST = 0.01
"""The lowest temperature above 0 that engines take."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Ablations and sampling of an evaluation.

    `swaps`: pairs of agents, or of policies, that change places. `single`: the agent that plays all turns.
    `temperature`: of all agents; None leaves each its own.
    """

    swaps: tuple[tuple[str, str], ...] = ()
    single: str | None = None
    temperature: float | None = None

    def words(self, config: ExperimentConfig) -> list[str]:
        """What is changed of the team of `config`, for people."""
        agents = {agent.name for agent in config.agent_policy_configs.agent_configs.values()}
        said = [
            f"policies {'of ' if one in agents else ''}{one} and {other} swapped" for one, other in self.swaps
        ]
        return said + ([f"{self.single} alone"] if self.single is not None else [])


def parse_swaps(words: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """`a=b` as pairs. Raises UsageError for anything else."""
    pairs = []
    for word in words:
        one, equals, other = (part.strip() for part in word.partition("="))
        if not (one and equals and other) or one == other:
            raise UsageError(f"--swap {word}: two names are needed", help="as in --swap planner=coder")
        pairs.append((one, other))
    return tuple(pairs)


def assigned(config: ExperimentConfig, changes: Changes) -> dict[str, str]:
    """The policy of each agent after all swaps, one after the other.

    A pair of agents exchanges policies; a pair of policies exchanges all agents. A name that is both is
    taken for the agent. Raises UsageError for a name that is neither, for an agent paired with a policy, and
    for a pair that changes nothing.
    """
    agents = {one.name: one.policy_name for one in config.agent_policy_configs.agent_configs.values()}
    policies = {base.name for base in config.base_models.values()}
    for one, other in changes.swaps:
        option = f"--swap {one}={other}"
        for name in (one, other):
            _require_known(option, name, agents.keys() | policies, "agent or policy")
        if (one in agents) != (other in agents):
            raise UsageError(f"{option}: one is an agent and the other a policy", help="name two of a kind")
        before = dict(agents)
        if one in agents:
            agents[one], agents[other] = agents[other], agents[one]
        else:
            exchanged = {one: other, other: one}
            agents = {agent: exchanged.get(policy, policy) for agent, policy in agents.items()}
        if agents == before:
            raise UsageError(
                f"{option} changes nothing: both play with the same policy, or nobody with either",
                help="a shared policy plays all its agents",
            )
    return agents


def as_played(stored: dict[str, Any], config: ExperimentConfig, changes: Changes) -> dict[str, Any]:
    """`stored`, the tree of `config`, with `changes` in their places.

    `--single` reduces the turn order to that agent, which then plays as many turns as the team does.
    Raises UsageError for unknown names.
    """
    tree = deepcopy(stored)
    policies = assigned(config, changes)
    for key, agent in config.agent_policy_configs.agent_configs.items():
        own = tree["agent_policy_configs"]["agent_configs"][key]
        if agent.policy_name != policies[agent.name]:
            own["policy_name"] = policies[agent.name]
        if changes.temperature is not None:
            own.setdefault("val_llm_config", {})["temperature"] = changes.temperature
    if changes.single is not None:
        order = config.multi_agent_interaction.turn_order
        _require_known(f"--single {changes.single}", changes.single, set(order), "agent that takes turns")
        turns = config.env.max_turns * (len(order) if config.env.turn_unit == "round" else 1)
        tree["multi_agent_interaction"]["turn_order"] = [changes.single]
        tree["env"] |= {"max_turns": turns, "turn_unit": "agent"}
    return tree


def require_varied(config: ExperimentConfig, changes: Changes, samples: int) -> None:
    """Refuse several samples of agents that all answer greedily: they would be the same.

    Raises RefusedError for that, and UsageError for a temperature that engines do not take.
    """
    asked = changes.temperature
    if asked is not None and not (asked == 0 or asked >= COLDEST):
        raise UsageError(
            f"--temperature {asked:g}: engines take 0, which is greedy, and {COLDEST} or more",
            help=f"write 0, or {COLDEST}",
        )
    if samples > 1 and not any(temperatures(config, changes).values()):
        raise RefusedError(
            f"{samples} samples of a task would all be the same: every agent that plays is greedy, at "
            "temperature 0",
            help="write --temperature 1, or set an agent's val_llm_config.temperature",
        )


def temperatures(config: ExperimentConfig, changes: Changes) -> dict[str, float]:
    """The temperature of each agent that plays."""
    playing = {changes.single} if changes.single else set(config.multi_agent_interaction.turn_order)
    return {
        agent.name: agent.val_llm_config.temperature if changes.temperature is None else changes.temperature
        for agent in config.agent_policy_configs.agent_configs.values()
        if agent.name in playing
    }


def _require_known(option: str, name: str, known: set[str], kind: str) -> None:
    if name not in known:
        near = closest(name, known)
        raise UsageError(
            f"{option}: there is no {kind} {name!r}",
            help=f"did you mean {near!r}?" if near else f"known: {', '.join(sorted(known))}",
        )
