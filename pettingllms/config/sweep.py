"""The `[sweep]` section: which trials a study runs and what it looks for; and the forms of swept values."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from pettingllms.config.model import ConfigModel

METRICS = (
    *("val/success_rate", "test/success_rate", "val/reward/<agent>", "test/reward/<agent>"),
    *("val/failed_generations", "val/failed_actions", "test/failed_generations", "test/failed_actions"),
    *("train/failed_generations", "train/failed_actions", "train/success_rate", "train/reward/<agent>"),
    *("train/env/<name>", "val/env/<name>", "test/env/<name>"),
    "train/no_local/<agent>",
    *("train/zero_variance/<agent>", "train/group_size/<agent>", "train/dropped/<agent>"),
    *("train/truncated/<agent>", "train/response_length/<agent>", "train/cut_prompts"),
    *("train/skipped_turns", "train/tasks", "train/tokens", "train/loss/<policy>"),
    *("train/scored_tokens/<policy>", "train/kl/<policy>", "train/reference_kl/<policy>"),
    *("train/kl_reward/<policy>", "train/kl_coef/<policy>", "train/entropy/<policy>"),
    *("train/clip_fraction/<policy>", "train/is_weight/<policy>", "train/is_capped/<policy>"),
    *("train/engine_gap/<policy>", "train/nonfinite_engine/<policy>", "train/grad_norm/<policy>"),
    *("train/dropped_steps/<policy>", "train/lr/<policy>", "train/value_loss/<policy>"),
    *("train/value_clip_fraction/<policy>", "train/explained_variance/<policy>"),
    *("train/critic_grad_norm/<policy>", "train/critic_dropped_steps/<policy>"),
    *("train/critic_lr/<policy>", "epoch", "epoch/success_rate"),
    *("epoch/reward/<agent>", "time/step", "time/rollout", "time/train", "time/sync", "time/val"),
    *("time/test", "perf/rollout_tokens_per_second", "prompt/candidates", "prompt/episodes"),
)
"""What a run measures, as docs/records.md lists it; `<agent>` and `<policy>` stand for names in the file,
`<name>` for what the environment measures."""

PRUNER_OPTIONS: dict[str, tuple[str, ...]] = {
    "median": ("startup_trials", "warmup_steps", "every", "min_trials"),
    "percentile": ("percentile", "startup_trials", "warmup_steps", "every", "min_trials"),
    "hyperband": ("min_resource", "max_resource", "reduction_factor", "bootstrap_count"),
    "patient": ("patience", "min_delta"),
    "threshold": ("lower", "upper", "warmup_steps", "every"),
}
"""Which options of `[sweep] pruner` belong to which kind."""


class ObjectiveConfig(ConfigModel):
    """What a study optimises."""

    metric: str = "val/success_rate"
    """Metric name; its last value in a trial counts."""
    direction: Literal["maximize", "minimize"] = "maximize"
    """Whether more or less of it is better."""


class PrunerConfig(ConfigModel):
    """When a hopeless trial is stopped; it is judged at each validation, when its objective is measured."""

    kind: Literal["median", "percentile", "hyperband", "patient", "threshold"]
    """What a trial is compared with: the median or a percentile of earlier trials at the same step, other
    trials that got as many steps (`hyperband`), its own best (`patient`), or fixed bounds (`threshold`)."""
    startup_trials: int = Field(5, ge=0)
    """Trials that end before any is stopped (`median`, `percentile`)."""
    warmup_steps: int = Field(0, ge=0)
    """Training steps of each trial in which it is not stopped (`median`, `percentile`, `threshold`)."""
    every: int = Field(1, ge=1)
    """Training steps between two looks at a trial (`median`, `percentile`, `threshold`)."""
    min_trials: int = Field(1, ge=1)
    """Trials that must have a value at the same step (`median`, `percentile`)."""
    percentile: float = Field(25.0, ge=0, le=100)
    """Share of the trials, in percent, that may go on (`percentile`)."""
    min_resource: int = Field(1, ge=1)
    """Training steps that every trial gets (`hyperband`)."""
    max_resource: int | None = Field(None, ge=1)
    """Training steps of a whole trial (`hyperband`). Default: those of the first trial that ends."""
    reduction_factor: int = Field(3, ge=2)
    """One trial of this many goes on at each rung (`hyperband`)."""
    bootstrap_count: int = Field(0, ge=0)
    """Trials that a rung must have before any goes on (`hyperband` with `max_resource`)."""
    patience: int | None = Field(None, ge=0)
    """Reports without improvement after which a trial is stopped (`patient`, which needs it)."""
    min_delta: float = Field(0.0, ge=0)
    """Improvements up to this size do not count (`patient`)."""
    lower: float | None = None
    """A trial below this value is stopped (`threshold`, which needs this or `upper`)."""
    upper: float | None = None
    """A trial above this value is stopped (`threshold`, which needs this or `lower`)."""


class RandomConfig(ConfigModel):
    """Options of `sampler = "random"`, which has none beside `sweep.seed`."""


class TpeConfig(ConfigModel):
    """Options of `sampler = "tpe"`, the tree-structured Parzen estimator."""

    startup_trials: int = Field(10, ge=0)
    """Trials drawn at random before the estimator is used."""
    ei_candidates: int = Field(24, ge=1)
    """Candidates among which the one of the highest expected improvement is chosen."""
    multivariate: bool | None = None
    """Whether axes are sampled jointly. Default: they are, where there is one objective."""
    group: bool = False
    """Whether axes that exist together are sampled jointly, for spaces with `when`; needs `multivariate`."""
    constant_liar: bool = True
    """Whether parallel trials keep away from each other's values."""


