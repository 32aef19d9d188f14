"""Memory and disk that an experiment takes, by the shapes of its models; for rules and plans alike."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import first_set, gpus_per_node, lora_rank, sequence_lengths
from pettingllms.lint.model_files import ModelShape, shape_of
from pettingllms.lint.policies import Policy, policies, trains

CHUNK_POSITIONS = 256
"""Positions whose logits exist at one time in the trainer (`losses.logprobs`)."""
ADAPTER_BYTES = 16
"""Of each weight of an adapter: itself, its gradient and AdamW's two moments, all float32."""
SAVED_ADAPTER_BYTES = 12
"""Of each weight of an adapter in a checkpoint: itself and AdamW's two moments."""
FULL_BYTES = 12
"""Of each weight of a full policy, kept and saved: itself and AdamW's two moments, all float32."""
HOST_CACHE = 2**30
"""Bytes that the engine takes on the CPU for keys and values, whatever it needs (`rollout.vllm`)."""
GRADIENT, LOGITS = "gradient of the weights", "logits"
WEIGHTS, ADAPTERS = "weights", "adapters with their optimizer"


@dataclass(frozen=True, slots=True)
class EngineNeeds:
    """Bytes that one engine needs on each of its GPUs, or of the main memory.

    `cache`: keys and values of one sequence of `longest` tokens. `gpus`: those that share the weights.
    """

    weights: int
    cache: int
    longest: int
    gpus: int


@dataclass(frozen=True, slots=True)
class TrainerNeeds:
    """Bytes that the policies of one engine need in the trainer, part by part, in words.

    `kept`: all the time. `update`: while one policy is updated, that of number `worst` in its group.
    """

    kept: dict[str, int]
    update: dict[str, int]
    worst: int

    @property
    def parts(self) -> dict[str, int]:
        """Everything that is there in an update."""
        return self.kept | self.update


def size_in_words(count: int) -> str:
    """`1.5 GiB`, or MiB where that is more readable."""
    unit, name = (2**30, "GiB") if count >= 2**30 else (2**20, "MiB")
    # A float has no room for absurd numbers, which an experiment may hold all the same.
    return f"{min(count, 2**100) / unit:.1f} {name}"


def engine_needs(config: ExperimentConfig, group: Sequence[Policy], shape: ModelShape) -> EngineNeeds:
    """What the engine of the policies in `group` needs."""
    rollout = group[0].ours.rollout
    cuda = config.training.device == "cuda"
    width = 4 if rollout.dtype == "float32" or (rollout.dtype == "auto" and not cuda) else 2
    gpus = rollout.tensor_model_parallel_size
    longest = first_set(rollout.max_model_len, max(sum(sequence_lengths(config, one.model)) for one in group))
    weights = shape.parameters * width // gpus
    return EngineNeeds(
        weights, shape.cache_bytes(longest, width) // min(gpus, shape.key_value_heads), longest, gpus
    )


def trainer_needs(config: ExperimentConfig, group: Sequence[Policy], shape: ModelShape) -> TrainerNeeds:
    """What the policies in `group`, which share a model of `shape`, need in the trainer, per GPU."""
    gpus = max(config.resource.nnodes * gpus_per_node(config), 1)
    width = product_width(config, group[0])
    lora = [policy for policy in group if trains(config, policy) == "lora"]
    full = sum(trains(config, policy) == "full" for policy in group)
    needs = [(micro_batch(config, one), activation_bytes(config, one, shape, width)) for one in group]
    worst = max(range(len(group)), key=lambda number: math.prod(needs[number]))
    tokens, each_token = needs[worst]
    kept = {
        WEIGHTS: shape.parameters * (width * bool(lora) + FULL_BYTES * full) // gpus,
        ADAPTERS: _adapter_weights(config, lora, shape) * ADAPTER_BYTES // gpus,
    }
    update = {
        GRADIENT: shape.parameters * 4 * bool(full) // gpus,
        f"activations of {tokens} tokens": tokens * each_token,
        LOGITS: shape.vocabulary * (shape.hidden * (width == 2) + 2 * CHUNK_POSITIONS) * 4,
    }
    return TrainerNeeds(kept, update, worst)


