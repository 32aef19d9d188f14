"""The trainer's numbers of one policy, in the places where verl users know them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pettingllms.config.critic import CriticConfig
from pettingllms.config.model import ConfigModel
from pettingllms.config.optim import OptimConfig


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
    specialization: Literal["lora", "full"] | None = None
    """What is trained: an adapter on frozen base weights, or all weights. Default: the experiment's
    `specialization`."""
    lora_rank: int | None = Field(None, ge=1)
    """Rank of the adapter. Default: `training.lora_rank`."""
    lora_alpha: float | None = Field(None, gt=0)
    """Scaling numerator of the adapter. Default: `training.lora_alpha`."""
    target_modules: str | list[str] = "all-linear"
    """Layers that get an adapter: `all-linear`, or names as in PEFT."""
    lora_adapter_path: str | None = None
    """Folder of a trained adapter (PEFT format) to start from; the reference policy is that adapter then."""
    enable_gradient_checkpointing: bool | None = None
    """Whether layers are computed again in the backward pass instead of kept. Default: on CUDA only."""


class PrecisionConfig(ConfigModel):
    """Number formats of the trainer."""

    model_dtype: Literal["fp32", "bf16"] | None = None
    """Format of products and of frozen base weights; what is trained, adapters or full weights, stays fp32.
    Default: fp32 on the CPU, bf16 on CUDA."""


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
    clip_ratio_c: float = Field(3.0, gt=1)
    """Dual clip: the largest ratio that counts for a token with a negative advantage."""
    loss_agg_mode: Literal[
        "token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"
    ] = "token-mean"
    """How the losses of tokens become one number: the mean of all tokens, or the mean over sequences of the
    sum, of the mean, or of the sum divided by `loss_scale_factor` (Dr. GRPO)."""
    loss_scale_factor: int | None = Field(None, ge=1)
    """Divisor of `seq-mean-token-sum-norm`. Default: the longest response."""
    entropy_coeff: float = Field(0.0, ge=0)
    """Weight of the entropy bonus."""
    use_kl_loss: bool = False
    """Whether the distance to the reference policy is part of the loss."""
    kl_loss_coef: float = Field(0.001, ge=0)
    """Weight of that distance."""
    kl_loss_type: Literal["kl", "k1", "abs", "mse", "k2", "low_var_kl", "k3"] = "low_var_kl"
    """How it is estimated from sampled tokens: `kl` = `k1`, `mse` = `k2`, `low_var_kl` = `k3`, or `abs`. As a
    loss only `k2` has the gradient of the distance on fresh samples; `use_bias_correction_kl` mends `k1` and
    `k3`."""
    use_bias_correction_kl: bool = False
    """Whether the estimate is weighted by the ratio new / old policy, which makes its gradient unbiased."""
    grad_clip: float = Field(1.0, gt=0)
    """Largest gradient norm of the policy."""
    grad_norm_threshold: float = Field(1e5, gt=0)
    """An optimizer step whose gradient norm is larger than this, or no number, is left out and counted."""
    ppo_epochs: int = Field(1, ge=1)
    """How often a batch is trained on."""
    ppo_mini_batch_size: int | None = Field(None, ge=1)
    """Tasks of one optimizer step. Default: all of a batch, so that an epoch is one optimizer step."""
    shuffle: bool = False
    """Whether tasks are dealt to mini-batches in a random order, a new one in each epoch."""
    use_dynamic_bsz: bool = True
    """Whether micro-batches are cut by tokens (`ppo_max_token_len_per_gpu`); false: by sequences
    (`ppo_micro_batch_size_per_gpu`). Memory and speed, not results, depend on it."""
    ppo_max_token_len_per_gpu: int | None = Field(None, ge=1)
    """Token budget of one micro-batch. Default: 512 on the CPU, 8192 on CUDA."""
    ppo_micro_batch_size_per_gpu: int | None = Field(None, ge=1)
    """Sequences of one micro-batch, where `use_dynamic_bsz` is false. Default: 1."""
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

    name: Literal["vllm", "hf", "scripted"] = "vllm"
    """Which engine. `vllm`: the fast one; `hf`: transformers, where there is no vLLM; `scripted`: fixed
    replies."""
    mode: Literal["sync", "async"] | None = None
    """When requests go to the engine. `sync`: in phases, when all environments wait for the engine, so that
    runs on the CPU give the same numbers again; `async`: as they come, so that no environment waits for a
    slow one. Default: `async` where CUDA serves adapters, else `sync`."""
    lora_serving: Literal["auto", "adapter", "merged"] = "auto"
    """How a LoRA policy is served. `auto`: merged weights on the CPU, adapters on CUDA."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the engine's weights. `auto`: float32 on the CPU, bfloat16 on CUDA."""
    temperature: float | None = Field(None, ge=0.01)
    """Temperature of training rollouts, at least 0.01. Default: `training.sample_temperature`."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus mass of training rollouts in (0, 1]; 1 is off. Log-probabilities are those of the tokens that
    are left, in the engine and in the trainer."""
    top_k: int = Field(-1, ge=-1)
    """Number of most likely tokens kept in training rollouts; -1 and 0 are off."""
    min_p: float = Field(0.0, ge=0, le=1)
    """Least probability in training rollouts, relative to the most likely token; 0 is off."""
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
    free_cache_engine: bool = True
    """Whether the engine leaves the GPU's memory to the trainer while that updates; not read on the CPU."""
    enforce_eager: bool | None = None
    """Whether the engine runs without CUDA graphs. Default: true on the CPU, false on CUDA."""
    engine_kwargs: EngineOptions = EngineOptions()
    """Settings of single engines."""


