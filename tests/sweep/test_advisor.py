"""The advisor: what it proposes, what it tells Optuna, and how it goes on after a kill."""

import dataclasses
import math
import os

import pytest

optuna = pytest.importorskip("optuna")

from ledger_in_memory import MemoryLedger, NoLock, ended, started, studied  # noqa: E402
from optuna.trial import TrialState  # noqa: E402

from pettingllms.config.axes import Axis  # noqa: E402
from pettingllms.config.sweep import (  # noqa: E402
    CmaesConfig,
    NsgaiiConfig,
    ObjectiveConfig,
    QmcConfig,
    SweepConfig,
    TpeConfig,
)
from pettingllms.errors import RefusedError  # noqa: E402
from pettingllms.space.expressions import parse  # noqa: E402
from pettingllms.sweep.advice.advisor import DRAWS, REFUSALS, OptunaAdvisor  # noqa: E402
from pettingllms.sweep.advice.space import SearchSpace  # noqa: E402
from pettingllms.sweep.advice.storage import journal_storage  # noqa: E402
from pettingllms.sweep.ledger.rows import Row  # noqa: E402

LR = Axis(("lr",), None, 1e-6, kind="float", low=1e-7, high=1e-5, log=True)
SHARE = Axis(("share",), None, 0.5, kind="float", low=0.0, high=1.0)
RANK = Axis(("rank",), (8, 16, 24, 32), 16, kind="int", low=8, high=32, step=8)
ORDER = Axis(("order",), (["a"], ["a", "b"], None), ["a"])
DEPTH = Axis(("depth",), (1, 2, 3), 2, kind="int", low=1, high=3, when="rank > 16")
MIXED = (LR, SHARE, RANK, ORDER, DEPTH)

SAMPLERS = [
    SweepConfig(sampler="random"),
    SweepConfig(sampler="tpe", tpe=TpeConfig(startup_trials=3)),
    SweepConfig(sampler="tpe", tpe=TpeConfig(startup_trials=3, group=True, constant_liar=False)),
    SweepConfig(sampler="nsga2", nsga2=NsgaiiConfig(population_size=4)),
    SweepConfig(
        sampler="nsga2", nsga2=NsgaiiConfig(population_size=4, mutation="polynomial", crossover="sbx")
    ),
    SweepConfig(sampler="qmc"),
    SweepConfig(sampler="qmc", qmc=QmcConfig(qmc_type="halton", scramble=True)),
    SweepConfig(sampler="cmaes"),
    SweepConfig(sampler="cmaes", cmaes=CmaesConfig(popsize=4, with_margin=True)),
]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No test loses power."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def make(tmp_path, sweep, axes=MIXED, constraints=(), name="study"):
    space = SearchSpace(axes, [parse(text) for text in constraints])
    return OptunaAdvisor(space, sweep, journal_storage(tmp_path / "study.journal", NoLock()), name)


def trials(advisor):
    return optuna.load_study(study_name=advisor.name, storage=advisor._storage).trials


def score(values):
    return (-((math.log10(values["lr"]) + 6.3) ** 2) - (values["share"] - 0.7) ** 2,)


@pytest.mark.parametrize("sweep", SAMPLERS, ids=lambda sweep: sweep.sampler)
def test_every_sampler_stays_in_the_space_and_begins_with_the_defaults(tmp_path, sweep):
    rows = studied(make(tmp_path, sweep), score, 12).rows
    first = {"lr": 1e-6, "share": 0.5, "rank": 16, "order": ["a"], "depth": 2}
    assert dict(rows[0].values) == first
    for row in rows.values():
        assert 1e-7 <= row.values["lr"] <= 1e-5
        assert 0 <= row.values["share"] <= 1
        assert row.values["rank"] in (8, 16, 24, 32)
        assert row.values["order"] in (["a"], ["a", "b"], None)
        assert ("depth" in row.active) is (row.values["rank"] > 16)
        assert row.values["depth"] in ((1, 2, 3) if row.values["rank"] > 16 else (2,))
    assert len({row.values["lr"] for row in rows.values()}) > 3


