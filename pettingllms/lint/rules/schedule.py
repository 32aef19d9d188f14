"""PLM3, numbers and resources: policies that a run never updates, and checkpoints that it cannot compare."""

from __future__ import annotations

from collections.abc import Iterator
from math import lcm

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.shape import written
from pettingllms.config.turns import last_turn, trained_policies
from pettingllms.documents.source import Finding, KeyPath
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.policies import TRAINER, USED, policies
from pettingllms.lint.rule import Context, rule
from pettingllms.lint.rules.training import divisors_near
from pettingllms.registry import closest

METRIC: KeyPath = ("training", "keep_best", "metric")
ONLY_FAILURES = ("val/failed_generations", "val/failed_actions")
"""Metrics that a validation without a failure does not have."""


@rule(
    "PLM327",
    "policy-never-updated",
    Severity.WARNING,
    reads=[
        *("specialization", "training.total_training_steps", "training.alternate_every", *USED),
        *(f"{TRAINER}.algorithm.adv_estimator", f"{TRAINER}.trainer.critic_warmup"),
        *("agent_policy_configs.agent_configs.*.name", "agent_policy_configs.agent_configs.*.trained"),
        "multi_agent_interaction.turn_order",
    ],
)
def policy_never_updated(context: Context) -> Iterator[Finding]:
    """The run ends before a policy that is trained is updated once.

    Either its turn never comes: with `training.alternate_every` the policies take turns in the order of
    `base_models`, and each begins when those before it had theirs. Or `trainer.critic_warmup`, the
    steps that update its critic alone, lasts until its last turn. The run plays and validates as always, and
    at its end the policy is what it was at its begin.
    """
    config = context.config
    if config.specialization == "prompt":
        return
    steps, every, names = config.training.total_training_steps, config.training.alternate_every, []
    for policy in policies(config):
        if policy.name not in trained_policies(config):
            continue
        ppo, last = policy.model.ppo_trainer_config, last_turn(config, policy.name)
        warmup = ppo.trainer.critic_warmup if ppo.algorithm.adv_estimator == "gae" else 0
        if last == 0:
            names.append(policy.name)
        elif warmup >= last:
            for where in policy.below("trainer", "critic_warmup"):
                end = f"{steps} steps" if every is None else f"its last turn at step {last}"
                whom = f"{policy.name!r} is never updated, only its critic"
                message = f"critic_warmup = {warmup} with {end}: {whom}"
                yield Finding(where, message, f"write less than {last}" if last > 1 else "leave it out")
    if names:
        waiting = len(trained_policies(config)) - 1
        whom = ", ".join(map(repr, names))
        message = f"alternate_every = {every} with {steps} steps: the turn of {whom} never comes"
        most = (steps - 1) // waiting
        more = f"train at least {waiting * (every or 1) + 1} steps"
        help_text = f"write at most {most}, or {more}" if most else more
        yield Finding(("training", "alternate_every"), message, help_text)


@rule(
    "PLM328",
    "unknown-best-metric",
    Severity.ERROR,
    reads=[
        *("training.keep_best.metric", "agent_policy_configs.agent_configs.*.name"),
        "multi_agent_interaction.turn_order",
    ],
)
def unknown_best_metric(context: Context) -> Iterator[Finding]:
    """The metric of `training.keep_best` is none by which validations can be compared.

    No validation has it, so that no checkpoint would be kept as the best; or only one with failures has it,
    so that those without are never compared. A validation measures `val/success_rate` and
    `val/reward/<agent>` of agents that act, and what the environment measures (`val/env/…`), which is not
    checked.
    """
    best = context.config.training.keep_best
    if best is None or best.metric.startswith("val/env/"):
        return
    acting = context.config.multi_agent_interaction.turn_order
    agents = [agent.name for agent in context.config.agent_policy_configs.agent_configs.values()]
    known = ["val/success_rate", *(f"val/reward/{name}" for name in agents if name in acting)]
    if best.metric in known:
        return
    if best.metric in ONLY_FAILURES:
        why = "is measured by validations with failures alone: the others are not compared"
        yield Finding(METRIC, f"{written(best.metric)} {why}", f"write one of {', '.join(known)}")
        return
    near = closest(best.metric, known)
    help_text = f"did you mean {near}?" if near else f"write one of {', '.join(known)}"
    message = f"no validation measures {written(best.metric)}: no checkpoint would be the best"
    yield Finding(METRIC, message, help_text)


@rule(
    "PLM329",
    "saved-without-validation",
    Severity.WARNING,
    reads=[
        *("specialization", "training.total_training_steps", "training.val_freq", "training.save_freq"),
        *("training.epoch_size", "training.keep_best"),
    ],
)
def saved_without_validation(context: Context) -> Iterator[Finding]:
    """No checkpoint of `save_freq` is of a step that is validated, so that `keep_best` cannot compare it.

    A checkpoint holds the validation of its step, and only those with one are compared. Where no step before
    the last is both a multiple of `save_freq` and of `val_freq`, they go as newer ones come, however good
    they are. Checkpoints at the ends of epochs are compared where such a step is validated. A search for
    prompts validates and saves each step.
    """
    config = context.config.training
    save, validate, steps = config.save_freq, config.val_freq, config.total_training_steps
    if context.config.specialization == "prompt" or config.keep_best is None or save is None:
        return
    # Without a validation or a checkpoint in between there is nothing to compare: PLM307 tells of the former.
    if validate >= steps or save >= steps or lcm(save, validate) < steps or _epoch_validated(context.config):
        return
    message = f"save_freq = {save} and val_freq = {validate} meet at no step before {steps}: "
    message += "keep_best compares none of those checkpoints"
    near, *_ = divisors_near(min(save, validate), validate)
    help_text = f"write a save_freq that divides val_freq, as {near}, or set training.keep_best to null"
    yield Finding(("training", "save_freq"), message, help_text)


def _epoch_validated(config: ExperimentConfig) -> bool:
    """Whether a step before the last surely ends an epoch and is validated."""
    training = config.training
    return (
        training.epoch_size is not None
        and lcm(training.epoch_size, training.val_freq) < training.total_training_steps
    )
