"""What the linter says of spaces and of `[sweep]`, beside the golden cases of each rule."""

import time
from pathlib import Path

import pytest

from pettingllms.config.load import draft_experiment
from pettingllms.lint.engine import check_experiment
from pettingllms.lint.proof.axis_checks import axis_findings
from pettingllms.lint.proof.space_checks import space_of
from pettingllms.lint.proof.study_checks import study_findings
from pettingllms.lint.rule import RULES

TWO_AGENTS = Path(__file__).parents[1] / "cases/valid/two_agents.toml"
TEXT = TWO_AGENTS.read_text().replace("lora_rank = 16\n", "")
RANK = '{ sweep = "choice", values = [8, 16], default = 8 }'
SWEEP = ("PLM4", "PLM004", "PLM006", "PLM007")


def check(sweep="", rank=RANK, root=""):
    text = f"{root}\nlora_rank = {rank}\n{TEXT}\n[sweep]\n{sweep}\n"
    return check_experiment(Path("x.toml"), text=text)


def found(*arguments, **named):
    return [
        (one.code, one.path) for one in check(*arguments, **named).diagnostics if one.code.startswith(SWEEP)
    ]


SOUND = """
constraints = ["lora_alpha <= 32 or training.val_freq in [5, 10]", "not (env.max_turns < 2)"]
objectives = [{ metric = "val/reward/tool_generator", direction = "maximize" }]

[sweep.space]
"training.val_freq" = { sweep = "int", low = 5, high = 10, step = 5, default = 5, zip = "steps" }
"training.save_freq" = { sweep = "choice", values = [10, 20], default = 10, zip = "steps" }
"training.sample_temperature" = { sweep = "float", low = 0.5, high = 1, points = 3, default = 1, when = "lora_rank > 8" }
"models.model_0.ppo_trainer_config.actor_rollout_ref.actor.optim.lr" = { sweep = "float", low = 1e-6, high = 1e-4, log = true, points = 3, default = 1e-5 }
"""  # noqa: E501


def test_a_sound_space_has_no_findings_and_all_its_cells():
    report = check(SOUND)
    assert report.diagnostics == ()
    # Rank 8: one temperature; 16: three. Each with two rows of steps and three rates.
    assert len(report.cells.runnable) == (1 + 3) * 2 * 3


def test_a_space_without_end_is_right_for_other_samplers():
    endless = '{ sweep = "int", low = 8, high = 64, log = true, default = 8 }'
    assert found('sampler = "tpe"\ntrials = 5\nseed = 1\ntpe.multivariate = true', rank=endless) == []
    assert found("", rank=endless) == [("PLM407", "lora_rank")]
    many = '{ sweep = "int", low = 1, high = 100000, default = 8 }'
    assert found('sampler = "random"', rank=many) == []
    assert found("", rank=many) == [("PLM404", "lora_rank")]


def test_a_default_between_points_is_wrong_in_a_grid_only():
    between = '{ sweep = "int", low = 8, high = 64, points = 2, default = 9 }'
    assert found("", rank=between) == [("PLM408", "lora_rank.default")]
    assert found('sampler = "random"', rank=between) == []


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [
        ('pruner = { kind = "median", warmup_steps = 20, every = 10 }', []),
        ('pruner = { kind = "patient", patience = 3, min_delta = 0.01 }', []),
        ('pruner = { kind = "patient" }', [("PLM004", "sweep.pruner.patience")]),
        ('pruner = { kind = "threshold", every = 2 }', [("PLM004", "sweep.pruner.lower")]),
        ('pruner = { kind = "threshold", lower = 0.1, upper = 0.1 }', [("PLM006", "sweep.pruner.lower")]),
        ('pruner = { kind = "median", percentile = 20.0 }', [("PLM417", "sweep.pruner.percentile")]),
        (
            'pruner = { kind = "hyperband", min_resource = 9, max_resource = 3 }',
            [("PLM006", "sweep.pruner.min_resource")],
        ),
        (
            'pruner = { kind = "hyperband", bootstrap_count = 3 }',
            [("PLM006", "sweep.pruner.bootstrap_count")],
        ),
        ('pruner = { kind = "mediam" }', [("PLM006", "sweep.pruner.kind")]),
    ],
)
def test_a_pruner_has_options_of_its_kind(sweep, expected):
    assert sorted(found(sweep)) == sorted(expected)


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [
        ('sampler = "tpe"\ntpe = { group = true, multivariate = false }', [("PLM006", "sweep.tpe.group")]),
        ('sampler = "tpe"\ntpe = { group = true }', []),
        (
            'sampler = "nsga2"\nnsga2 = { population_size = 2, crossover = "undx" }',
            [("PLM006", "sweep.nsga2.population_size")],
        ),
        (
            'sampler = "cmaes"\ncmaes = { lr_adapt = true, with_margin = true }',
            [("PLM006", "sweep.cmaes.lr_adapt"), ("PLM423", "lora_rank")],
        ),
        (
            'sampler = "cmaes"\ncmaes.use_separable_cma = true',
            [("PLM006", "sweep.cmaes.use_separable_cma"), ("PLM423", "lora_rank")],
        ),
        (
            'sampler = "nsga2"\nnsga2 = { mutation_eta = 3.0 }',
            [("PLM417", "sweep.nsga2.mutation_eta")],
        ),
        ('sampler = "nsga2"\nnsga2 = { mutation_eta = 3.0, mutation = "polynomial" }', []),
        ('sampler = "qmc"\nqmc.scramble = true\nrandom = {}', [("PLM417", "sweep.random")]),
        ('sampler = "random"\nrandom = {}', []),
        ('sampler = "qmc"\nqmc.qmc_type = "sobl"', [("PLM006", "sweep.qmc.qmc_type")]),
    ],
)
def test_options_of_samplers(sweep, expected):
    assert sorted(found(sweep)) == sorted(expected)