@pytest.mark.parametrize("sweep", SAMPLERS, ids=lambda sweep: sweep.sampler)
def test_proposals_depend_on_the_rows_and_not_on_what_was_killed(tmp_path, sweep):
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    whole = studied(make(tmp_path / "one", sweep), score, 12).rows
    ledger = studied(make(tmp_path / "other", sweep), score, 5)
    # Killed between a proposal and its row, twice, and started anew.
    make(tmp_path / "other", sweep).propose(5)
    again = make(tmp_path / "other", sweep)
    again.reconcile(ledger.rows)
    again.propose(5)
    rows = studied(make(tmp_path / "other", sweep), score, 12, ledger).rows
    assert [row.values for row in rows.values()] == [row.values for row in whole.values()]


def test_another_seed_proposes_other_values(tmp_path):
    one = studied(make(tmp_path, SweepConfig(sampler="tpe"), name="a"), score, 4).rows
    other = studied(make(tmp_path, SweepConfig(sampler="tpe", seed=1), name="b"), score, 4).rows
    assert one[0].values == other[0].values
    assert one[3].values != other[3].values


def test_each_row_is_one_trial_with_its_end(tmp_path):
    advisor, ledger = make(tmp_path, SweepConfig(sampler="random")), MemoryLedger()
    for number in range(4):
        started(ledger, advisor, number)
    ended(ledger, advisor, 0, objectives=(0.25,), folder="trial_0000", seconds=3.5)
    ended(ledger, advisor, 1, "failed", reason="no memory", cause="oom")
    advisor.report(ledger.rows[2].advice, 10, 0.1)
    ended(ledger, advisor, 2, "pruned")
    found = trials(advisor)
    assert [t.state for t in found] == [
        TrialState.COMPLETE,
        TrialState.FAIL,
        TrialState.PRUNED,
        TrialState.RUNNING,
    ]
    assert found[0].value == 0.25
    assert found[0].user_attrs == {"cell": 0, "folder": "trial_0000", "seconds": 3.5}
    assert found[1].user_attrs == {"cell": 1, "seconds": 0.0, "reason": "no memory", "cause": "oom"}
    assert found[2].value == 0.1


def test_lists_and_null_are_labels_to_optuna_and_values_to_the_row(tmp_path, recwarn):
    advisor = make(tmp_path, SweepConfig(sampler="random"), [ORDER])
    rows = studied(advisor, lambda values: (0.0,), 12).rows
    labels = {'["a"]': ["a"], '["a","b"]': ["a", "b"], "null": None}
    found = trials(advisor)
    assert [labels[t.params["order"]] for t in found] == [row.values["order"] for row in rows.values()]
    assert {t.params["order"] for t in found} == set(labels)
    assert not list(recwarn)


def test_zipped_axes_are_one_parameter_of_rows(tmp_path):
    zipped = [
        Axis(("lr",), (1e-6, 2e-6, 4e-6), 1e-6, zip="scale"),
        Axis(("batch",), ([8], [16], [32]), [8], zip="scale"),
    ]
    advisor = make(tmp_path, SweepConfig(sampler="tpe"), zipped)
    rows = studied(advisor, lambda values: (values["lr"],), 20).rows
    pairs = {(row.values["lr"], *row.values["batch"]) for row in rows.values()}
    assert pairs == {(1e-6, 8), (2e-6, 16), (4e-6, 32)}
    assert trials(advisor)[0].params == {"zip scale": "[1e-06,[8]]"}


def test_long_zipped_ranges_are_sampled_by_index(tmp_path):
    zipped = [
        Axis(("a",), None, 0, kind="int", low=0, high=20_000, zip="pair"),
        Axis(("b",), None, 100, kind="int", low=100, high=20_100, zip="pair"),
    ]
    advisor = make(tmp_path, SweepConfig(sampler="random"), zipped)
    rows = studied(advisor, lambda values: (0.0,), 5).rows
    assert all(row.values["b"] == row.values["a"] + 100 for row in rows.values())
    assert len({row.values["a"] for row in rows.values()}) == 5