def product_width(config: ExperimentConfig, policy: Policy) -> int:
    """Bytes of a number in the trainer's products and frozen weights."""
    default = "bf16" if config.training.device == "cuda" else "fp32"
    return 4 if first_set(policy.ours.actor.fsdp_config.model_dtype, default) == "fp32" else 2


def recomputes(config: ExperimentConfig, policy: Policy) -> bool:
    """True where layers of a policy are computed again in the backward pass, as is the default on CUDA."""
    return first_set(policy.ours.model.enable_gradient_checkpointing, config.training.device == "cuda")


def micro_batch(config: ExperimentConfig, policy: Policy) -> int:
    """Tokens of the largest micro-batch: the budget, or all that a policy has in a step."""
    training, actor = config.training, policy.ours.actor
    prompt, response = sequence_lengths(config, policy.model)
    order = config.multi_agent_interaction.turn_order
    turns = config.env.max_turns * (len(order) if config.env.turn_unit == "round" else 1)
    everything = training.train_batch_size * turns * (prompt + training.train_sample_num * response)
    budget = first_set(actor.ppo_max_token_len_per_gpu, 8192 if training.device == "cuda" else 512)
    if not actor.use_dynamic_bsz:
        budget = first_set(actor.ppo_micro_batch_size_per_gpu, 1) * (prompt + response)
    return min(budget, everything)


def activation_bytes(config: ExperimentConfig, policy: Policy, shape: ModelShape, width: int) -> int:
    """Bytes that the backward pass needs for each token: measured ones are 3 to 17 % above these.

    Inputs and outputs of norms and attention, the feed-forward part, and in a layer with an adapter the
    input once more in float32. With gradient checkpointing one layer has them at a time, and of the others
    the input is kept.
    """
    queries = shape.heads * shape.head_size
    inner = (4 if shape.projections == 3 else 2) * shape.feed_forward
    layer = width * (4 * shape.hidden + 2 * queries + inner)
    targets = policy.ours.model.target_modules
    if trains(config, policy) == "lora" and width == 2:
        layer += 4 * sum(
            wide for name, (wide, _) in shape.matrices.items() if targets == "all-linear" or name in targets
        )
    if recomputes(config, policy):
        return shape.layers * width * shape.hidden + layer
    return shape.layers * layer


def checkpoint_bytes(config: ExperimentConfig) -> tuple[int, str | None]:
    """Bytes of one checkpoint, and the first model whose shape is not known, so that they are not either."""
    total = 0
    for path, adapter in trained_models(config):
        shape = shape_of(path)
        if shape is None:
            return total, path
        if adapter is None:
            total += shape.parameters * FULL_BYTES
        else:
            total += shape.adapter_parameters(*adapter) * SAVED_ADAPTER_BYTES
    return total, None


def trained_models(config: ExperimentConfig) -> Iterator[tuple[str, tuple[int, str | list[str]] | None]]:
    """The paths of the models of policies and their critics, with rank and targets of adapters on them."""
    for policy in policies(config):
        lora = trains(config, policy) == "lora"
        rank, targets = lora_rank(config, policy.model), policy.ours.model.target_modules
        yield policy.base.path, (rank, targets) if lora else None
        trainer = policy.model.ppo_trainer_config
        critic = trainer.critic.model
        if trainer.algorithm.adv_estimator == "gae" and critic.path is not None:
            yield critic.path, (critic.lora_rank, critic.target_modules) if critic.lora_rank else None


def _adapter_weights(config: ExperimentConfig, group: Sequence[Policy], shape: ModelShape) -> int:
    return sum(
        shape.adapter_parameters(lora_rank(config, one.model), one.ours.model.target_modules) for one in group
    )
