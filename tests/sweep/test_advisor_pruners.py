"""Which scripted trials are stopped, and when: by hand, and as Optuna does it by itself."""

import dataclasses
import math

import pytest

optuna = pytest.importorskip("optuna")

from ledger_in_memory import MemoryLedger, ended, started  # noqa: E402
from optuna.storages import InMemoryStorage  # noqa: E402

from pettingllms.config.axes import Axis  # noqa: E402
from pettingllms.config.sweep import ObjectiveConfig, PrunerConfig, SweepConfig, TpeConfig  # noqa: E402
from pettingllms.sweep.advice.advisor import OptunaAdvisor  # noqa: E402
from pettingllms.sweep.advice.samplers import derived_seed  # noqa: E402
from pettingllms.sweep.advice.space import SearchSpace  # noqa: E402
from pettingllms.sweep.advice.storage import quiet_optuna  # noqa: E402

SHARE = Axis(("share",), None, 0.5, kind="float", low=0.0, high=1.0)


def make(pruner, sampler="random", direction="maximize", storage=None):
    sweep = SweepConfig(
        sampler=sampler,
        tpe=TpeConfig(startup_trials=4) if sampler == "tpe" else None,
        pruner=PrunerConfig(**pruner),
        objectives=[ObjectiveConfig(direction=direction)],
    )
    return OptunaAdvisor(SearchSpace([SHARE]), sweep, storage or InMemoryStorage(), "study")


def scripted(advisor, curves, ledger=None):
    """Play `curves`, each {step: value}; returns for each trial the step at which it was stopped, or None."""
    ledger = ledger or MemoryLedger()
    first = len(ledger.rows)
    stops = []
    for number, curve in enumerate(curves, start=first):
        row = started(ledger, advisor, number)
        stop = next((step for step, value in curve.items() if advisor.report(row.advice, step, value)), None)
        if stop is None:
            ended(ledger, advisor, number, objectives=(curve[max(curve)],))
        else:
            ended(ledger, advisor, number, "pruned")
        stops.append(stop)
    return stops


def flat(value, steps=9):
    return dict.fromkeys(range(1, steps + 1), value)


ONE_BRACKET = {"kind": "hyperband", "min_resource": 4, "max_resource": 9, "reduction_factor": 3}


def test_hyperband_lets_the_best_third_of_a_rung_go_on():
    """9 / 4 < 3 makes one bracket, whose only rung is at step 4.

    There go on: the best of fewer than six, and the two best of six.
    """
    values = (0.5, 0.3, 0.6, 0.55, 0.2, 0.58)
    stops = scripted(make(ONE_BRACKET), map(flat, values))
    assert stops == [None, 4, None, 4, 4, None]
    saved = sum(9 - stop for stop in stops if stop) / (9 * len(stops))
    assert saved == pytest.approx(15 / 54)


def test_hyperband_goes_the_other_way_where_less_is_better():
    stops = scripted(make(ONE_BRACKET, direction="minimize"), map(flat, (0.5, 0.6, 0.3)))
    assert stops == [None, 4, None]


@pytest.mark.parametrize(
    "pruner",
    [
        {"kind": "hyperband", "min_resource": 1, "max_resource": 27},
        {"kind": "hyperband", "min_resource": 2, "reduction_factor": 2},
        {"kind": "hyperband", "min_resource": 1, "max_resource": 27, "bootstrap_count": 1},
        {"kind": "median", "startup_trials": 3, "warmup_steps": 4, "every": 3},
        {"kind": "percentile", "percentile": 60.0, "startup_trials": 2, "min_trials": 3},
        {"kind": "patient", "patience": 3, "min_delta": 0.01},
        {"kind": "threshold", "lower": 0.2, "warmup_steps": 5},
    ],
    ids=lambda pruner: "-".join(map(str, pruner.values())),
)
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_trials_are_stopped_where_optuna_stops_them(pruner, sampler):
    """The oracle is `Study.optimize` with the same sampler seeds, in which nothing was killed or refused."""

    def curve(number, share):
        top = 0.2 + 0.6 * math.sin(7 * number + share) ** 2
        decline = 0.02 * (number % 3)
        return {step: top * (1 - 0.9**step) - decline * max(step - 8, 0) for step in range(1, 28)}

    storage, ledger = InMemoryStorage(), MemoryLedger()
    advisor = make(pruner, sampler, storage=storage)
    ours, values = [], []
    for number in range(24):
        row = started(ledger, advisor, number)
        values.append(row.values["share"])
        script = curve(number, values[-1])
        stop = next((step for step, value in script.items() if advisor.report(row.advice, step, value)), None)
        ours.append(stop)
        ended(ledger, advisor, number, "pruned" if stop else "complete", None if stop else (script[27],))
        if number == 11:
            # Another process goes on, and a proposal is lost.
            advisor = make(pruner, sampler, storage=storage)
            advisor.propose(12)
    theirs = []
    with quiet_optuna():
        study = optuna.create_study(direction="maximize", study_name="study", pruner=advisors_pruner(pruner))
        for number in range(24):
            seed = derived_seed(0, number, 0, 0)
            if sampler == "tpe":
                study.sampler = optuna.samplers.TPESampler(n_startup_trials=4, seed=seed)
            else:
                study.sampler = optuna.samplers.RandomSampler(seed=seed)
            if number == 0:
                study.enqueue_trial({"share": 0.5})
            trial = study.ask()
            share = trial.suggest_float("share", 0.0, 1.0)
            assert share == values[number]
            stop = None
            for step, value in curve(number, share).items():
                trial.report(value, step)
                if trial.should_prune():
                    stop = step
                    break
            theirs.append(stop)
            if stop:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                study.tell(trial, value)
    assert ours == theirs
    assert len(set(ours)) > 1


