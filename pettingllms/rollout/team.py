"""The team as the rollout sees it: who acts at which turn, from which policy, with which sampling."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pettingllms.agents import AGENTS
from pettingllms.agents.base import Agent
from pettingllms.config.agents import AgentConfig, AgentPolicyConfigs, InteractionConfig
from pettingllms.config.homes import PolicyPlan, evaluation_sampling, train_sampling
from pettingllms.types import TokenSampling


@dataclass(frozen=True, slots=True)
class Member:
    """One agent of the team. `prompt_limit`: tokens. `sample_num`: completions of one action."""

    name: str
    agent: Agent
    policy: str
    trained: bool
    train: TokenSampling
    evaluation: TokenSampling
    prompt_limit: int
    sample_num: int = 1

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"agent {self.name!r}"


class Move(NamedTuple):
    """Who acts at a turn. `turn`: 0-based, counted over the whole episode."""

    turn: int
    member: Member


@dataclass(frozen=True, slots=True)
class Team:
    """The agents in speaking order; the order is cycled for `max_turns` agent turns.

    `parallel`: the agents of a round act at once, each from the state in which the round starts.
    """

    order: tuple[Member, ...]
    max_turns: int
    parallel: bool = False

    @property
    def members(self) -> tuple[Member, ...]:
        """The distinct agents, in speaking order."""
        return tuple({member.name: member for member in self.order}.values())

    def moves(self) -> Iterator[list[Move]]:
        """The turns of an episode, those together whose prompts show the same state.

        One by one, or whole rounds where agents act in parallel; the last round may be a partial one.
        """
        size = len(self.order) if self.parallel else 1
        for begin in range(0, self.max_turns, size):
            turns = range(begin, min(begin + size, self.max_turns))
            yield [Move(turn, self.order[turn % len(self.order)]) for turn in turns]


def build_agent(config: AgentConfig) -> Agent:
    """The agent that `config` names by its class. Raises RefusedError for one that is not registered."""
    return AGENTS.load(config.agent or config.name)(config)


def build_team(
    agents: AgentPolicyConfigs,
    interaction: InteractionConfig,
    policies: dict[str, PolicyPlan],
    max_turns: int,
    turn_unit: Literal["agent", "round"],
) -> Team:
    """Put the team together. Raises RefusedError for an agent class that is not registered.

    `max_turns` counts what `turn_unit` says: agents acting once, or the whole order acting once.
    """
    members = {}
    for config in agents.agent_configs.values():
        policy = policies[config.policy_name]
        members[config.name] = Member(
            name=config.name,
            agent=build_agent(config),
            policy=policy.name,
            trained=config.trained,
            train=train_sampling(config, policy),
            evaluation=evaluation_sampling(config, policy),
            prompt_limit=policy.max_prompt_length,
            sample_num=config.sample_num,
        )
    order = tuple(members[name] for name in interaction.turn_order)
    turns = max_turns * len(order) if turn_unit == "round" else max_turns
    return Team(order, turns, interaction.parallel)
