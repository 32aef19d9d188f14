"""PLM3, numbers and resources: GPUs, and what has to divide by their number."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import gpus_per_node
from pettingllms.documents.source import Change, Finding, Fix, KeyPath
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.model_files import number_at, settings_at
from pettingllms.lint.policies import ENGINES, NAMES, OURS, PPO, TRAINER, engines, policies
from pettingllms.lint.rule import Context, rule
from pettingllms.lint.unchecked import machine_fact, model_is_unknown

GPUS: KeyPath = ("resource", "n_gpus_per_node")
GPU_COUNT = ("resource.n_gpus_per_node", "training.device")
"""What the number of GPUs of a node is made of."""
MOST_GPUS = 65
"""One more than a tensor-parallel size that help still names."""
TENSOR_PARALLEL = f"{OURS}.rollout.tensor_model_parallel_size"
ENGINE_NAME = f"{OURS}.rollout.name"


def counted(number: int, noun: str) -> str:
    """`1 GPU`, `2 GPUs`."""
    return f"{number} {noun}{'s' * (number != 1)}"


def pool(config: ExperimentConfig) -> tuple[int, str]:
    """GPUs of each engine, and how that number comes about."""
    gpus, count = gpus_per_node(config), len(engines(config))
    if count <= 1:
        return gpus, "all of the node, as one engine serves all policies"
    return gpus // count, f"the node's {gpus} / {count} engines"


@rule(
    "PLM301",
    "tensor-parallel-exceeds-pool",
    Severity.ERROR,
    reads=[TENSOR_PARALLEL, ENGINE_NAME, *GPU_COUNT, *ENGINES],
)
def tensor_parallel_exceeds_pool(context: Context) -> Iterator[Finding]:
    """`tensor_model_parallel_size` is larger than the pool of GPUs of its engine.

    The pool is the whole node where one engine serves all policies: those of one base model that are served
    alike. Each base model has an engine of its own, and where there are several GPUs so has each policy
    with `specialization = "full"`; engines share the GPUs of the node evenly. On the CPU the size is 1.
    Only vLLM divides a model.
    """
    size_of_pool, formula = pool(context.config)
    cuda = context.config.training.device == "cuda"
    most = max(size_of_pool, 1) if cuda else 1
    for key, model in context.config.models.items():
        rollout = model.ppo_trainer_config.actor_rollout_ref.rollout
        size = rollout.tensor_model_parallel_size
        if size > most and rollout.name == "vllm":
            where = ("models", key, PPO, "actor_rollout_ref", "rollout", "tensor_model_parallel_size")
            there = f"the engine's pool is {counted(size_of_pool, 'GPU')}: {formula}"
            if not cuda:
                there = 'with device = "cpu" it is 1'
            fix = Fix(f"set it to {most}", (Change("set", where, most),), safe=False)
            message = f"tensor_model_parallel_size = {size}, but {there}"
            yield Finding(where, message, f"write at most {most}", fix=fix)


@rule("PLM322", "cuda-without-gpus", Severity.ERROR, reads=["training.device", "resource.n_gpus_per_node"])
def cuda_without_gpus(context: Context) -> Iterator[Finding]:
    """`training.device` is `cuda`, and the run has no GPU: `resource.n_gpus_per_node` is 0."""
    config = context.config
    if config.training.device == "cuda" and config.resource.n_gpus_per_node == 0:
        by_default = "" if context.is_set(("training", "device")) else ", its default"
        message = f'training.device is "cuda"{by_default}, and n_gpus_per_node = 0 gives the run no GPU'
        yield Finding(("resource", "n_gpus_per_node"), message, 'give it GPUs, or write device = "cpu"')


@rule(
    "PLM302",
    "gpu-counts-disagree",
    Severity.ERROR,
    reads=[f"{TRAINER}.trainer", f"{OURS}.trainer", *GPU_COUNT],
)
def gpu_counts_disagree(context: Context) -> Iterator[Finding]:
    """GPU counts below `models` are not the count of `resource.n_gpus_per_node`.

    They may stand in `ppo_trainer_config.trainer` and in `actor_rollout_ref.trainer`.
    """
    there = gpus_per_node(context.config)
    for key, model in context.config.models.items():
        ppo = model.ppo_trainer_config
        sections: list[tuple[KeyPath, Any]] = [
            (("models", key, PPO, "trainer"), ppo.trainer),
            (("models", key, PPO, "actor_rollout_ref", "trainer"), ppo.actor_rollout_ref.trainer),
        ]
        for path, counts in sections:
            for name in ("n_gpus_per_node", "n_training_gpus_per_node"):
                said = getattr(counts, name)
                if said is not None and said != there:
                    message = f"{name} = {said}, but the run has {there} GPUs on each node"
                    help_text, fix = _one_count(context, (*path, name))
                    yield Finding((*path, name), message, help_text, fix=fix)


def _one_count(context: Context, where: KeyPath) -> tuple[str, Fix]:
    """Help and fix for a GPU count: a reference to the one of `resource`, where that is set."""
    reference = "${resource.n_gpus_per_node}"
    if context.is_set(GPUS):
        title = f'write "{reference}"'
        return f"{title}, or remove it", Fix(title, (Change("set", where, reference),), safe=False)
    fix = Fix("remove it", (Change("remove", where),), safe=False)
    return f'remove it, or set resource.n_gpus_per_node and write "{reference}"', fix


@rule(
    "PLM325",
    "processes-share-a-gpu",
    Severity.ERROR,
    reads=["launch.num_processes", "resource.nnodes", *GPU_COUNT],
)
def processes_share_a_gpu(context: Context) -> Iterator[Finding]:
    """`launch.num_processes` is larger than the number of GPUs of the run.

    Each process trains and samples on a GPU of its own. On the CPU their number is free.
    """
    config, count = context.config, context.config.launch.num_processes
    gpus = config.resource.nnodes * gpus_per_node(config)
    if config.training.device == "cuda" and count > max(gpus, 1):
        message = f"{count} processes need a GPU each, and the run has {counted(gpus, 'GPU')}"
        yield Finding(("launch", "num_processes"), message, f"write at most {max(gpus, 1)}")


@rule("PLM303", "more-gpus-than-machine", Severity.ERROR, reads=GPU_COUNT)
def more_gpus_than_machine(context: Context) -> Iterator[Finding]:
    """The experiment asks for more GPUs than this machine has."""
    asked = gpus_per_node(context.config)
    there = machine_fact(context, "gpus") if asked else None
    if there and asked > there:
        where = context.first_set(GPUS, ("training", "device"))
        message = f"{asked} GPUs are asked for, and this machine has {there}"
        yield Finding(where, message, f"write n_gpus_per_node = {there}")


@rule("PLM304", "no-gpu-here", Severity.ERROR, reads=GPU_COUNT)
def no_gpu_here(context: Context) -> Iterator[Finding]:
    """The experiment runs on CUDA (`training.device`, whose default is `cuda`), and there is no GPU here."""
    asked = gpus_per_node(context.config)
    if context.facts is None or context.facts.gpus != 0:
        return
    if context.config.training.device == "cuda":
        message = 'training.device is "cuda", and this machine has no GPU that can be used'
        yield Finding(("training", "device"), message, 'write device = "cpu", or check nvidia-smi')
    elif asked:
        message = f"{asked} GPUs are asked for, and this machine has none"
        yield Finding(GPUS, message, "write n_gpus_per_node = 0")


@rule(
    "PLM310",
    "heads-not-divisible",
    Severity.ERROR,
    reads=[TENSOR_PARALLEL, ENGINE_NAME, "base_models.*.path", *NAMES],
)
def heads_not_divisible(context: Context) -> Iterator[Finding]:
    """`tensor_model_parallel_size` does not divide the attention heads of the model.

    vLLM gives every GPU the same number of heads, and refuses anything else: `Total number of attention
    heads (14) must be divisible by tensor parallel size (3)`. Heads of keys and values are divided among
    the GPUs, or copied evenly where there are fewer of them. Checked for embedded models, and for local
    folders by their `config.json`.
    """
    for policy in policies(context.config):
        divided = policy.ours.rollout.name == "vllm"
        size = policy.ours.rollout.tensor_model_parallel_size if divided else 1
        settings = settings_at(policy.base.path) if size > 1 else None
        heads = number_at(settings, "num_attention_heads")
        if size > 1 and heads is None:
            model_is_unknown(context, policy.base.path)
        if heads is None:
            continue
        keys = number_at(settings, "num_key_value_heads") or heads
        if _divides(size, heads, keys):
            continue
        what = f"the {heads} attention heads" if heads % size else f"the {keys} key and value heads"
        message = f"tensor_model_parallel_size = {size} does not divide {what} of {policy.base.path}"
        for where in policy.rollout("tensor_model_parallel_size"):
            sizes = [str(one) for one in range(1, MOST_GPUS) if _divides(one, heads, keys)]
            yield Finding(where, message, f"sizes that do: {', '.join(sizes)}")


def _divides(size: int, heads: int, keys: int) -> bool:
    return heads % size == 0 and (keys % size == 0 or size % keys == 0)


@rule(
    "PLM311",
    "batch-not-divisible",
    Severity.ERROR,
    reads=["training.train_batch_size", "training.train_sample_num", "resource.nnodes", *GPU_COUNT],
)
def batch_not_divisible(context: Context) -> Iterator[Finding]:
    """The candidates of a step cannot be shared out evenly among the GPUs of the run.

    A step samples `train_batch_size` times `train_sample_num` candidates at each turn; their number has
    to be a multiple of `nnodes` times `n_gpus_per_node`.
    """
    training, nodes = context.config.training, context.config.resource.nnodes
    gpus = nodes * gpus_per_node(context.config)
    tasks, candidates = training.train_batch_size, training.train_sample_num
    if gpus <= 1 or tasks * candidates % gpus == 0:
        return
    step = gpus // math.gcd(gpus, candidates)
    below = tasks - tasks % step
    valid = [size for size in (below, below + step) if size]
    where = context.first_set(("training", "train_batch_size"), ("training", "train_sample_num"), GPUS)
    message = f"{tasks} tasks x {candidates} candidates are no multiple of the {gpus} GPUs of the run"
    yield Finding(where, message, f"write train_batch_size = {' or '.join(map(str, valid))}")
