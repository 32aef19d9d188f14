"""PLM4, sweep: the shape of axes, the space that they make, and the study over it."""

from __future__ import annotations

from collections.abc import Iterator

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.shape import written
from pettingllms.config.sweep import METRICS, PRUNER_OPTIONS
from pettingllms.documents.source import Finding
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.rule import Context, loading_rule, rule
from pettingllms.registry import closest


@loading_rule("PLM401", "malformed-axis", Severity.ERROR)
def malformed_axis() -> None:
    """A swept value is not written as it should be.

    It is an inline table whose first key is `sweep`:
    `lr = { sweep = "choice", values = [1e-6, 1e-5], default = 1e-6 }`,
    `rank = { sweep = "int", low = 8, high = 32, step = 8, default = 16 }` or
    `lr = { sweep = "float", low = 1e-7, high = 1e-5, log = true, points = 3, default = 1e-6 }`.
    In `[sweep.space]` the same table stands beside the quoted path of its key. Nothing else inside
    `[sweep]`, and nothing inside another swept value, can be swept.
    """


@loading_rule("PLM402", "duplicate-choice", Severity.ERROR)
def duplicate_choice() -> None:
    """An axis has a value twice, so that two trials would be the same.

    Optuna compares choices by equality: `true` and `1`, or `1` and `1.0`, are one choice. Of zipped axes,
    what counts is the whole row.
    """


@loading_rule("PLM403", "default-not-a-choice", Severity.ERROR)
def default_not_a_choice() -> None:
    """The default of an axis is none of its values.

    The default is what a plain `train` uses; in a grid it must be one of the cells. The defaults of zipped
    axes must stand in one row.
    """


@loading_rule("PLM404", "grid-too-large", Severity.ERROR)
def grid_too_large() -> None:
    """The axes make more than 4096 cells.

    Every cell is proved valid before the first trial starts, and each is a training run.
    """


@loading_rule("PLM405", "bad-range", Severity.ERROR)
def bad_range() -> None:
    """The range of an axis is none.

    `low` must be less than `high`, and greater than 0 with `log`. `step` must be greater than 0 and goes
    with neither `log` nor `points`; `points` are at least 2, and whole numbers have that many in the range.
    """


@loading_rule("PLM406", "step-misses-high", Severity.WARNING)
def step_misses_high() -> None:
    """The range of an axis is no multiple of its step, so that `high` is never tried.

    The message says which value is the last one. Optuna lowers `high` to it.
    """


@loading_rule("PLM407", "endless-axis-in-grid", Severity.ERROR)
def endless_axis_in_grid() -> None:
    """An axis of a grid has no end of values.

    A grid tries every value: a range of numbers needs `step` or `points`, a logarithmic one `points`. Whole
    numbers without `log` need neither. Other samplers draw from the whole range.
    """


@loading_rule("PLM408", "default-outside-range", Severity.ERROR)
def default_outside_range() -> None:
    """The default of an axis lies outside of its range, or between its steps or points.

    The default is what a plain `train` uses, and a trial of every study. Optuna would accept any number
    here with a warning.
    """


@loading_rule("PLM409", "bad-expression", Severity.ERROR)
def bad_expression() -> None:
    """The text of `when` or of a constraint is no condition.

    An expression has keys of the experiment (`training.seed`, `multi_agent_interaction.turn_order.0`),
    numbers, quoted texts, `true`, `false`, `null` and lists; `+ - * / %`; `== != < <= > >=`, also chained;
    `in`, `not in`, `and`, `or`, `not` and brackets. Nothing else can be said, and nothing is run as code. It
    must be true or false in every cell: a comparison of a text with a number, or a division by zero, has no
    value.
    """


@loading_rule("PLM410", "unknown-path-in-expression", Severity.ERROR)
def unknown_path_in_expression() -> None:
    """An expression names a key that the experiment does not have.

    Paths start at the root. A text is quoted: `env.name == "math_env"`.
    """


@loading_rule("PLM411", "axis-never-applies", Severity.WARNING)
def axis_never_applies() -> None:
    """No cell fulfils the condition of an axis, so that only its default is ever used.

    An override on what the condition names can be the reason.
    """


@loading_rule("PLM412", "zip-mismatch", Severity.ERROR)
def zip_mismatch() -> None:
    """Axes that are zipped do not fit together.

    Axes with the same `zip` move together, value by value: there are at least two, they have equally many
    values, and one condition or none.
    """


@loading_rule("PLM413", "when-cycle", Severity.ERROR)
def when_cycle() -> None:
    """Conditions of axes depend on each other, so that none can be decided first.

    The condition of an axis may name other axes, and not itself.
    """


@loading_rule("PLM414", "swept-twice", Severity.ERROR)
def swept_twice() -> None:
    """A key is swept where it stands and in `[sweep.space]`, or an axis there lies inside of another.

    Which of the two counts would be a guess.
    """


@loading_rule("PLM415", "constraints-exclude", Severity.ERROR)
def constraints_exclude() -> None:
    """The constraints leave no cell, or exclude the one of the defaults.

    The defaults are what a plain `train` uses, and a trial of every study.
    """


