"""A cheap strategy: what an agent would say that wants the reward and not the solution."""

from collections.abc import Callable
from typing import Any, NamedTuple

from pettingllms.agents import AGENTS
from pettingllms.config.agents import AgentConfig


class Hack(NamedTuple):
    """`text`: what is said, or what makes it of the state; some know more than any agent could."""

    name: str
    agent: str
    text: str | Callable[[Any], str]

    def said(self, env: Any) -> str:
        return self.text if isinstance(self.text, str) else self.text(env)


def program(source: str) -> str:
    return f"```python\n{source}\n```"


def earned(env: Any, agent: str, text: str, *, team: bool) -> float:
    """The agent's own reward in a copy of the state, and with `team` the team's, of the same weight."""
    twin = env.copy()
    outcome = AGENTS.load(agent)(AgentConfig(name=agent, policy_name="p")).act(twin, text)
    return (outcome.local or 0.0) + (twin.team_reward() if team else 0.0)
