"""Which study an experiment goes on with: its name, its lock, and what becomes of its cells."""

import os
from dataclasses import replace

import pytest

from pettingllms.config.axes import Axis
from pettingllms.config.study_lock import StudyLock, changes
from pettingllms.config.sweep import SweepConfig
from pettingllms.errors import RefusedError, StudyError
from pettingllms.lint.engine import check_experiment
from pettingllms.sweep.ledger.rows import Row
from pettingllms.sweep.ledger.storage import ChangedTable
from pettingllms.sweep.study.header import OBJECTIVES, Wanted, extend
from pettingllms.sweep.study.named import newest_study, open_or_create, study_base, study_in
from pettingllms.sweep.study.shelves import place_of, with_folder

EXPERIMENT = """
format = 1
specialization = "lora"
lora_rank = {{ sweep = "choice", values = {ranks}, default = 8 }}
lora_alpha = "${{mul:${{lora_rank}},2}}"

[env]
name = "math_env"
dataset = "builtin:arithmetic"
max_turns = 1

[base_models.policy_0]
path = "builtin:smollm2-135m-instruct"
name = "shared"

[agent_policy_configs]
num_agents = 1

[agent_policy_configs.agent_configs.agent_0]
name = "reasoning_generator"
policy_name = "shared"

[multi_agent_interaction]
turn_order = ["reasoning_generator"]

[training]
experiment_name = "my demo"
device = "cpu"
max_prompt_length = 128
total_training_steps = {steps}
train_batch_size = {{ sweep = "choice", values = [2, 4], default = 2 }}
save_freq = {save}

[sweep]
{sweep}
"""


@pytest.fixture
def opened(tmp_path):
    """Open the study of an experiment in `tmp_path`."""

    def open_it(ranks="[8, 16]", steps=4, save=2, sweep="", overrides=(), **options):
        file = tmp_path / "e.toml"
        file.write_text(EXPERIMENT.format(ranks=ranks, steps=steps, save=save, sweep=sweep))
        checked = check_experiment(file, overrides)
        assert not checked.refused, checked.diagnostics
        return open_or_create(checked, output=tmp_path / "out", **options)

    return open_it


def end(study, number, **fields):
    with study.ledger.transaction() as table:
        fields = {"state": "complete", "objectives": (0.5,), "advice": number, **fields}
        table.put(replace(table.rows[number], **fields))


def test_a_new_study_has_a_row_for_each_cell(opened, tmp_path):
    study = opened()
    assert (study.name, study.folder, study.created) == ("my_demo", tmp_path / "out" / "my_demo", True)
    assert (study.advice_name, study.needs_advice, study.notes) == ("my_demo", False, ())
    rows = study.ledger.read().rows
    values = {
        n: (row.values["lora_rank"], row.values["training.train_batch_size"]) for n, row in rows.items()
    }
    assert values == {0: (8, 2), 1: (8, 4), 2: (16, 2), 3: (16, 4)}
    assert {row.active for row in rows.values()} == {("lora_rank", "training.train_batch_size")}
    assert (study.folder / "experiment.toml").read_text() == (tmp_path / "e.toml").read_text()
    header = study.ledger.read().header
    assert header["source"] == str(tmp_path / "e.toml") and header["sweep"]["sampler"] == "grid"


def test_the_newest_study_of_the_name_goes_on(opened, tmp_path):
    first = opened()
    end(first, 0)
    again = opened()
    assert (again.folder, again.created) == (first.folder, False)
    assert again.ledger.read().rows[0].state == "complete"
    (tmp_path / "out" / "my_demo-3").mkdir()
    (tmp_path / "out" / "my_demo-extra").mkdir()
    other = opened(new_study=True)
    assert (other.name, other.folder.name) == ("my_demo-4", "my_demo-4")
    assert opened().folder == other.folder
    assert newest_study("my_demo", tmp_path / "out").folder == other.folder


def test_a_folder_that_is_no_study_is_left_alone(opened, tmp_path):
    (tmp_path / "out" / "my_demo").mkdir(parents=True)
    assert opened().folder.name == "my_demo-2"


def test_the_study_of_another_experiment_is_not_gone_on_with(opened, tmp_path):
    study = opened()
    with study.ledger.transaction() as table:
        table.set_header({**table.header, "experiment": "other"})
    assert opened().name == "my_demo-2"