def advisors_pruner(options):
    rest = {key: value for key, value in options.items() if key != "kind"}
    names = {
        "startup_trials": "n_startup_trials",
        "warmup_steps": "n_warmup_steps",
        "every": "interval_steps",
        "min_trials": "n_min_trials",
    }
    rest = {names.get(key, key): value for key, value in rest.items()}
    match options["kind"]:
        case "hyperband":
            return optuna.pruners.HyperbandPruner(**rest)
        case "median":
            return optuna.pruners.MedianPruner(**rest)
        case "percentile":
            return optuna.pruners.PercentilePruner(**rest)
        case "patient":
            return optuna.pruners.PatientPruner(None, **rest)
        case "threshold":
            return optuna.pruners.ThresholdPruner(**rest)


def test_the_median_of_earlier_trials_at_the_same_step():
    pruner = {"kind": "median", "startup_trials": 2, "warmup_steps": 2}
    curves = [flat(0.2, 4), flat(0.4, 4), flat(0.25, 4), flat(0.35, 4)]
    # The median of 0.2 and 0.4 is 0.3; nothing is looked at before step 2. The stopped one counts then.
    assert scripted(make(pruner), curves) == [None, None, 2, None]


def test_no_pruner_stops_nothing_and_values_are_kept():
    sweep = SweepConfig(sampler="random")
    storage = InMemoryStorage()
    advisor = OptunaAdvisor(SearchSpace([SHARE]), sweep, storage, "study")
    assert scripted(advisor, [{1: 0.9}, {1: -5.0}]) == [None, None]
    assert storage.get_all_trials(0)[1].intermediate_values == {1: -5.0}


def test_a_value_that_is_no_number_stops_a_trial_that_is_judged():
    assert scripted(make({"kind": "threshold", "lower": 0.0}), [{1: 0.1, 2: math.nan}]) == [2]


def test_a_trial_that_goes_on_from_a_checkpoint_is_judged_by_its_new_values(recwarn):
    """Optuna ignores a step that is reported twice, with a warning, and looks at the last step."""
    pruner = {"kind": "threshold", "lower": 0.5}
    advisor, ledger = make(pruner), MemoryLedger()
    row = started(ledger, advisor, 0)
    assert not any(advisor.report(row.advice, step, 0.9) for step in (1, 2, 3))
    # Killed at 3, goes on from 1.
    assert advisor.report(row.advice, 2, 0.4)
    assert not advisor.report(row.advice, 2, 0.6)
    assert not list(recwarn)


def test_nothing_is_reported_of_a_trial_that_has_ended():
    advisor, ledger = make({"kind": "threshold", "lower": 0.5}), MemoryLedger()
    row = started(ledger, advisor, 0)
    ended(ledger, advisor, 0, objectives=(0.9,))
    assert advisor.report(row.advice, 9, 0.0) is False


def test_a_retried_cell_begins_at_the_first_rung():
    advisor, ledger = make(ONE_BRACKET), MemoryLedger()
    scripted(advisor, [flat(0.5)], ledger)
    row = started(ledger, advisor, 1)
    advisor.report(row.advice, 4, 0.6)
    failed = ended(ledger, advisor, 1, "failed", reason="out of memory", cause="oom")
    again = dataclasses.replace(failed, state="running", advice=advisor.enqueue(failed))
    ledger.rows[1] = again
    assert again.advice != row.advice
    assert not advisor.report(again.advice, 3, 0.1)
    assert advisor.report(again.advice, 4, 0.1)
