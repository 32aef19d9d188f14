"""`single_agent`: one agent that plays alone; and agents that take one role or another, as the state asks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable
from typing import Any

from pettingllms.agents import AGENTS
from pettingllms.agents.base import Agent
from pettingllms.config.agents import AgentConfig
from pettingllms.envs.base import Env, Outcome
from pettingllms.errors import RolloutError
from pettingllms.types import Message

ALONE = {
    "MathEnv": "reasoning_generator",
    "CodeEnv": "code_generator",
    "SearchEnv": "search_single_agent",
    "StatefulEnv": "plan_agent",
}
"""The role that gives the final answer, by the name of the environment's class or of one of its bases."""


class ActingFor(Agent):
    """An agent that does what another one would: the prompt, too, unless the experiment file sets its own."""

    system_prompt = ""

    def __init__(self, config: AgentConfig) -> None:
        super().__init__(config)
        self._config = config

    @abstractmethod
    def role(self, env: Any) -> str:
        """The registered agent class to act for in this state."""

    def messages(self, env: Any) -> list[Message]:
        """The chat of the role."""
        return self._acting(env).messages(env)

    def observe(self, env: Any) -> str:
        """What the role is shown."""
        return self._acting(env).observe(env)

    def skips(self, env: Any) -> bool:
        """Whether the role does."""
        return self._acting(env).skips(env)

    def opinion(self, env: Any, text: str) -> Hashable | None:
        """What the role takes `text` for."""
        return self._acting(env).opinion(env, text)

    def act(self, env: Any, text: str) -> Outcome:
        """What the role does."""
        return self._acting(env).act(env, text)

    def _acting(self, env: Any) -> Agent:
        return AGENTS.load(self.role(env))(self._config)


class SingleAgent(ActingFor):
    """Gives the final answer alone, in any environment that has such a role."""

    def role(self, env: Env) -> str:
        """The role that gives the final answer in `env`. Raises RolloutError where none is known."""
        for kind in type(env).__mro__:
            if kind.__name__ in ALONE:
                return ALONE[kind.__name__]
        known = ", ".join(sorted(ALONE))
        raise RolloutError(
            f"single_agent has no role in {type(env).__name__}",
            help=f"name an agent class of that environment; single_agent plays {known}",
        )
