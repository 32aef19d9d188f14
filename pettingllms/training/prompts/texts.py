"""The texts of a team that a search may change: from agents to a candidate, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from pettingllms.config.agents import AgentConfig, AgentPolicyConfigs, ExampleTurn
from pettingllms.config.prompt_search import Component
from pettingllms.rollout.prompts import Tokenizer
from pettingllms.rollout.team import build_agent
from pettingllms.types import Message

Candidate = dict[str, str]
"""Texts by component, `<agent>.system_prompt` or `<agent>.examples`."""

_EXAMPLES = TypeAdapter(list[ExampleTurn])


def component(name: str) -> tuple[str, str]:
    """The agent of a component and the key of its text; names of agents may hold dots."""
    agent, _, key = name.rpartition(".")
    return agent, key


@dataclass(frozen=True, slots=True)
class PromptTexts:
    """The texts of the agents of a team that act and are trained.

    `tokenizers`, `limits`: that of each agent, and its longest prompt in tokens.
    """

    agents: AgentPolicyConfigs
    components: Sequence[Component]
    tokenizers: Mapping[str, Tokenizer]
    limits: Mapping[str, int]

    def start(self) -> Candidate:
        """The texts as the file sets them; a system prompt that it does not set is the agent class's own."""
        texts: Candidate = {}
        for agent in self.agents.agent_configs.values():
            if not agent.trained or agent.name not in self.limits:
                continue
            if "system_prompt" in self.components:
                own = build_agent(agent).system_prompt
                texts[f"{agent.name}.system_prompt"] = (
                    own if agent.system_prompt is None else agent.system_prompt
                )
            if "examples" in self.components:
                shown = [example.model_dump() for example in agent.examples]
                texts[f"{agent.name}.examples"] = json.dumps(shown, indent=1, ensure_ascii=False)
        return texts

    def team(self, candidate: Mapping[str, str]) -> AgentPolicyConfigs:
        """The agents with the texts of `candidate`. Raises ValueError for examples that cannot be read."""
        configs = {key: _with_texts(agent, candidate) for key, agent in self.agents.agent_configs.items()}
        return self.agents.model_copy(update={"agent_configs": configs})

    def refusal(self, name: str, text: str, candidate: Mapping[str, str]) -> str | None:
        """Why `text` cannot take the place of the component `name` of `candidate`; None where it can."""
        agent_name, key = component(name)
        if text == candidate[name]:
            return "the text is the one that it shall replace"
        if key == "examples" and read_examples(text) is None:
            return "it is no JSON list of objects with the texts `user` and `assistant`"
        changed = self.team({**candidate, name: text}).agent_configs.values()
        agent = next(one for one in changed if one.name == agent_name)
        tokens, limit = len(self.without_task(agent)), self.limits[agent_name]
        if tokens > limit:
            return f"the prompt has {tokens} tokens before any task, and max_prompt_length is {limit}"
        return None

    def without_task(self, agent: AgentConfig) -> list[int]:
        """The token ids of the agent's prompt with no task in it."""
        return self.tokenizers[agent.name].chat([*build_agent(agent).opening(), Message("user", "")])


def _with_texts(agent: AgentConfig, candidate: Mapping[str, str]) -> AgentConfig:
    changes: dict[str, object] = {}
    if (prompt := candidate.get(f"{agent.name}.system_prompt")) is not None:
        changes["system_prompt"] = prompt
    if (written := candidate.get(f"{agent.name}.examples")) is not None:
        examples = read_examples(written)
        if examples is None:
            raise ValueError(f"the examples of {agent.name} cannot be read")
        changes["examples"] = examples
    return agent.model_copy(update=changes)


def read_examples(text: str) -> list[ExampleTurn] | None:
    """The worked examples that a JSON list of {user, assistant} holds; None where it is none."""
    try:
        return _EXAMPLES.validate_json(text)
    except ValidationError:
        return None