def test_what_decides_nothing_may_change(opened):
    opened()
    assert opened(save=1, overrides=["training.logger=[console]"]).notes == ()


def test_another_space_is_refused_key_by_key(opened):
    study = opened()
    with pytest.raises(RefusedError) as error:
        opened(ranks="[8, 32]", steps=6, sweep='constraints = ["lora_rank > 1"]')
    assert str(error.value).splitlines() == [
        "study my_demo has another space and other settings than the file:",
        "  lora_rank values: [8, 16] -> [8, 32]",
        '  [sweep] constraints: not set -> ["lora_rank > 1"]',
        "  training.total_training_steps: 4 -> 6",
    ]
    assert "--new-study" in error.value.help and "--extend" in error.value.help
    assert study.ledger.read().header["revision"] == 1


def test_other_objectives_need_another_study(opened):
    opened()
    other = 'objectives = [{ metric = "val/success_rate", direction = "minimize" }]'
    for may_extend in (False, True):
        with pytest.raises(RefusedError, match=r"\[sweep\] objectives") as error:
            opened(sweep=other, may_extend=may_extend)
        assert error.value.help == "--new-study starts another study"
    assert opened(sweep=other, new_study=True).name == "my_demo-2"


def test_an_extended_study_keeps_what_has_ended(opened):
    study = opened()
    end(study, 0)
    end(study, 1, state="failed", objectives=None, reason="no")
    end(study, 2)
    extended = opened(ranks="[8, 32]", steps=6, may_extend=True)
    rows = extended.ledger.read().rows
    seen = {n: (*row.values.values(), row.state, row.outside, row.advice) for n, row in rows.items()}
    assert seen == {
        0: (8, 2, "complete", False, None),
        1: (8, 4, "failed", False, None),
        2: (16, 2, "complete", True, None),
        4: (32, 2, "waiting", False, None),
        5: (32, 4, "waiting", False, None),
    }
    assert extended.notes == (
        "cells that have ended ran under another value: training.total_training_steps: 4 -> 6",
        "new cells: 2",
        "1 cells that had not ended are not in the space any more",
        "1 cells that have ended are not in the space any more, and stay",
    )
    assert (extended.advice_name, extended.former_advice_name) == ("my_demo@2", "my_demo")
    assert extended.needs_advice
    with extended.ledger.transaction() as table:
        extended.require_same(table)
        with pytest.raises(RefusedError, match="was extended meanwhile"):
            study.require_same(table)
        extended.set_advice(table, {0: 0, 1: 1})
    assert [row.advice for row in extended.ledger.read().rows.values()] == [0, 1, None, None, None]
    assert not opened(ranks="[8, 32]", steps=6).needs_advice
    back = opened(may_extend=True).ledger.read().rows
    assert {n: (row.state, row.outside) for n, row in back.items()} == {
        0: ("complete", False),
        1: ("failed", False),
        2: ("complete", False),
        6: ("waiting", False),
    }


def test_a_study_is_not_extended_while_cells_run(opened):
    study = opened()
    end(study, 3, state="running", objectives=None, lease_until=9e12)
    with pytest.raises(RefusedError, match="while cells run: 3"):
        opened(ranks="[8]", may_extend=True)


def test_a_worker_needs_a_study(opened, tmp_path):
    with pytest.raises(StudyError, match="there is no study my_demo below"):
        opened(create=False)
    study = opened()
    assert opened(create=False).folder == study.folder


def test_values_of_the_environment_are_no_part_of_the_lock(opened, monkeypatch, tmp_path):
    model = "base_models.policy_0.path=${oc.env:THE_MODEL}"
    monkeypatch.setenv("THE_MODEL", "builtin:smollm2-135m-instruct")
    study = opened(overrides=[model])
    rest = study.ledger.read().header["lock"]["rest"]
    assert rest["base_models.policy_0.path"] == "${oc.env:THE_MODEL}"
    assert rest["lora_alpha"] == "${mul:${lora_rank},2}" and "training.save_freq" not in rest


