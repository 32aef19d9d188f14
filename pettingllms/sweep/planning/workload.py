"""How much a run asks of engine and trainer: turns, completions and tokens, counted from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import plan_policies
from pettingllms.config.turns import trained_policies, turns_of
from pettingllms.lint.held_out import held_out_tasks
from pettingllms.lint.model_weights import weights_of


@dataclass(frozen=True, slots=True)
class Length:
    """Mean tokens of the prompts and the completions of one agent.

    `cut`: share of its completions that ended at their limit.
    """

    prompt: float
    response: float
    cut: float = 0.0


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who acts at one turn of an episode.

    `completions`: of one action. `passes`: how often the trainer goes over what it said, as a mean over all
    steps: its epochs times the share of steps in which its policy is updated; 0 where it is frozen.
    `weights`: of its model, None where that is not known.
    """

    agent: str
    path: str
    completions: int
    prompt_limit: int
    response_limit: int
    passes: float
    weights: int | None


@dataclass(frozen=True, slots=True)
class Workload:
    """What one run does.

    `tasks` and `candidates` of a step; `prompts`: how often the prompt of a turn is computed for them: once
    where all answer one state, else once for each. `refills`: batches that a step plays at most. `held_out`:
    tasks by split, as far as they are known, each played `repeats` times, in validation `validations` times
    and in the test twice.
    """

    steps: int
    tasks: int
    candidates: int
    prompts: int
    refills: int
    turns: tuple[Speaker, ...]
    validations: int
    repeats: int
    held_out: Mapping[str, int]

    @property
    def completions(self) -> int:
        """Of a step, where each turn is played."""
        return self.tasks * self.candidates * sum(speaker.completions for speaker in self.turns)

    @property
    def held_out_completions(self) -> int:
        """Of one play of one held-out task."""
        return sum(speaker.completions for speaker in self.turns)

    @property
    def held_out_plays(self) -> dict[str, int]:
        """Episodes of validation and test over the whole run, as far as they are known."""
        times = {"val": self.validations, "test": TESTS}
        return {split: times[split] * self.repeats * count for split, count in self.held_out.items()}

    @property
    def limits(self) -> dict[str, Length]:
        """The longest prompt and completion of each agent."""
        return {one.agent: Length(one.prompt_limit, one.response_limit) for one in self.turns}


TESTS = 2
"""The test split is played before the first step and after the last one."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of a step: `sampled` by the engine, `prompts` that it reads, `trained`: of both, as often as the
    trainer goes over them; and `held_out`: sampled in one play of one held-out task.
    """

    sampled: float
    prompts: float
    trained: float
    held_out: float


def workload(config: ExperimentConfig) -> Workload:
    """What a run of `config` does; a search for prompts is not counted so: it has no steps of this kind."""
    training, order = config.training, config.multi_agent_interaction.turn_order
    plans = plan_policies(config)
    agents = {agent.name: agent for agent in config.agent_policy_configs.agent_configs.values()}
    updated = trained_policies(config)
    speakers = {}
    for name, agent in agents.items():
        plan = plans[agent.policy_name]
        trained = agent.trained and plan.name in updated
        share = turns_of(config, plan.name) / training.total_training_steps if trained else 0.0
        speakers[name] = Speaker(
            name,
            plan.path,
            agent.sample_num,
            plan.max_prompt_length,
            plan.max_response_length,
            plan.actor.ppo_epochs * share,
            weights_of(plan.path),
        )
    count = config.env.max_turns * (len(order) if config.env.turn_unit == "round" else 1)
    refilled = [plan for plan in plans.values() if plan.filter_method == "dapo"]
    steps, every = training.total_training_steps, training.val_freq
    return Workload(
        steps=steps,
        tasks=training.train_batch_size,
        candidates=training.train_sample_num,
        prompts=1 if training.rollout_mode == "tree" else training.train_sample_num,
        refills=max((plan.algorithm.filter_groups.max_num_gen_batches for plan in refilled), default=1),
        turns=tuple(speakers[order[turn % len(order)]] for turn in range(count)),
        # Before the first step, and after the last one in any case.
        validations=1 + -(-steps // every),
        repeats=training.validate_sample_num,
        held_out=held_out_tasks(config),
    )


def tokens_of(work: Workload, lengths: Mapping[str, Length], weigh: bool = False) -> Tokens:
    """Tokens of a step of `work` whose agents read and write `lengths`.

    `weigh`: each token counts as many times as the model has weights that reads or writes it, in billions;
    where that is not known, once.
    """
    sampled = prompts = trained = held_out = 0.0
    for speaker in work.turns:
        length = lengths[speaker.agent]
        factor = (speaker.weights or 1e9) / 1e9 if weigh else 1.0
        said = factor * speaker.completions * length.response
        read = factor * work.prompts * length.prompt * work.tasks
        sampled += work.tasks * work.candidates * said
        prompts += read
        trained += speaker.passes * (read + work.tasks * work.candidates * said)
        held_out += said
    return Tokens(sampled, prompts, trained, held_out)
