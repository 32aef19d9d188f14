"""The critic of one policy: what it is made of, and how it learns what to expect."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pettingllms.config.model import ConfigModel
from pettingllms.config.optim import OptimConfig

Aggregation = Literal["token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"]
"""How the losses of tokens become one number; `losses.aggregation` says what each means."""


class CriticOptimConfig(OptimConfig):
    """AdamW of the critic. Its schedule counts the training steps in which the critic was updated."""

    lr: float = Field(1e-5, gt=0)
    """Learning rate, after the warm-up. A critic that is a head alone learns little by little from rates that
    suit a model; 1e-3 suits it."""


class CriticModelConfig(ConfigModel):
    """The critic's weights: a linear head, on the policy's last hidden states or on a model of its own."""

    path: str | None = None
    """Model path of a critic with a model of its own, which must have the policy's tokenizer. Default: a head
    on the policy's hidden states, from which no gradient goes back into the policy."""
    lora_rank: int = Field(0, ge=0)
    """Rank of the adapter that a model of its own is trained by; 0: all its weights are trained."""
    lora_alpha: float = Field(16, gt=0)
    """Scaling numerator of that adapter."""
    target_modules: str | list[str] = "all-linear"
    """Layers that get an adapter: `all-linear`, or names as in PEFT."""


class CriticConfig(ConfigModel):
    """What judges states, where `algorithm.adv_estimator = "gae"`. Micro-batches are cut as the policy's."""

    model: CriticModelConfig = CriticModelConfig()
    """The weights."""
    optim: CriticOptimConfig = CriticOptimConfig()
    """Optimizer."""
    ppo_epochs: int | None = Field(None, ge=1)
    """How often a batch is trained on. Default: as often as the policy is."""
    ppo_mini_batch_size: int | None = Field(None, ge=1)
    """Tasks of one optimizer step. Default: as many as the policy has."""
    cliprange_value: float = Field(0.5, gt=0)
    """How far a value may move in one update, in units of the reward, before it has no gradient."""
    grad_clip: float = Field(1.0, gt=0)
    """Largest gradient norm of the critic."""
    loss_agg_mode: Aggregation | None = None
    """How the losses of tokens become one number. Default: as the policy's do."""