def test_steps_are_the_numbers_of_the_file(tmp_path):
    """0.1 + 2 * 0.1 is 0.30000000000000004; the file means 0.3. The step that misses `high` is left out."""
    axis = Axis(("share",), (0.1, 0.2, 0.3, 0.4), 0.1, kind="float", low=0.1, high=0.45, step=0.1)
    rows = studied(make(tmp_path, SweepConfig(sampler="random"), [axis]), lambda values: (0.0,), 30).rows
    assert {row.values["share"] for row in rows.values()} == {0.1, 0.2, 0.3, 0.4}


def test_an_axis_that_is_not_swept_is_no_parameter(tmp_path):
    advisor = make(tmp_path, SweepConfig(sampler="random"), [RANK, DEPTH])
    rows = studied(advisor, lambda values: (0.0,), 12).rows
    for row, trial in zip(rows.values(), trials(advisor), strict=True):
        assert set(trial.params) == set(row.active)


def test_what_breaks_a_constraint_is_not_proposed(tmp_path):
    advisor = make(tmp_path, SweepConfig(sampler="tpe"), [SHARE, RANK], ["share * 32 <= rank"])
    rows = studied(advisor, lambda values: (values["share"],), 25).rows
    assert all(row.values["share"] * 32 <= row.values["rank"] for row in rows.values())
    # What was drawn in vain is nowhere in the study.
    assert len(trials(advisor)) == 25


def test_a_condition_that_has_no_value_somewhere_is_not_proposed_there(tmp_path):
    axes = [RANK, Axis(("gap",), (0, 1, 2), 1, kind="int", low=0, high=2)]
    advisor = make(tmp_path, SweepConfig(sampler="random"), axes, ["rank / gap > 4"])
    rows = studied(advisor, lambda values: (0.0,), 15).rows
    assert {row.values["gap"] for row in rows.values()} == {1, 2}


def test_a_space_without_values_is_refused_in_words(tmp_path):
    advisor = make(tmp_path, SweepConfig(sampler="random"), [RANK], ["rank < 0"])
    studied(advisor, lambda values: (0.0,), 1)
    with pytest.raises(RefusedError, match=rf"no values for cell 1 in {DRAWS} proposals.* rank < 0"):
        advisor.propose(1)


def test_impossible_proposals_are_asked_for_again_and_counted(tmp_path):
    advisor = make(tmp_path, SweepConfig(sampler="qmc"), [SHARE])
    ledger = studied(advisor, lambda values: (0.0,), 2)
    first = advisor.propose(2)
    advisor.refuse(first.advice, "PLM301: does not divide")
    # Started anew in between: the same question has the same answer.
    second = make(tmp_path, SweepConfig(sampler="qmc"), [SHARE]).propose(2)
    assert second.values != first.values
    assert trials(advisor)[first.advice].user_attrs == {"cell": 2, "refused": "PLM301: does not divide"}
    advisor.refuse(second.advice, "again")
    for _ in range(REFUSALS - 2):
        advisor.refuse(advisor.propose(2).advice, "again")
    with pytest.raises(RefusedError, match=f"{REFUSALS} proposals for cell 2 cannot run; the last: again"):
        advisor.propose(2)
    assert set(ledger.rows) == {0, 1}


