"""The trainer's numbers of one policy, in the places where verl users know them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pettingllms.config.model import ConfigModel, Only


class DataConfig(ConfigModel):
    """Sequence lengths of one policy."""

    max_prompt_length: int | None = Field(None, ge=1)
    """Longest prompt in tokens. Default: `training.max_prompt_length`."""
    max_response_length: int | None = Field(None, ge=1)
    """Longest completion in tokens. Default: `training.max_response_length`."""


class ActorModelConfig(ConfigModel):
    """The weights that are trained."""

    path: str | None = None
    """Model path. Default: the path of the policy."""
    lora_rank: int | None = Field(None, ge=1)
    """Rank of the adapter. Default: `training.lora_rank`."""
    lora_alpha: float | None = Field(None, gt=0)
    """Scaling numerator of the adapter. Default: `training.lora_alpha`."""
    target_modules: str | list[str] = "all-linear"
    """Layers that get an adapter: `all-linear`, or names as in PEFT."""


class OptimConfig(ConfigModel):
    """AdamW of one policy."""

    lr: float = Field(1e-6, gt=0)
    """Learning rate."""
    weight_decay: float = Field(0.01, ge=0)
    """Decoupled weight decay."""


class PrecisionConfig(ConfigModel):
    """Number format of the trainer's frozen weights."""

    model_dtype: Literal["fp32", "bf16"] | None = None
    """Format of base weights and products; adapters stay fp32. Default: fp32 on the CPU, bf16 on CUDA."""


class ActorConfig(ConfigModel):
    """The policy update."""

    optim: OptimConfig = OptimConfig()
    """Optimizer."""
    clip_ratio: float = Field(0.2, gt=0, lt=1)
    """Half-width of the PPO ratio interval where `clip_ratio_low` or `_high` are not set."""
    clip_ratio_low: float | None = Field(None, gt=0, lt=1)
    """Lower half-width: the ratio is clipped below 1 - this."""
    clip_ratio_high: float | None = Field(None, gt=0)
    """Upper half-width: the ratio is clipped above 1 + this."""
    grad_clip: float = Field(1.0, gt=0)
    """Largest gradient norm of the policy."""
    ppo_mini_batch_size: Annotated[int | None, Only(None)] = Field(None, ge=1)
    """Tasks of one optimizer step. Default: `training.train_batch_size`, so that a step is one update."""
    ppo_max_token_len_per_gpu: int | None = Field(None, ge=1)
    """Token budget of one micro-batch. Default: 512 on the CPU, 8192 on CUDA."""
    fsdp_config: PrecisionConfig = PrecisionConfig()
    """Precision."""


class ScriptedEngineConfig(ConfigModel):
    """The `scripted` engine: fixed replies, for trying a set-up without a model's answers."""

    replies: list[str] = Field(default_factory=lambda: ["ok"], min_length=1)
    """Texts it answers with, drawn by the seed; `{0}`, `{1}`, … are the prompt's numbers, last one first."""


class EngineOptions(ConfigModel):
    """Settings that only one engine knows."""

    scripted: ScriptedEngineConfig = ScriptedEngineConfig()
    """The `scripted` engine."""


class RolloutConfig(ConfigModel):
    """The engine that samples."""

    name: Annotated[Literal["vllm", "hf", "scripted"], Only("vllm", "scripted")] = "vllm"
    """Which engine."""
    lora_serving: Literal["auto", "adapter", "merged"] = "auto"
    """How a LoRA policy is served. `auto`: merged weights on the CPU, adapters on CUDA."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the engine's weights. `auto`: float32 on the CPU, bfloat16 on CUDA."""
    temperature: float | None = Field(None, gt=0)
    """Temperature of training rollouts. Default: `training.sample_temperature`."""
    prompt_length: int | None = Field(None, ge=1)
    """Longest prompt in tokens. Default: `data.max_prompt_length`."""
    response_length: int | None = Field(None, ge=1)
    """Longest completion in tokens. Default: `data.max_response_length`."""
    tensor_model_parallel_size: int = Field(1, ge=1)
    """GPUs that one engine's weights are split over."""
    max_num_seqs: int = Field(64, ge=1)
    """Sequences that the engine decodes at once."""
    max_model_len: int | None = Field(None, ge=1)
    """Longest sequence that the engine takes, in tokens. Default: prompt and response length together."""
    max_num_batched_tokens: int | None = Field(None, ge=1)
    """Tokens of one engine step. Default: on the CPU room for every prompt at once, on CUDA vLLM's own."""
    enable_chunked_prefill: bool | None = None
    """Whether a long prompt may be spread over several engine steps. Default: vLLM's own, true."""
    max_lora_rank: int | None = Field(None, ge=1)
    """Largest adapter rank that the engine takes. Default: the smallest that all policies fit in."""
    gpu_memory_utilization: float = Field(0.5, gt=0, le=1)
    """Share of each GPU's memory that the engine takes; not read on the CPU."""
    engine_kwargs: EngineOptions = EngineOptions()
    """Settings of single engines."""


class GpuCounts(ConfigModel):
    """GPU counts, as the guide places them."""

    n_gpus_per_node: int | None = Field(None, ge=0)
    """GPUs of each node. Default: `resource.n_gpus_per_node`."""
    n_training_gpus_per_node: int | None = Field(None, ge=0)
    """GPUs of each node that train. Default: all of them."""


class ActorRolloutRefConfig(ConfigModel):
    """Model, update and rollout of one policy."""

    model: ActorModelConfig = ActorModelConfig()
    """The weights."""
    actor: ActorConfig = ActorConfig()
    """The update."""
    rollout: RolloutConfig = RolloutConfig()
    """The rollout."""
    trainer: GpuCounts = GpuCounts()
    """GPU counts; the same as `ppo_trainer_config.trainer`."""


class AlgorithmConfig(ConfigModel):
    """How rewards become advantages."""

    adv_estimator: Annotated[
        Literal["grpo", "dr_grpo", "rloo", "reinforce_plus_plus", "gae"], Only("grpo")
    ] = "grpo"
    """Advantage estimator."""
    grouping: Annotated[Literal["agent_turn", "trajectory"], Only("agent_turn")] = "agent_turn"
    """Which samples share a baseline: those of one task, turn and agent, or whole trajectories."""


class PpoTrainerConfig(ConfigModel):
    """Everything about training one policy."""

    filter_method: Annotated[Literal["none", "mean", "median", "dapo", "std", "uid"], Only("none")] = "none"
    """Which samples are dropped from the loss after advantages were computed."""
    filter_ratio: Annotated[float, Only()] = Field(0.5, ge=0, le=1)
    """Share of samples kept by `filter_method`."""
    data: DataConfig = DataConfig()
    """Lengths."""
    actor_rollout_ref: ActorRolloutRefConfig = ActorRolloutRefConfig()
    """Model, update, rollout."""
    algorithm: AlgorithmConfig = AlgorithmConfig()
    """Advantages."""
    trainer: GpuCounts = GpuCounts()
    """GPU counts."""


class ModelConfig(ConfigModel):
    """The trainer's settings of one policy."""

    path: str | None = None
    """Model path. Default: that of the base model with the same name or number."""
    name: str | None = None
    """Policy name. Default: that of the base model with the same number."""
    ppo_trainer_config: PpoTrainerConfig = PpoTrainerConfig()
    """The numbers."""
