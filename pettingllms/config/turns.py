"""Whose turn it is: which policies a training step updates."""

from __future__ import annotations

from collections.abc import Sequence

from pettingllms.config.experiment import ExperimentConfig


def trained_policies(config: ExperimentConfig) -> list[str]:
    """The policies of agents that act and are trained, in the order of `base_models`."""
    agents = config.agent_policy_configs.agent_configs.values()
    acting = config.multi_agent_interaction.turn_order
    named = {agent.policy_name for agent in agents if agent.trained and agent.name in acting}
    return [
        name for name in dict.fromkeys(base.name for base in config.base_models.values()) if name in named
    ]


def whose_turn(policies: Sequence[str], step: int, every: int | None) -> Sequence[str]:
    """Those of `policies` that `step`, counted from 1, updates: all, or each in turn for `every` steps."""
    if every is None or not policies:
        return policies
    return [policies[(step - 1) // every % len(policies)]]


def turns_of(config: ExperimentConfig, policy: str) -> int:
    """In how many steps of the run it is the policy's turn."""
    policies, training = trained_policies(config), config.training
    if training.alternate_every is None or policy not in policies:
        return training.total_training_steps
    # The steps of whole rounds, and those of the last one from the policy's place on.
    rounds, rest = divmod(training.total_training_steps, training.alternate_every * len(policies))
    begun = rest - policies.index(policy) * training.alternate_every
    return rounds * training.alternate_every + min(max(begun, 0), training.alternate_every)


def last_turn(config: ExperimentConfig, policy: str) -> int:
    """The last step of the run in which it is the policy's turn; 0 where none is."""
    policies, training = trained_policies(config), config.training
    steps, every = training.total_training_steps, training.alternate_every
    if every is None or policy not in policies:
        return steps
    length = every * len(policies)
    begin = (steps - 1) // length * length + policies.index(policy) * every
    if begin >= steps:
        # Its turn in the last round does not come.
        begin -= length
    return min(begin + every, steps) if begin >= 0 else 0
