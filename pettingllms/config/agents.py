"""Who plays: base models, agents, the order they speak in, and the environment they share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from pettingllms.config.model import ConfigModel, Only


class ResourceConfig(ConfigModel):
    """The machines of one run."""

    nnodes: Annotated[int, Only(1)] = Field(1, ge=1)
    """Number of nodes."""
    n_gpus_per_node: Annotated[int | None, Only(None, 0, 1)] = Field(None, ge=0)
    """GPUs of each node. Default: 1 where `training.device` is `cuda`, 0 where it is `cpu`."""
    trust_remote_code: bool = False
    """Whether a model folder's own Python code may run when the model is loaded."""


class EnvConfig(ConfigModel):
    """The task environment that all agents share."""

    name: str
    """Registered environment, e.g. `math_env`."""
    dataset: str
    """Where training tasks come from: `builtin:arithmetic`, a preset such as `polaris`, `hf:owner/name`, or
    the path of a file or folder with rows."""
    benchmark: str | None = None
    """Where validation tasks come from; the same forms. Default: the validation split of `dataset`."""
    max_turns: int = Field(2, ge=1)
    """Number of turns of an episode; what one turn is says `turn_unit`."""
    turn_unit: Literal["agent", "round"] = "agent"
    """What `max_turns` counts. `agent`: one agent acting once; `round`: all of `turn_order` acting once."""
    resolve: bool = False
    """True: an episode ends early when the environment's own check says solved."""
    multi_modal: bool = False
    """Whether agents are shown the state as an image instead of text: in environments that draw it, with
    models that take images."""
    batched_init: bool = True
    """True: the environments of a batch are set up together; false: each when it first acts."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Settings of the chosen environment, typed by that environment (difficulty, split sizes, …)."""


class BaseModelConfig(ConfigModel):
    """One policy: trainable weights and the checkpoint they start from."""

    path: str
    """Local folder, Hugging Face id, or `builtin:smollm2-135m-instruct`."""
    name: str = Field(min_length=1)
    """The name by which agents refer to this policy; equal names with equal paths are one policy."""


class ExampleTurn(ConfigModel):
    """One worked example shown to an agent before its real task."""

    user: str
    """What the agent is shown."""
    assistant: str
    """What it should answer."""


class TokenSamplingConfig(ConfigModel):
    """How an agent draws tokens while training."""

    temperature: float | None = Field(None, ge=0.01)
    """Softmax temperature, no unit, at least 0.01. Default: the policy's rollout temperature."""
    top_p: float | None = Field(None, gt=0, le=1)
    """Nucleus mass in (0, 1]; 1 is off. Default: the policy's rollout."""
    top_k: int | None = Field(None, ge=-1)
    """Number of most likely tokens kept; -1 and 0 are off. Default: the policy's rollout."""
    min_p: float | None = Field(None, ge=0, le=1)
    """Least probability relative to the most likely token; 0 is off. Default: the policy's rollout."""
    repetition_penalty: Annotated[float, Only(1.0)] = Field(1.0, gt=0)
    """Divisor of the logits of tokens that occurred before; 1 is off."""
    stop: list[str] = Field(default_factory=list)
    """Texts at which generation stops."""


class ValidationSamplingConfig(ConfigModel):
    """How an agent draws tokens in validation and test."""

    temperature: float = Field(0.0, ge=0)
    """Softmax temperature, no unit; 0 is greedy."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus mass in (0, 1]; 1 is off."""
    top_k: int = Field(-1, ge=-1)
    """Number of most likely tokens kept; -1 is off."""
    min_p: float = Field(0.0, ge=0, le=1)
    """Least probability relative to the most likely token; 0 is off."""
    repetition_penalty: Annotated[float, Only(1.0)] = Field(1.0, gt=0)
    """Divisor of the logits of tokens that occurred before; 1 is off."""
    stop: list[str] = Field(default_factory=list)
    """Texts at which generation stops."""


class AgentConfig(ConfigModel):
    """One agent: a role with its prompt, and the policy that it samples from."""

    name: str = Field(min_length=1)
    """The agent's name, used in `turn_order`."""
    policy_name: str
    """The `base_models.*.name` that this agent samples from."""
    agent: str | None = None
    """The registered agent class. Default: `name`."""
    system_prompt: str | None = None
    """System message. Default: the agent class's own."""
    examples: list[ExampleTurn] = Field(default_factory=list)
    """Worked examples shown before the task, in order."""
    train_llm_config: TokenSamplingConfig = TokenSamplingConfig()
    """Token sampling while training."""
    val_llm_config: ValidationSamplingConfig = ValidationSamplingConfig()
    """Token sampling in validation and test."""
    sample_num: int = Field(1, ge=1)
    """Completions that one action consists of: the agent goes with what most of them say."""
    trained: bool = True
    """False freezes the agent: it plays, but its samples train nothing."""


class AgentPolicyConfigs(ConfigModel):
    """All agents of the team."""

    num_agents: int = Field(ge=1)
    """Number of agents; equals the number of `agent_configs`."""
    policy_list: list[str] = Field(default_factory=list)
    """Agent names, checked against `agent_configs`."""
    agent_configs: dict[str, AgentConfig]
    """The agents, keyed `agent_0`, `agent_1`, …"""


class InteractionConfig(ConfigModel):
    """Who speaks when."""

    turn_order: list[str] = Field(min_length=1)
    """Agent names in speaking order; cycled until `env.max_turns` turns were played."""
    num_interacting_agents: int | None = Field(None, ge=1)
    """Number of distinct agents in `turn_order`."""
    parallel: bool = False
    """Whether the agents of a round act at once: all prompts show the state in which the round starts, and
    the actions are committed in `turn_order`."""
