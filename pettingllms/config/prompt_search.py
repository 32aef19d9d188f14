"""The search for better prompts: who proposes them, how much is tried, which texts may change."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pettingllms.config.model import ConfigModel

Component = Literal["system_prompt", "examples"]


class PromptSearchConfig(ConfigModel):
    """How `specialization = "prompt"` looks for better prompts; without effect elsewhere."""

    components: list[Component] = Field(default=["system_prompt"], min_length=1)
    """Which texts of each trained agent are optimised: its `system_prompt`, its `examples`, or both."""
    minibatch_size: int = Field(4, ge=1)
    """Training tasks that a prompt and its proposed successor both play, and that reflection is shown."""
    proposals: int = Field(1, ge=1)
    """Proposals of one step, each with a minibatch of its own; they are played and reflected on together."""
    max_episodes: int | None = Field(None, ge=1)
    """Episodes of minibatches and validation after which no further step begins. Default: no limit but
    `training.total_training_steps`."""
    reflection_model: str | None = None
    """Who reads what went wrong and writes the proposals: the name of a policy (`base_models.*.name`), or of
    a model at `reflection_url`. Default: the policy of the first agent."""
    reflection_url: str | None = Field(None, pattern=r"^https?://[^\s/]")
    """Base address of an OpenAI-compatible endpoint, up to and with `/v1`. Default: a policy is asked."""
    reflection_key_variable: str | None = Field(None, min_length=1)
    """Name of the environment variable that holds the endpoint's API key. Default: no key is sent."""
    reflection_timeout: float = Field(120.0, gt=0)
    """Seconds that the endpoint has for one answer."""
    reflection_attempts: int = Field(4, ge=1)
    """How often the endpoint is asked before the run gives up; waits of 1, 2, 4, … seconds lie between."""
    reflection_temperature: float = Field(1.0, ge=0)
    """Softmax temperature of reflection, no unit; 0 is greedy."""
    reflection_prompt_length: int = Field(2048, ge=64)
    """Longest prompt of a policy that reflects, in tokens; longer ones are cut in the middle."""
    reflection_response_length: int = Field(512, ge=1)
    """Longest answer of the reflecting model, in tokens."""