def test_a_grid_has_given_values_and_each_row_one_trial(tmp_path):
    advisor = make(tmp_path, SweepConfig(), [RANK, ORDER])
    row = Row(3, {"rank": 8, "order": None}, ("rank", "order"))
    advice = advisor.enqueue(row)
    known = dataclasses.replace(row, advice=advice, state="running")
    assert advisor.enqueue(known) == advice
    assert trials(advisor)[advice].params == {"rank": 8, "order": "null"}
    failed = dataclasses.replace(known, state="failed", reason="port in use", cause="port")
    advisor.tell(failed)
    # `sweep retry`: the same values again.
    again = advisor.enqueue(dataclasses.replace(failed, state="waiting"))
    assert again != advice
    assert trials(advisor)[again].state is TrialState.RUNNING


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"rank": 64, "order": None}, "rank has no value 64"),
        ({"rank": 20, "order": None}, "rank has no value 20"),
        ({"rank": 8, "order": ["z"]}, "order has no value"),
        ({"rank": 8}, "no value of order"),
    ],
)
def test_values_outside_of_the_space_are_refused(tmp_path, values, words):
    """Optuna would use them, with a warning."""
    advisor = make(tmp_path, SweepConfig(), [RANK, ORDER])
    with pytest.raises(RefusedError, match=words):
        advisor.enqueue(Row(0, values, ("rank", "order")))
    assert trials(advisor) == []


def test_a_trial_that_no_row_knows_of_has_failed(tmp_path):
    advisor = make(tmp_path, SweepConfig(sampler="random"))
    advice = advisor.propose(0).advice
    advisor.reconcile({})
    assert trials(advisor)[advice].state is TrialState.FAIL


def test_an_end_that_optuna_missed_is_told_later(tmp_path):
    advisor, ledger = make(tmp_path, SweepConfig(sampler="random")), MemoryLedger()
    row = started(ledger, advisor, 0)
    # Killed between the row and Optuna.
    rows = {0: dataclasses.replace(row, state="complete", objectives=(0.5,))}
    advisor.reconcile(rows)
    assert trials(advisor)[0].value == 0.5
    advisor.reconcile(rows)
    advisor.tell(rows[0])
    assert len(trials(advisor)) == 1


def test_a_lost_journal_is_written_anew_from_the_rows(tmp_path):
    sweep = SweepConfig(sampler="tpe", tpe=TpeConfig(startup_trials=3))
    advisor = make(tmp_path, sweep)
    ledger = studied(advisor, score, 3)
    advisor.refuse(advisor.propose(3).advice, "cannot run")
    ledger = studied(advisor, score, 5, ledger)
    (tmp_path / "study.journal").unlink()
    anew = make(tmp_path, sweep)
    anew.reconcile(ledger.rows)
    found = trials(anew)
    assert [found[row.advice].value for row in ledger.rows.values()] == [
        pytest.approx(row.objectives[0]) for row in ledger.rows.values()
    ]
    assert found[3].state is TrialState.FAIL


def test_a_line_that_was_torn_by_a_kill_is_dropped(tmp_path):
    advisor = make(tmp_path, SweepConfig(sampler="random"))
    ledger = studied(advisor, score, 2)
    journal = tmp_path / "study.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":4,"wor')
    # The one that is there already, and one that begins, read on.
    assert len(studied(advisor, score, 3, ledger).rows) == 3
    journal.write_bytes(journal.read_bytes() + b'{"op_')
    assert len(studied(make(tmp_path, SweepConfig(sampler="random")), score, 4, ledger).rows) == 4


def test_several_objectives(tmp_path):
    goals = [ObjectiveConfig(), ObjectiveConfig(metric="time/step", direction="minimize")]
    sweep = SweepConfig(sampler="nsga2", objectives=goals, nsga2=NsgaiiConfig(population_size=4))
    advisor = make(tmp_path, sweep, [SHARE])
    ledger = studied(advisor, lambda values: (values["share"], values["share"] ** 2), 12)
    # Optuna raises NotImplementedError for values of steps here.
    assert advisor.report(ledger.rows[11].advice, 1, 0.5) is False
    study = optuna.load_study(study_name="study", storage=advisor._storage)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert all(len(trial.values) == 2 for trial in study.trials)