def test_a_study_in_a_database_has_a_folder_on_each_machine(opened, tmp_path):
    (tmp_path / "out" / "my_demo").mkdir(parents=True)
    url = f"sqlite:///{tmp_path / 'x.db'}"
    study = opened(storage=url)
    assert (study.name, study.folder.name) == ("my_demo", "my_demo-2")
    assert study.database.url == url
    end(study, 0)
    for found in (
        opened(storage=url),
        study_in(study.folder),
        newest_study("my_demo", tmp_path / "out", url),
    ):
        assert (found.name, found.folder) == (study.name, study.folder)
        assert found.ledger.read().rows[0].state == "complete"
    assert opened(storage=url, new_study=True).name == "my_demo-2"
    elsewhere = newest_study("my_demo", tmp_path / "else", url)
    assert elsewhere.folder == tmp_path / "else" / "my_demo-2" and not elsewhere.folder.exists()
    (tmp_path / "else").mkdir()
    made = with_folder(elsewhere, {})
    assert made.folder == elsewhere.folder and study_in(made.folder).name == "my_demo-2"
    with pytest.raises(StudyError, match="there is no study other in sqlite"):
        newest_study("other", tmp_path / "out", url)


def test_a_damaged_pointer_is_said(tmp_path):
    (tmp_path / "storage.json").write_text("{")
    with pytest.raises(StudyError, match=r"storage\.json cannot be read"):
        study_in(tmp_path)


def test_a_header_that_says_nothing_is_damaged(opened):
    study = opened()
    with study.ledger.transaction() as table:
        table.set_header({"experiment": "my_demo"})
    with pytest.raises(StudyError, match="header of the study is damaged"):
        opened()


@pytest.mark.skipif(os.getuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_said_before_anything(opened, tmp_path):
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(RefusedError, match="cannot be written"):
        opened()


def test_names_fit_folders():
    assert [study_base(name) for name in ("a b/c", "..", "", "é-1")] == ["a_b_c", "study", "study", "é-1"]
    names = ("a", "a-2", "a-12", "a-1", "a-02", "a-x", "b")
    assert [place_of(name, "a") for name in names] == [1, 2, 12, 0, 0, 0, 0]


def wanted(axes, sampler="random"):
    sweep = SweepConfig(sampler=sampler)
    space = {axis.path[0]: [axis.low, axis.high] for axis in axes} | {"[sweep] sampler": sampler}
    return Wanted(StudyLock(space, {}), sweep, axes, (), {"sweep": {}})


def test_a_sampled_study_keeps_rows_that_its_axes_have():
    lr = Axis(("lr",), None, 0.5, kind="float", low=0.0, high=1.0)
    n = Axis(("n",), (2, 4, 6), 2, kind="int", low=2, high=6, step=2)
    kind = Axis(("kind",), ([1], [2]), [1])
    asked = wanted((lr, n, kind))
    values = [
        {"lr": 0.3, "n": 4, "kind": [2]},
        {"lr": 1.3, "n": 4, "kind": [2]},
        {"lr": 0.3, "n": 5, "kind": [2]},
        {"lr": 0.3, "n": 4, "kind": [3]},
        {"lr": 0.3, "n": 4},
    ]
    ended = [Row(i, one, state="pruned", reason="late") for i, one in enumerate(values)]
    waiting = [Row(i, one) for i, one in enumerate(values, start=5)]
    header = {"lock": {"space": {"[sweep] sampler": "random"}, "rest": {}}, "revision": 3}
    table = ChangedTable(header, {row.number: row for row in [*ended, *waiting]})
    extend(table, asked, 0.0)
    assert {number: row.outside for number, row in table.rows.items()} == {
        0: False,
        **dict.fromkeys((1, 2, 3, 4), True),
        5: False,
    }
    assert table.header["revision"] == 4


def test_cells_of_a_grid_that_did_not_run_are_no_trials_of_a_sampler():
    lr = Axis(("lr",), None, 0.5, kind="float", low=0.0, high=1.0)
    header = {"lock": {"space": {"[sweep] sampler": "grid"}, "rest": {}}}
    table = ChangedTable(header, {0: Row(0, {"lr": 0.1}), 1: Row(1, {"lr": 0.2}, state="pruned")})
    extend(table, wanted((lr,), "tpe"), 0.0)
    assert list(table.rows) == [1]


def test_changes_are_named_by_their_keys():
    before = {"a": {"low": 1, "log": True}, "b": [1], "c": 1}
    after = {"a": {"low": 2}, "b": [1], "c": 1.0, OBJECTIVES: [2]}
    assert [str(change) for change in changes(before, after)] == [
        "a low: 1 -> 2",
        "a log: true -> not set",
        "c: 1 -> 1.0",
        "[sweep] objectives: not set -> [2]",
    ]