class NsgaiiConfig(ConfigModel):
    """Options of `sampler = "nsga2"`, a genetic algorithm for several objectives."""

    population_size: int = Field(50, ge=2)
    """Trials of a generation."""
    mutation: Literal["polynomial"] | None = None
    """How a value changes. Default: it is drawn anew at random."""
    mutation_eta: float = Field(20.0, ge=0)
    """How near to the old value `polynomial` stays; more is nearer."""
    mutation_prob: float | None = Field(None, ge=0, le=1)
    """Probability that a value changes. Default: one over the number of axes."""
    crossover: Literal["uniform", "blxalpha", "sbx", "vsbx", "spx", "undx"] = "uniform"
    """How numbers of two parents are combined; choices are always taken from one of them."""
    crossover_prob: float = Field(0.9, ge=0, le=1)
    """Probability that a trial has two parents."""
    swapping_prob: float = Field(0.5, ge=0, le=1)
    """Probability that `uniform` takes a value from the second parent."""


class QmcConfig(ConfigModel):
    """Options of `sampler = "qmc"`, quasi-random points that fill the space evenly."""

    qmc_type: Literal["sobol", "halton"] = "sobol"
    """The sequence; `sobol` is at its best with a power of two as the number of trials."""
    scramble: bool = False
    """Whether the points are randomised, by `sweep.seed`."""


class CmaesConfig(ConfigModel):
    """Options of `sampler = "cmaes"`, an evolution strategy for numbers; choices are drawn at random."""

    startup_trials: int = Field(1, ge=0)
    """Trials drawn at random before the strategy is used."""
    popsize: int | None = Field(None, ge=2)
    """Trials of a generation. Default: by the number of axes."""
    consider_pruned_trials: bool = False
    """Whether stopped trials count; good with the pruner `hyperband`, bad with `median`."""
    use_separable_cma: bool = False
    """Whether axes are treated as independent of each other."""
    with_margin: bool = False
    """Whether stepped axes are kept from settling on one value too early."""
    lr_adapt: bool = False
    """Whether the learning rate adapts, for noisy objectives."""


SAMPLER_OPTIONS: tuple[str, ...] = ("tpe", "random", "nsga2", "qmc", "cmaes")
"""Samplers that have a table of options, which is called as they are."""


class BudgetConfig(ConfigModel):
    """What a study may use before no further trial starts."""

    hours: float | None = Field(None, gt=0)
    """Hours by the clock."""
    gpu_hours: float | None = Field(None, gt=0)
    """Hours times GPUs, summed over all trials."""


