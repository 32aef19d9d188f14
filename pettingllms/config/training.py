"""The numbers of a training run that all policies share."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pettingllms.config.model import ConfigModel
from pettingllms.config.prompt_search import PromptSearchConfig

LoggerName = Literal["console", "tensorboard", "wandb"]


class KeepBestConfig(ConfigModel):
    """Which checkpoint is the best: of those whose step was validated, the first with the best value."""

    metric: str = Field("val/success_rate", pattern="^val/")
    """Name of a metric of the validation."""
    direction: Literal["maximize", "minimize"] = "maximize"
    """Whether more or less of it is better."""


class TrainingConfig(ConfigModel):
    """How long, how much, how often."""

    device: Literal["cuda", "cpu"] = "cuda"
    """Where the trainer and the engine run. `cuda`: on GPUs; `cpu`: on none, for small models and tests."""
    seed: int = Field(0, ge=0)
    """The one seed: tasks, token sampling, initial adapters and tie-breaks derive from it."""
    total_training_steps: int = Field(200, ge=1)
    """Number of training steps."""
    project_name: str = "pettingllms"
    """Project under which loggers file the run."""
    experiment_name: str = "experiment"
    """Name of the run in loggers, and of a sweep's study."""
    logger: list[LoggerName] = Field(default=["console"])
    """Where metrics go, beside `metrics.jsonl`, which is always written. `console`: one line per step;
    `tensorboard`: event files in the run folder; `wandb`: a Weights & Biases run."""
    model_checkpoints_dir: str = "checkpoints"
    """Checkpoint folder. Relative: inside the run folder; absolute: used as it is, the run below it."""
    ray_wait_register_center_timeout: int = Field(300, ge=1)
    """Seconds to wait for the Ray cluster, where Ray is used."""
    train_batch_size: int = Field(32, ge=1)
    """Tasks per step."""
    train_sample_num: int = Field(8, ge=1)
    """K: candidates sampled at each turn of a training episode."""
    validate_sample_num: int = Field(1, ge=1)
    """Episodes per validation task."""
    sample_temperature: float = Field(1.0, ge=0.01)
    """Temperature of training rollouts, no unit, at least 0.01: vLLM has none between 0 and that."""
    val_freq: int = Field(10, ge=1)
    """Steps between two validations; also run before the first and after the last step."""
    resample_freq: int = Field(1, ge=1)
    """Steps for which one batch of tasks is played before a new one is drawn; an epoch begins with a new
    one in any case."""
    alternate_every: int | None = Field(None, ge=1)
    """Steps for which one policy is updated before the next is: policies take turns, in the order of
    `base_models`, and those that wait keep their weights. Default: every step updates all."""
    epoch_size: int | None = Field(None, ge=1)
    """Steps per epoch: at its end the training tasks are reshuffled. Default: one pass over the tasks."""
    max_prompt_length: int = Field(4096, ge=1)
    """Longest prompt in tokens; longer ones are cut in the middle of the newest user message."""
    max_response_length: int = Field(2048, ge=1)
    """Longest completion in tokens."""
    lora_rank: int | None = Field(None, ge=1)
    """Rank of the adapters. Default: root `lora_rank`."""
    lora_alpha: float | None = Field(None, gt=0)
    """Scaling numerator of the adapters. Default: root `lora_alpha`."""
    prompt: PromptSearchConfig = PromptSearchConfig()
    """The search of `specialization = "prompt"`."""
    rollout_mode: Literal["tree", "independent"] = "tree"
    """`tree`: K candidates from one state at each turn, one goes on; `independent`: K separate episodes."""
    if_greedy: bool = True
    """Which candidate continues in `tree`: the best rewarded (ties by the seed), or the first."""
    reward_alpha: float = Field(1.0, ge=0)
    """Weight of the team reward; the local reward has weight 1."""
    max_failed_share: float = Field(0.5, gt=0, le=1)
    """Share of a step's actions that may fail in agents, environments or the engine; above it the run stops.
    1: only where all fail."""
    save_freq: int | None = Field(None, ge=1)
    """Steps between two checkpoints. Default: at the end of each epoch and
    after the last step only."""
    keep_checkpoints: int = Field(2, ge=1)
    """How many of the newest checkpoints stay on disk."""
    keep_best: KeepBestConfig | None = KeepBestConfig()
    """Which checkpoint stays beside the newest: the one with the best validation. Null: none."""
    save_in_background: bool = True
    """Whether training goes on while a checkpoint is written. The next one, and the end, wait for it."""
    on_save_failure: Literal["stop", "continue"] = "stop"
    """What the run does when the disk does not take a checkpoint; older ones stay in either case.
    `continue`: it warns and goes on."""
