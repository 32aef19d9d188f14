"""The whole experiment file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pettingllms.config.agents import (
    AgentPolicyConfigs,
    BaseModelConfig,
    EnvConfig,
    InteractionConfig,
    ResourceConfig,
)
from pettingllms.config.model import ConfigModel
from pettingllms.config.ppo import ModelConfig
from pettingllms.config.sweep import SweepConfig
from pettingllms.config.training import TrainingConfig

FORMAT = 1
"""The version of the file format that this package reads."""

Specialization = Literal["prompt", "lora", "full"]
"""What makes a policy's agents speak in their own way: prompts, an adapter, or all weights."""


class LaunchConfig(ConfigModel):
    """How a trial's process is started."""

    num_cpu_threads_per_process: int | None = Field(None, ge=1)
    """Threads of the trainer, and of the engine, which takes turns with it. Default: all cores, divided among
    the processes."""
    num_processes: int = Field(1, ge=1)
    """Processes that share the work of a step, each with an engine of its own. Their number does not change
    what is learned, but for rounding."""


class SandboxConfig(ConfigModel):
    """How untrusted code is kept in."""

    require: Literal["strong", "medium"] = "strong"
    """Least strength of the sandbox, which is found out by attacking it. `strong`: within limits, and away
    from files, networks and other processes; `medium`: within limits, and away from files, or from networks
    and other processes."""
    allow_weak: bool = False
    """Whether programs may run below that strength; every report says so."""


class ExperimentConfig(ConfigModel):
    """One experiment: models, agents, who speaks when, the task, the trainer's numbers, the sweep."""

    format: int = Field(FORMAT, ge=1)
    """Version of this file format."""
    defaults: list[str | dict[str, str | list[str] | None]] = Field(default_factory=list)
    """Files that this one builds on, in order; `_self_` is the place of this file, last if absent."""
    plugins: list[str] = Field(default_factory=list)
    """Files and modules with environments and agents of your own; a relative path starts at the folder of the
    file that names it."""
    specialization: Specialization = "lora"
    """How agents differ. `prompt`: by optimised prompts, the weights stay as they are; `lora`: by one adapter
    per policy on frozen base weights; `full`: by all weights of each policy."""
    lora_rank: int = Field(16, ge=1)
    """Rank of the adapters."""
    lora_alpha: float = Field(32, gt=0)
    """Scaling numerator of the adapters: the update is scaled by alpha / rank."""
    resource: ResourceConfig = ResourceConfig()
    """The machines."""
    env: EnvConfig
    """The task environment."""
    base_models: dict[str, BaseModelConfig]
    """The policies, keyed `policy_0`, `policy_1`, …"""
    agent_policy_configs: AgentPolicyConfigs
    """The agents."""
    multi_agent_interaction: InteractionConfig
    """Who speaks when."""
    training: TrainingConfig = TrainingConfig()
    """The run's numbers."""
    models: dict[str, ModelConfig] = Field(default_factory=dict)
    """The trainer's settings of each policy, keyed `model_0`, `model_1`, …; missing ones are derived."""
    sweep: SweepConfig | None = None
    """The study."""
    launch: LaunchConfig = LaunchConfig()
    """Process start."""
    sandbox: SandboxConfig = SandboxConfig()
    """Untrusted code."""
