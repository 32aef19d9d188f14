"""The contract of an agent: build a prompt from the environment, turn text into an action."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Any, ClassVar

from pettingllms.config.agents import AgentConfig
from pettingllms.envs.base import Outcome
from pettingllms.types import Message


class Agent(ABC):
    """A role of one environment; holds no weights and no state of an episode."""

    environment: ClassVar[str | None] = None
    """Registered name of the environment that the role of a plug-in is made for; None: any. Roles of this
    package are made for the environment that their module is named after."""
    system_prompt: ClassVar[str]
    """What the agent is told when the experiment file sets no `system_prompt`."""
    runs_programs: ClassVar[bool] = False
    """Whether its actions run programs that a model wrote: a run then requires the sandbox."""

    def __init__(self, config: AgentConfig) -> None:
        self.name = config.name
        own = config.system_prompt
        self._system = own if own is not None else self.system_prompt
        self._examples = config.examples

    def opening(self) -> list[Message]:
        """What every chat begins with: system message and worked examples."""
        chat = [Message("system", self._system)] if self._system else []
        for example in self._examples:
            chat += [Message("user", example.user), Message("assistant", example.assistant)]
        return chat

    def messages(self, env: Any) -> list[Message]:
        """The whole chat: system message, worked examples, and the task as it stands now."""
        return [*self.opening(), Message("user", self.observe(env))]

    def skips(self, env: Any) -> bool:  # noqa: ARG002 - for agents that do
        """Whether the agent leaves out its turn, judged by the state that it would be shown.

        A turn that is left out counts as one of `env.max_turns`, and nothing is generated for it.
        """
        return False

    def opinion(self, env: Any, text: str) -> Hashable | None:  # noqa: ARG002 - for agents that need it
        """What `text` says, where an action consists of several completions: the most frequent opinion wins.

        None where it says nothing usable. It changes nothing, and is not asked about a single completion.
        """
        return text.strip() or None

    @abstractmethod
    def observe(self, env: Any) -> str:
        """What the agent is shown of `env`; earlier agents' actions included."""

    @abstractmethod
    def act(self, env: Any, text: str) -> Outcome:
        """Parse `text` strictly, change `env` by it, and return what the action itself earned.

        Any text may come: empty, endless, garbage. It never raises for what a text says.
        """


def fault_of(found: object) -> str | None:
    """What keeps `found` from being an agent class, in words that go on after its name; None for nothing."""
    if not (isinstance(found, type) and issubclass(found, Agent)):
        return "is no class that derives from pettingllms.agents.base.Agent"
    if found.__abstractmethods__:
        return f"lacks {', '.join(sorted(found.__abstractmethods__))}"
    if not isinstance(getattr(found, "system_prompt", None), str):
        return "has no system_prompt, a text"
    if not isinstance(found.environment, str | None):
        return f"has the environment {found.environment!r:.80}, which is no name"
    return None