@pytest.mark.parametrize(
    ("objectives", "reason"),
    [
        ((math.nan,), "the objective val/success_rate is nan"),
        ((math.inf,), "the objective val/success_rate is inf"),
        ((1.0, 2.0), "objectives: 1 are asked for, 2 were measured"),
    ],
)
def test_an_objective_that_is_no_number_fails_the_trial_and_the_study_goes_on(tmp_path, objectives, reason):
    advisor = make(tmp_path, SweepConfig(sampler="tpe"))
    ledger = studied(advisor, lambda values: objectives, 1)
    studied(advisor, score, 2, ledger)
    found = trials(advisor)
    assert found[0].state is TrialState.FAIL
    assert found[0].user_attrs["reason"] == reason
    assert found[1].state is TrialState.COMPLETE


def test_a_study_of_another_space_is_refused(tmp_path):
    """Optuna raises ValueError in the middle of a study, or mixes them up."""
    studied(make(tmp_path, SweepConfig(sampler="random"), [ORDER]), lambda values: (0.0,), 2)
    more = dataclasses.replace(ORDER, values=(["a"], ["b"]))
    with pytest.raises(RefusedError, match="another space: order was") as caught:
        make(tmp_path, SweepConfig(sampler="random"), [more])
    assert "--extend" in caught.value.help
    down = SweepConfig(sampler="random", objectives=[ObjectiveConfig(direction="minimize")])
    with pytest.raises(RefusedError, match="objectives are to maximize, and the file says minimize"):
        make(tmp_path, down, [ORDER])


def test_whole_numbers_do_not_become_others_in_a_study(tmp_path):
    whole = Axis(("x",), (1, 2, 3), 2, kind="int", low=1, high=3)
    studied(make(tmp_path, SweepConfig(sampler="random"), [whole]), lambda values: (0.0,), 2)
    other = Axis(("x",), None, 2.0, kind="float", low=1.0, high=3.0)
    with pytest.raises(RefusedError, match=r"x was IntDistribution.*, and is FloatDistribution"):
        make(tmp_path, SweepConfig(sampler="random"), [other])


@pytest.mark.parametrize("count", [1, 6, 8])
def test_cells_that_run_once_more_teach_what_they_did_before(tmp_path, count):
    """Optuna's sampler crashes where a generation has no complete parent left."""
    advisor = make(tmp_path, SweepConfig(sampler="nsga2", nsga2=NsgaiiConfig(population_size=2)), [SHARE])
    ledger = studied(advisor, lambda values: (values["share"],), 8)
    expected = advisor.propose(8)
    advisor.reconcile(ledger.rows)
    for number in range(count):
        again = dataclasses.replace(ledger.rows[number], state="waiting", objectives=None)
        ledger.rows[number] = dataclasses.replace(again, state="running", advice=advisor.enqueue(again))
    assert advisor.propose(8).values == expected.values


def test_a_study_is_rebuilt_over_a_new_space(tmp_path):
    sweep = SweepConfig(sampler="nsga2", nsga2=NsgaiiConfig(population_size=2))
    advisor = make(tmp_path, sweep, [RANK, SHARE])
    ledger = studied(advisor, lambda values: (values["share"],), 6)
    advisor.report(started(ledger, advisor, 6).advice, 5, 0.25)
    fewer = dataclasses.replace(RANK, values=(8, 16), high=16)
    anew = make(tmp_path, sweep, [fewer, SHARE], name="study@2")
    numbers = anew.rebuild(ledger.rows, advisor._trials())
    kept = [n for n, row in ledger.rows.items() if row.values["rank"] <= 16]
    assert sorted(numbers) == kept
    # A worker that was killed before it had noted the numbers: the next one finds the same trials.
    assert anew.rebuild(ledger.rows, advisor._trials()) == numbers
    assert len(trials(anew)) == len(kept)
    found = trials(anew)
    assert [found[numbers[n]].user_attrs["cell"] for n in kept] == kept
    if 6 in kept:
        assert found[numbers[6]].intermediate_values == {5: 0.25}
    rows = {n: dataclasses.replace(row, advice=numbers.get(n)) for n, row in ledger.rows.items()}
    anew.reconcile(rows)
    proposal = anew.propose(7)
    assert proposal.values["rank"] in (8, 16)
