"""The team as the rollout sees it: who acts at which turn, from which policy, with which sampling."""

from __future__ import annotations

from dataclasses import dataclass

from pettingllms.agents import AGENTS
from pettingllms.agents.base import Agent
from pettingllms.config.agents import AgentPolicyConfigs, InteractionConfig
from pettingllms.config.homes import PolicyPlan, evaluation_sampling, train_sampling
from pettingllms.types import TokenSampling


@dataclass(frozen=True, slots=True)
class Member:
    """One agent of the team. `prompt_limit`: tokens."""

    name: str
    agent: Agent
    policy: str
    trained: bool
    train: TokenSampling
    evaluation: TokenSampling
    prompt_limit: int


@dataclass(frozen=True, slots=True)
class Team:
    """The agents in speaking order; the order is cycled for `max_turns` turns."""

    order: tuple[Member, ...]
    max_turns: int

    def at(self, turn: int) -> Member:
        """Who acts at `turn` (0-based)."""
        return self.order[turn % len(self.order)]

    @property
    def members(self) -> tuple[Member, ...]:
        """The distinct agents, in speaking order."""
        return tuple({member.name: member for member in self.order}.values())


def build_team(
    agents: AgentPolicyConfigs,
    interaction: InteractionConfig,
    policies: dict[str, PolicyPlan],
    max_turns: int,
) -> Team:
    """Put the team together. Raises RefusedError for an agent class that is not registered."""
    members = {}
    for config in agents.agent_configs.values():
        policy = policies[config.policy_name]
        members[config.name] = Member(
            name=config.name,
            agent=AGENTS.load(config.agent or config.name)(config),
            policy=policy.name,
            trained=config.trained,
            train=train_sampling(config, policy),
            evaluation=evaluation_sampling(config, policy),
            prompt_limit=policy.max_prompt_length,
        )
    return Team(tuple(members[name] for name in interaction.turn_order), max_turns)