class GpuCounts(ConfigModel):
    """GPU counts, as the guide places them."""

    n_gpus_per_node: int | None = Field(None, ge=0)
    """GPUs of each node. Default: `resource.n_gpus_per_node`."""
    n_training_gpus_per_node: int | None = Field(None, ge=0)
    """GPUs of each node that train. Default: all of them."""


class TrainerConfig(GpuCounts):
    """GPU counts, and what a trainer does at first."""

    critic_warmup: int = Field(0, ge=0)
    """Of `gae`: steps at the beginning in which only the critic is updated."""


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


class KlControlConfig(ConfigModel):
    """Weight of the KL penalty in the reward."""

    type: Literal["fixed", "adaptive"] = "fixed"
    """`adaptive`: the weight follows the measured distance towards `target_kl`."""
    kl_coef: float = Field(0.001, ge=0)
    """The weight, or the one to start from."""
    horizon: float = Field(10000, gt=0)
    """Of `adaptive`: samples after which the weight has fully followed."""
    target_kl: float = Field(0.1, gt=0)
    """Of `adaptive`: mean distance per token in nats that is aimed at."""


class FilterGroupsConfig(ConfigModel):
    """Dynamic sampling, which `filter_method = "dapo"` brings."""

    max_num_gen_batches: int = Field(3, ge=1)
    """How many batches a step plays at most to fill its own with tasks whose rewards differ; 1: none is
    refilled."""


class AlgorithmConfig(ConfigModel):
    """How rewards become advantages, and how the engine's samples are weighed."""

    adv_estimator: Literal["grpo", "dr_grpo", "rloo", "reinforce_plus_plus", "gae"] = "grpo"
    """Advantage estimator. `gae` brings a critic; the others compare candidates."""
    grouping: Literal["agent_turn", "trajectory"] = "agent_turn"
    """Which samples share a baseline: those of one task, turn and agent, or an agent's whole trajectories of
    one task, compared by the returns of their episodes: the sum of all agents' rewards."""
    norm_adv_by_std_in_grpo: bool = True
    """Whether `grpo` divides by the standard deviation of the group."""
    gamma: float = Field(1.0, ge=0, le=1)
    """Of `gae`: what a reward counts one token earlier, as a share of itself."""
    lam: float = Field(1.0, ge=0, le=1)
    """Of `gae`: how far an advantage looks before it takes the critic's word; 1: to the end, 0: one token."""
    use_kl_in_reward: bool = False
    """Whether the distance of a sample to the reference policy is taken off its reward."""
    kl_penalty: Literal["kl", "k1", "abs", "mse", "k2", "low_var_kl", "k3"] = "kl"
    """How that distance is estimated, token by token; only `kl` = `k1` is unbiased there."""
    kl_ctrl: KlControlConfig = KlControlConfig()
    """Its weight."""
    mask_truncated_samples: bool = False
    """Whether samples cut off at the token limit are left out of the loss; they stay in their baseline."""
    overlong_penalty: float = Field(0.0, ge=0)
    """What is taken off the reward of a sample cut off at the token limit."""
    rollout_is: bool = True
    """Whether samples are weighed by trainer / engine probability: the engine rounds in other ways."""
    rollout_is_threshold: float = Field(2.0, gt=1)
    """Largest weight."""
    rollout_is_threshold_lower: float | None = Field(None, gt=0, lt=1)
    """Smallest weight, in `mask` mode. Default: 1 / `rollout_is_threshold`."""
    rollout_is_level: Literal["token", "sequence"] = "token"
    """What is weighed: each token by its own ratio, or a whole sequence by the product of its tokens'."""
    rollout_is_mode: Literal["truncate", "mask"] = "truncate"
    """What becomes of weights that are too large: they are cut to the threshold, or what they belong to is
    left out of the surrogate, as it then is where they are too small."""
    filter_groups: FilterGroupsConfig = FilterGroupsConfig()
    """Dynamic sampling."""


class PpoTrainerConfig(ConfigModel):
    """Everything about training one policy."""

    filter_method: Literal["none", "mean", "median", "dapo", "std", "uid"] = "none"
    """Which samples are dropped from the loss after advantages were computed. `mean`, `median`: those below
    that advantage and not among the best `filter_ratio`; `dapo`: groups of equal rewards, and new tasks take
    their place; `std`: groups that vary least; `uid`: in each group those farthest from its mean."""
    filter_ratio: float = Field(0.5, ge=0, le=1)
    """Share kept by `mean`, `median` and `uid` of the samples, by `std` of the groups; `dapo` reads none."""
    data: DataConfig = DataConfig()
    """Lengths."""
    actor_rollout_ref: ActorRolloutRefConfig = ActorRolloutRefConfig()
    """Model, update, rollout."""
    algorithm: AlgorithmConfig = AlgorithmConfig()
    """Advantages."""
    critic: CriticConfig = CriticConfig()
    """What expects rewards, where `algorithm.adv_estimator = "gae"`."""
    trainer: TrainerConfig = TrainerConfig()
    """GPU counts, and the critic's head start."""


class ModelConfig(ConfigModel):
    """The trainer's settings of one policy."""

    path: str | None = None
    """Model path. Default: that of the base model with the same name or number."""
    name: str | None = None
    """Policy name. Default: that of the base model with the same number."""
    ppo_trainer_config: PpoTrainerConfig = PpoTrainerConfig()
    """The numbers."""
