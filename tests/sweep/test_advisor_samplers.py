"""Options of samplers and pruners: each is read, and Optuna takes every word that the file may have."""

import typing

import pytest

optuna = pytest.importorskip("optuna")

from ledger_in_memory import studied  # noqa: E402
from optuna.storages import InMemoryStorage  # noqa: E402

from pettingllms.config.axes import Axis  # noqa: E402
from pettingllms.config.sweep import (  # noqa: E402
    PRUNER_OPTIONS,
    CmaesConfig,
    NsgaiiConfig,
    PrunerConfig,
    QmcConfig,
    SweepConfig,
    TpeConfig,
)
from pettingllms.sweep.advice.advisor import OptunaAdvisor  # noqa: E402
from pettingllms.sweep.advice.pruners import make_pruner  # noqa: E402
from pettingllms.sweep.advice.samplers import derived_seed, make_sampler  # noqa: E402
from pettingllms.sweep.advice.space import SearchSpace  # noqa: E402
from pettingllms.sweep.advice.storage import quiet_optuna  # noqa: E402

TABLES = {"tpe": TpeConfig, "nsga2": NsgaiiConfig, "qmc": QmcConfig, "cmaes": CmaesConfig}


class Reads:
    """A table of options that remembers which were asked for."""

    def __init__(self, options):
        self.options, self.read = options, set()

    def __getattr__(self, name):
        self.read.add(name)
        return getattr(self.options, name)


@pytest.mark.parametrize("name", TABLES)
def test_no_option_of_a_sampler_is_left_out(name):
    options = Reads(TABLES[name](**({"mutation": "polynomial"} if name == "nsga2" else {})))
    with quiet_optuna():
        make_sampler(SweepConfig(sampler=name).model_copy(update={name: options}), 0)
    assert options.read == set(TABLES[name].model_fields)


@pytest.mark.parametrize("kind", PRUNER_OPTIONS)
def test_no_option_of_a_pruner_is_left_out(kind):
    options = Reads(PrunerConfig(kind=kind, patience=1, lower=0.0))
    with quiet_optuna():
        make_pruner(options)
    assert options.read == {"kind", *PRUNER_OPTIONS[kind]}


def test_a_grid_is_not_sampled():
    with pytest.raises(ValueError, match="given, not sampled"):
        make_sampler(SweepConfig(), 0)


def test_seeds_differ_by_each_part():
    seeds = {derived_seed(*parts) for parts in ((0, 1, 0), (0, 0, 1), (1, 0, 0), (0, 10), (0, 1), (0,))}
    assert len(seeds) == 6
    assert all(0 <= seed < 2**32 for seed in seeds)


def words(model, field):
    return [one for one in typing.get_args(model.model_fields[field].annotation) if isinstance(one, str)]


AXES = [
    Axis(("a",), None, 0.5, kind="float", low=0.0, high=1.0),
    Axis(("b",), None, 3, kind="int", low=1, high=100),
    Axis(("c",), ([1], [2], [3]), [1]),
]
SPREAD = [
    *(("nsga2", {"crossover": word, "population_size": 4}) for word in words(NsgaiiConfig, "crossover")),
    ("nsga2", {"mutation": "polynomial", "mutation_prob": 1.0, "population_size": 4}),
    *(
        ("qmc", {"qmc_type": word, "scramble": scramble})
        for word in words(QmcConfig, "qmc_type")
        for scramble in (False, True)
    ),
    *(
        ("cmaes", {option: True, "popsize": 4})
        for option in ("use_separable_cma", "with_margin", "lr_adapt", "consider_pruned_trials")
    ),
    ("tpe", {"startup_trials": 2, "multivariate": False}),
    ("tpe", {"startup_trials": 2, "group": True, "ei_candidates": 5}),
]


@pytest.mark.parametrize(("sampler", "options"), SPREAD, ids=str)
def test_every_option_proposes_and_learns(sampler, options):
    """Twenty trials pass several generations; what is proposed keeps to the space and goes on changing."""
    sweep = SweepConfig.model_validate({"sampler": sampler, "trials": 20, sampler: options})
    advisor = OptunaAdvisor(SearchSpace(AXES), sweep, InMemoryStorage(), "study")
    rows = studied(advisor, lambda values: (values["a"] + values["b"] / 100,), 20).rows
    assert all(0 <= row.values["a"] <= 1 and 1 <= row.values["b"] <= 100 for row in rows.values())
    assert all(row.values["c"] in ([1], [2], [3]) for row in rows.values())
    assert len({tuple(map(str, row.values.values())) for row in rows.values()}) > 5


def test_sequences_fill_the_space_evenly():
    """The first eight points of Sobol's sequence are one in each eighth; trial 0 has the defaults."""
    axes = AXES[:1]
    sweep = SweepConfig(sampler="qmc")
    advisor = OptunaAdvisor(SearchSpace(axes), sweep, InMemoryStorage(), "study")
    rows = studied(advisor, lambda values: (0.0,), 9).rows
    assert sorted(int(rows[n].values["a"] * 8) for n in range(1, 9)) == list(range(8))


def test_a_number_that_some_trials_lack_does_not_end_what_cmaes_learns():
    """Optuna's sampler draws everything at random from the first trial on that lacks a number."""
    depth = Axis(("d",), None, 5, kind="int", low=1, high=9, when="b < 60")
    axes = [*AXES[:2], depth]
    sweep = SweepConfig(sampler="cmaes", cmaes=CmaesConfig(popsize=4))
    storage = InMemoryStorage()
    advisor = OptunaAdvisor(SearchSpace(axes), sweep, storage, "study")
    rows = studied(advisor, lambda values: (values["a"] + values["b"] / 100,), 24).rows
    assert {len(row.active) for row in rows.values()} == {2, 3}
    generations = [trial.system_attrs.get("cma:generation") for trial in storage.get_all_trials(0)]
    assert generations[:2] == [None, 0]
    assert generations[-1] >= 4
