"""PLM3, numbers and resources: how much is trained, how often, and one value written in two places."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from pettingllms.compose.tree import MISSING, get
from pettingllms.config.homes import specialization
from pettingllms.config.ppo import ModelConfig
from pettingllms.config.shape import written
from pettingllms.documents.source import Finding, KeyPath, dotted
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.policies import (
    LENGTHS,
    OURS,
    PPO,
    RANKS,
    SPECIALIZATION,
    TRAINER,
    USED,
    used_policies,
)
from pettingllms.lint.rule import Context, rule
from pettingllms.loggers import missing_loggers

ACTOR = ("actor_rollout_ref",)
# Homes of one value, the most specific first: below the model's trainer, then the shared ones.
HOMES: tuple[tuple[tuple[KeyPath, ...], tuple[KeyPath, ...]], ...] = (
    (((*ACTOR, "model", "lora_rank"),), (("training", "lora_rank"), ("lora_rank",))),
    (((*ACTOR, "model", "lora_alpha"),), (("training", "lora_alpha"), ("lora_alpha",))),
    (((*ACTOR, "rollout", "temperature"),), (("training", "sample_temperature"),)),
    (
        ((*ACTOR, "rollout", "prompt_length"), ("data", "max_prompt_length")),
        (("training", "max_prompt_length"),),
    ),
    (
        ((*ACTOR, "rollout", "response_length"), ("data", "max_response_length")),
        (("training", "max_response_length"),),
    ),
)
GROUPED = ("grpo", "dr_grpo", "rloo")
"""Estimators that compare a candidate with the others of its group only."""
DIVISORS_SOUGHT = 1 << 16
"""How far from a mini-batch help looks for one that divides the batch."""


@rule(
    "PLM306",
    "two-homes-disagree",
    Severity.WARNING,
    reads=[
        *(*RANKS, "lora_alpha", "training.lora_alpha", f"{OURS}.model.lora_alpha"),
        *(*LENGTHS, "training.sample_temperature", f"{OURS}.rollout.temperature"),
    ],
)
def two_homes_disagree(context: Context) -> Iterator[Finding]:
    """One value is set in two places that disagree.

    The most specific place wins: `models.model_N.…` over `training` over the root. Setting one,
    and referring to it in the other, says the same thing once.
    """
    keys = list(context.config.models)
    seen: set[tuple[KeyPath, KeyPath]] = set()
    for own, shared in HOMES:
        chains = [(*(("models", key, PPO, *path) for path in own), *shared) for key in keys] or [shared]
        for chain in chains:
            homes = [path for path in chain if context.is_set(path)]
            for winner, loser in pairwise(homes):
                here, there = get(context.data, winner), get(context.data, loser)
                if here != there and (winner, loser) not in seen:
                    seen.add((winner, loser))
                    message = (
                        f"{dotted(winner)} = {written(here)} wins over {dotted(loser)} = {written(there)}"
                    )
                    yield Finding(winner, message, f'set one, or write "${{{dotted(loser)}}}" here')


@rule(
    "PLM307",
    "no-validation-between",
    Severity.WARNING,
    reads=["training.val_freq", "training.total_training_steps", "specialization"],
)
def no_validation_between(context: Context) -> Iterator[Finding]:
    """`val_freq` is not below `total_training_steps`, so no validation falls between the first and last step.

    Validation still runs before the first and after the last step. A search for prompts validates whatever
    does better in a step.
    """
    training = context.config.training
    if context.config.specialization != "prompt" and training.val_freq >= training.total_training_steps:
        where = context.first_set(("training", "val_freq"), ("training", "total_training_steps"))
        frequency, steps = training.val_freq, training.total_training_steps
        message = f"val_freq = {frequency} with {steps} steps: validation runs only before and after training"
        yield Finding(where, message, f"write a val_freq below {steps}" if steps > 1 else None)


@rule(
    "PLM312",
    "mini-batch",
    Severity.ERROR,
    reads=["specialization", "training.train_batch_size", f"{OURS}.actor.ppo_mini_batch_size"],
)
def mini_batch(context: Context) -> Iterator[Finding]:
    """`ppo_mini_batch_size` is larger than `train_batch_size`, or does not divide it.

    The tasks of a step are cut into mini-batches of this size, with one optimizer step each. What is left
    over is a smaller last mini-batch, whose optimizer step counts as much as that of the others; where the
    size is larger than the batch, all of a batch is one mini-batch.
    """
    if context.config.specialization == "prompt":
        return
    tasks = context.config.training.train_batch_size
    for key, model in context.config.models.items():
        size = model.ppo_trainer_config.actor_rollout_ref.actor.ppo_mini_batch_size
        if size is None or (size <= tasks and tasks % size == 0):
            continue
        where = ("models", key, PPO, *ACTOR, "actor", "ppo_mini_batch_size")
        relation = "is larger than" if size > tasks else "does not divide"
        meaning = (
            "all of a batch is one mini-batch"
            if size > tasks
            else f"the last mini-batch has {tasks % size} tasks"
        )
        message = f"{dotted(where)} = {size} {relation} training.train_batch_size = {tasks}: {meaning}"
        near = divisors_near(min(size, tasks), tasks)
        yield Finding(where, message, f"write {' or '.join(map(str, near))}")


def divisors_near(size: int, tasks: int) -> list[int]:
    """The divisors of `tasks` next to `size`, below or at it and above it."""
    below = next((n for n in range(size, max(size - DIVISORS_SOUGHT, 0), -1) if tasks % n == 0), 1)
    above = next((n for n in range(size + 1, min(size + DIVISORS_SOUGHT, tasks) + 1) if tasks % n == 0), None)
    return [below] if above is None else [below, above]


@rule(
    "PLM317",
    "single-candidate",
    Severity.ERROR,
    reads=["specialization", "training.train_sample_num", f"{TRAINER}.algorithm.adv_estimator", *USED],
)
def single_candidate(context: Context) -> Iterator[Finding]:
    """`train_sample_num` is 1: there is nothing to compare a candidate with, and nothing is learned.

    The estimators `grpo`, `dr_grpo` and `rloo` take the advantage of a candidate from the others of its
    group. In a group of one every advantage is 0, and so is every gradient.
    """
    if context.config.training.train_sample_num != 1 or context.config.specialization == "prompt":
        return
    estimators = [
        policy.model.ppo_trainer_config.algorithm.adv_estimator for policy in used_policies(context.config)
    ]
    grouped = [name for name in estimators if name in GROUPED]
    if grouped:
        message = (
            f"train_sample_num = 1: under {grouped[0]} a group of one has no advantage, nothing is learned"
        )
        yield Finding(("training", "train_sample_num"), message, "write at least 2; 4 to 16 are usual")


@rule(
    "PLM324",
    "trajectories-in-a-tree",
    Severity.ERROR,
    reads=[
        *("specialization", "training.rollout_mode", f"{TRAINER}.algorithm.grouping", *USED),
        "agent_policy_configs.agent_configs.*.trained",
    ],
)
def trajectories_in_a_tree(context: Context) -> Iterator[Finding]:
    """`grouping` is `trajectory`, and tasks are played as trees: no trajectory has another to compare with.

    In a tree the candidates of a turn share all that was before, and one of them goes on, so that there is
    one whole trajectory per task. `rollout_mode = "independent"` plays `train_sample_num` of them. In a tree
    `grouping = "agent_turn"` compares the candidates of each turn. Policies of agents that are not trained do
    not count.
    """
    if context.config.training.rollout_mode != "tree" or context.config.specialization == "prompt":
        return
    agents = context.config.agent_policy_configs.agent_configs.values()
    trained = {agent.policy_name for agent in agents if agent.trained}
    for policy in used_policies(context.config):
        if policy.name in trained and policy.model.ppo_trainer_config.algorithm.grouping == "trajectory":
            for where in policy.below("algorithm", "grouping"):
                message = 'grouping = "trajectory" with rollout_mode = "tree": a task has one trajectory'
                yield Finding(where, message, 'write training.rollout_mode = "independent"')


@rule("PLM318", "no-training-section", Severity.INFO, reads=["training"])
def no_training_section(context: Context) -> Iterator[Finding]:
    """`training` is not set: all of its numbers are the defaults."""
    if get(context.data, ("training",)) in (MISSING, None, {}):
        training = context.config.training
        sizes = f"{training.total_training_steps} steps of {training.train_batch_size} tasks"
        message = f"training is not set: the defaults are used, {sizes} on {training.device}"
        yield Finding(("training",), message, "set at least total_training_steps and train_batch_size")


@rule("PLM319", "default-lora-rank", Severity.INFO, reads=[*SPECIALIZATION, *RANKS])
def default_lora_rank(context: Context) -> Iterator[Finding]:
    """A policy trains an adapter (`specialization = "lora"`), and no `lora_rank` is set anywhere."""
    own = (("models", key, PPO, *ACTOR, "model", "lora_rank") for key in context.config.models)
    homes = (*own, ("training", "lora_rank"), ("lora_rank",))
    models = list(context.config.models.values()) or [ModelConfig()]
    adapters = any(specialization(context.config, model) == "lora" for model in models)
    if adapters and not any(context.is_set(home) for home in homes):
        message = f"no lora_rank is set: the default, {context.config.lora_rank}, is used"
        yield Finding(("specialization",), message, "set lora_rank")


@rule(
    "PLM320",
    "filter-keeps-nothing",
    Severity.ERROR,
    reads=["specialization", f"{TRAINER}.filter_method", f"{TRAINER}.filter_ratio"],
)
def filter_keeps_nothing(context: Context) -> Iterator[Finding]:
    """`filter_ratio` is 0: it is the share that the filter keeps.

    `std` keeps this share of the groups and `uid` of the samples, so that nothing is trained on; `mean` and
    `median` keep it of the samples beside those above the mean or median. The original code removes that
    share of the groups instead, so that its files may say 0 where all samples are meant to stay.
    """
    if context.config.specialization == "prompt":
        return
    for key, model in context.config.models.items():
        ppo = model.ppo_trainer_config
        if ppo.filter_method in ("mean", "median", "std", "uid") and ppo.filter_ratio == 0:
            where = ("models", key, PPO, "filter_ratio")
            lost = (
                f"no samples below the {ppo.filter_method}" if ppo.filter_method[0] == "m" else "no samples"
            )
            message = f'filter_ratio = 0 with filter_method = "{ppo.filter_method}" keeps {lost}'
            yield Finding(where, message, 'write the share to keep, or filter_method = "none" to keep all')


@rule("PLM323", "logger-not-installed", Severity.WARNING, reads=["training.logger"])
def logger_not_installed(context: Context) -> Iterator[Finding]:
    """A logger of `training.logger` needs a package that is not installed here, and gets nothing.

    `metrics.jsonl` is always written. Looked at only for this machine: with `--here`, and by runs.
    """
    if context.facts is None or not context.facts.local:
        return
    missing = missing_loggers(context.config.training)
    for index, name in enumerate(context.config.training.logger):
        if name in missing:
            message, _, how = missing[name].partition("; ")
            yield Finding(("training", "logger", index), message, how)