class SweepConfig(ConfigModel):
    """A study over the swept values of the file."""

    sampler: Literal["grid", "random", "tpe", "nsga2", "qmc", "cmaes"] = "grid"
    """Who proposes trials; `grid` runs every combination once, in file order."""
    trials: int = Field(20, ge=1)
    """Number of trials of samplers other than `grid`; the first one has the defaults of all axes."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seed of samplers other than `grid`."""
    objectives: list[ObjectiveConfig] = Field(default_factory=lambda: [ObjectiveConfig()], min_length=1)
    """What is optimised. With several, no trial is the best that another beats in all of them."""
    pruner: PrunerConfig | None = None
    """When a hopeless trial is stopped. Default: never."""
    constraints: list[str] = Field(default_factory=list)
    """Expressions over keys of the experiment; combinations of values that do not fulfil one are left out."""
    space: dict[str, Any] = Field(default_factory=dict)
    """Swept values by quoted dotted path, for overlays over a file that stays as it is."""
    tpe: TpeConfig | None = None
    """Options of the sampler `tpe`."""
    random: RandomConfig | None = None
    """Options of the sampler `random`."""
    nsga2: NsgaiiConfig | None = None
    """Options of the sampler `nsga2`."""
    qmc: QmcConfig | None = None
    """Options of the sampler `qmc`."""
    cmaes: CmaesConfig | None = None
    """Options of the sampler `cmaes`."""
    retries: int = Field(2, ge=0)
    """How often a trial is tried again that ended for lack of memory, for a taken port, or because its
    process was stopped from outside or its worker has gone; it goes on from its newest checkpoint."""
    stall_minutes: float = Field(60.0, gt=0)
    """Minutes in which nothing of a trial moves, after which it is ended and has failed."""
    budget: BudgetConfig | None = None
    """What the study may use. Default: as much as its trials need."""


class ChoiceAxis(ConfigModel):
    """A swept value that is one of a list, written in place of a plain one."""

    sweep: Literal["choice"]
    """Kind of axis."""
    values: list[Any] = Field(min_length=1)
    """The values tried."""
    default: Any
    """The value that a plain `train` uses; one of `values`."""
    when: str | None = Field(None, min_length=1)
    """Condition under which the value is swept; elsewhere it is `default`."""
    zip: str | None = Field(None, min_length=1)
    """Axes of one name move together, value by value."""


class IntAxis(ConfigModel):
    """A swept whole number in a range, written in place of a plain one."""

    sweep: Literal["int"]
    """Kind of axis."""
    low: int
    """The least value."""
    high: int
    """The greatest value."""
    step: int | None = None
    """Distance between two values. Default: 1."""
    log: bool = False
    """Whether values are spread by their ratio instead of their distance."""
    points: int | None = None
    """How many values a grid tries, both ends among them."""
    default: int
    """The value that a plain `train` uses."""
    when: str | None = Field(None, min_length=1)
    """Condition under which the value is swept; elsewhere it is `default`."""
    zip: str | None = Field(None, min_length=1)
    """Axes of one name move together, value by value."""


class FloatAxis(ConfigModel):
    """A swept number in a range, written in place of a plain one."""

    sweep: Literal["float"]
    """Kind of axis."""
    low: float
    """The least value."""
    high: float
    """The greatest value."""
    step: float | None = None
    """Distance between two values. Default: any value of the range."""
    log: bool = False
    """Whether values are spread by their ratio instead of their distance."""
    points: int | None = None
    """How many values a grid tries, both ends among them."""
    default: float
    """The value that a plain `train` uses."""
    when: str | None = Field(None, min_length=1)
    """Condition under which the value is swept; elsewhere it is `default`."""
    zip: str | None = Field(None, min_length=1)
    """Axes of one name move together, value by value."""


AXES: dict[str, type[ChoiceAxis | IntAxis | FloatAxis]] = {
    "choice": ChoiceAxis,
    "int": IntAxis,
    "float": FloatAxis,
}
"""The form of each kind of axis."""