def test_the_sampler_may_be_a_reference():
    sweep = 'sampler = "${training.experiment_name}"\ntrials = 3'
    assert ("PLM419", "sweep.trials") in found(sweep.replace("${training.experiment_name}", "grid"))
    text = TEXT.replace("[training]", '[training]\nexperiment_name = "random"')
    report = check_experiment(Path("x.toml"), text=f"lora_rank = {RANK}\n{text}\n[sweep]\n{sweep}\n")
    assert "PLM419" not in {one.code for one in report.diagnostics}


@pytest.mark.parametrize(
    ("metric", "near"),
    [
        ("success_rate", "val/success_rate"),
        ("val/reward/tool_genrator", "val/reward/tool_generator"),
        ("train/kl/tool_generator", "train/kl/tool_generator_model"),
        ("f1", None),
    ],
)
def test_an_unknown_metric_is_named_with_the_nearest(metric, near):
    (one,) = check(f'objectives = [{{ metric = "{metric}" }}]').diagnostics
    assert (one.code, one.path) == ("PLM420", "sweep.objectives.0.metric")
    assert one.help == (f"did you mean {near}?" if near else "docs/records.md lists them")


def test_a_metric_of_a_swept_name_is_judged_in_each_cell():
    names = '{ sweep = "choice", values = ["tool_generator", "other"], default = "tool_generator" }'
    sweep = 'objectives = [{ metric = "val/reward/tool_generator" }]\n[sweep.space]\n'
    sweep += f'"agent_policy_configs.agent_configs.agent_0.name" = {names}'
    found = [one for one in check(sweep).diagnostics if one.code == "PLM420"]
    assert len(found) == 1
    assert "in 2 of 4 cells" in found[0].message


def test_what_a_faulty_axis_is_named_by_is_not_reported_again():
    report = check(
        'constraints = ["lora_rank > 8"]', rank='{ sweep = "int", low = 9, high = 8, default = 8 }'
    )
    assert [(one.code, one.path) for one in report.diagnostics] == [("PLM405", "lora_rank.high")]


def test_every_condition_without_a_value_is_reported():
    sweep = """
    constraints = ["1 / 0 > 1", "env.name > 1"]
    [sweep.space]
    "training.val_freq" = { sweep = "choice", values = [5, 10], default = 5, when = "env.name > 1" }
    "training.save_freq" = { sweep = "choice", values = [5, 10], default = 5, when = "lora_rank" }
    """
    assert sorted(found(sweep)) == [
        ("PLM409", "sweep.constraints.0"),
        ("PLM409", "sweep.constraints.1"),
        ("PLM409", 'sweep.space."training.save_freq".when'),
        ("PLM409", 'sweep.space."training.val_freq".when'),
    ]


def test_a_key_that_some_cells_do_not_have_is_null_there():
    sweep = """
    constraints = ["env.options.digits < 3"]
    [sweep.space]
    "env.options" = { sweep = "choice", values = [{ digits = 1 }, {}], default = { digits = 1 } }
    """
    assert found(sweep) == [("PLM409", "sweep.constraints.0")]
    assert found(sweep.replace('["', '["env.options.digits == null or ')) == []


def test_fixes_say_what_changes():
    (one,) = check(rank='{ sweep = "choice", values = [8, 16, 8], default = 8 }').diagnostics
    (change,) = one.fix.changes
    assert (one.code, one.fix.safe) == ("PLM402", True)
    assert (change.kind, change.path) == ("remove", ("lora_rank", "values", 2))
    (one,) = check(rank='{ sweep = "int", low = 8, high = 30, step = 8, default = 8 }').diagnostics
    (change,) = one.fix.changes
    assert (one.code, one.fix.safe) == ("PLM406", True)
    assert (change.kind, change.path, change.value) == ("set", ("lora_rank", "high"), 24)


def test_constraints_that_leave_nothing_each_alone_are_named():
    sweep = 'constraints = ["lora_rank > 16", "lora_rank > 0", "lora_rank < 0"]'
    assert found(sweep) == [("PLM415", "sweep.constraints.0"), ("PLM415", "sweep.constraints.2")]


def test_a_thousand_axes_and_conditions_are_quick():
    table = '"env.options.x{}" = {{ sweep = "choice", values = [1], default = 1, {} }}'
    rows = [table.format(n, f'when = "env.options.x{n + 1} == 1"') for n in range(1000)]
    rows += [table.format(1000, 'zip = "a"')]

    def nothing(values, path):
        raise KeyError(path)

    start = time.perf_counter()
    draft = draft_experiment(Path("x.toml"), text="\n".join([TEXT, "[sweep.space]", *rows]))
    assert len(draft.axes) == 1001
    found = [*axis_findings(draft.axes), *study_findings(draft, nothing), *space_of(draft, nothing).findings]
    codes = [one.code for one in found]
    assert codes == ["PLM412"]
    assert time.perf_counter() - start < 10


def test_the_rules_are_numbered_as_documented():
    numbers = {code for code in RULES if code.startswith("PLM4")}
    assert numbers >= {f"PLM4{n:02}" for n in range(1, 21)}