@loading_rule("PLM416", "same-cell-twice", Severity.WARNING)
def same_cell_twice() -> None:
    """Two cells are the same once references are resolved, so that one trial would be run twice."""


@loading_rule("PLM417", "option-of-another-sampler", Severity.ERROR)
def option_of_another_sampler() -> None:
    """`[sweep]` has options of a sampler that it does not use, or of another kind of pruner or mutation.

    They would change nothing, although they read as if they did. It happens when a sampler is exchanged.
    """


@loading_rule("PLM418", "pruner-with-many-objectives", Severity.ERROR)
def pruner_with_many_objectives() -> None:
    """A pruner is set beside several objectives.

    A pruner compares one number of each trial; Optuna raises NotImplementedError: "Trial.report is not
    supported for multi-objective optimization".
    """


@loading_rule("PLM419", "without-effect-in-grid", Severity.INFO)
def without_effect_in_grid() -> None:
    """A key of `[sweep]` means nothing in a grid.

    A grid runs each cell once, in file order: `trials`, `seed` and the options of samplers are for others.
    """


@rule(
    "PLM420",
    "unknown-objective",
    Severity.WARNING,
    reads=["sweep.objectives", "agent_policy_configs.agent_configs.*.name", "base_models.*.name"],
)
def unknown_objective(context: Context) -> Iterator[Finding]:
    """The metric of an objective is none that a run measures.

    Every trial would end without its objective, and fail. docs/records.md lists the metrics; `<agent>` and
    `<policy>` in them are names of the experiment. What environments measure (`val/env/…`) is not checked.
    """
    if context.config.sweep is None:
        return
    known = list(_metrics(context.config))
    for number, objective in enumerate(context.config.sweep.objectives):
        if objective.metric not in known and objective.metric.split("/")[1:2] != ["env"]:
            near = closest(objective.metric, known)
            help_text = f"did you mean {near}?" if near else "docs/records.md lists them"
            message = f"{written(objective.metric)} is no metric that a run measures"
            yield Finding(("sweep", "objectives", number, "metric"), message, help_text)


def _metrics(config: ExperimentConfig) -> Iterator[str]:
    """The metrics that a run of this experiment measures."""
    names = {
        "<agent>": [agent.name for agent in config.agent_policy_configs.agent_configs.values()],
        "<policy>": [base.name for base in config.base_models.values()],
    }
    for metric in METRICS:
        if metric.endswith("<name>"):
            continue
        word = next((word for word in names if metric.endswith(word)), None)
        yield from [metric] if word is None else (metric.replace(word, name) for name in names[word])


@loading_rule("PLM421", "axis-without-effect", Severity.ERROR)
def axis_without_effect() -> None:
    """A key is swept that has no effect, so that all its trials would be the same.

    It is one of those that PLM901 or PLM903 name, or one that another key overrules.
    """


@loading_rule("PLM422", "sampler-with-many-objectives", Severity.ERROR)
def sampler_with_many_objectives() -> None:
    """The sampler `cmaes` is set beside several objectives.

    It compares one number of each trial. The other samplers take several objectives; `nsga2` is made for
    them.
    """


@loading_rule("PLM423", "drawn-at-random", Severity.INFO)
def drawn_at_random() -> None:
    """A sampler draws an axis at random, whatever earlier trials have shown.

    `cmaes` learns about numbers that every cell has; choices, zipped axes and those with `when` are left to
    chance. `nsga2` leaves those with `when` to chance, and `qmc` those whose condition does not hold for the
    defaults.
    """


@rule(
    "PLM424",
    "pruner-without-values",
    Severity.WARNING,
    reads=[
        *("specialization", "sweep.pruner", "sweep.objectives"),
        *("training.val_freq", "training.total_training_steps"),
    ],
)
def pruner_without_values(context: Context) -> Iterator[Finding]:
    """The pruner never sees the objective of a trial in its middle, so that it stops none.

    The test is measured before the first step and after the last one only, validations every `val_freq` steps
    in between; what comes before `warmup_steps` is not judged.
    """
    sweep, training = context.config.sweep, context.config.training
    if context.config.specialization == "prompt" or sweep is None or sweep.pruner is None:
        return
    metric, pruner, last = sweep.objectives[0].metric, sweep.pruner, training.total_training_steps - 1
    if metric.startswith("test/") or metric == "time/test":
        last, help_text = 0, "write val/ for test/ in the objective: held-out tasks that may decide"
    elif metric.startswith("val/") or metric == "time/val":
        last, help_text = last - last % training.val_freq, "write a smaller training.val_freq"
    else:
        help_text = "train for more steps"
    warmup = pruner.warmup_steps if "warmup_steps" in PRUNER_OPTIONS[pruner.kind] else 0
    if last == 0 or last < warmup:
        when = f"after step {last}" if last else "between the first step and the last"
        message = f"the pruner stops no trial: {written(metric)} is not measured {when}"
        if last:
            message += f" but at the end, and warmup_steps = {warmup}"
            help_text += f", or warmup_steps up to {last}"
        yield Finding(("sweep", "pruner"), message, help_text)
