"""`sweep plan`: the cells and what differs in them, before anything is started."""

import json
from pathlib import Path

import pytest

from pettingllms.cli.app import run

TWO_AGENTS = Path(__file__).parents[1] / "cases/valid/two_agents.toml"
SWEPT = """defaults = ["two_agents", "_self_"]
lora_rank = { sweep = "int", low = 8, high = 32, step = 8, default = 16 }
lora_alpha = "${mul:${lora_rank},2}"

[training]
train_batch_size = { sweep = "choice", values = [4, 0], default = 4 }

[sweep]
constraints = ["lora_rank != 24"]

[sweep.space]
"training.val_freq" = { sweep = "choice", values = [5, 7], default = 5, when = "lora_rank > 16" }
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "swept.toml"
    (tmp_path / TWO_AGENTS.name).write_text(TWO_AGENTS.read_text())
    path.write_text(SWEPT)
    return path


def planned(capsys, *words):
    code = run(["sweep", "plan", "--json", *map(str, words)])
    return code, json.loads(capsys.readouterr().out)


def test_cells_are_numbered_in_file_order_with_the_last_axis_fastest(file, capsys):
    code, plan = planned(capsys, file)
    assert code == 1
    assert [cell["number"] for cell in plan["cells"]] == list(range(12))
    values = [tuple(cell["values"].values()) for cell in plan["cells"]]
    # Below rank 16 the third axis is not swept, so that there is one cell for both of its values.
    assert values[:4] == [(8, 4), (8, 0), (16, 4), (16, 0)]
    assert values[8:] == [(32, 4, 5), (32, 4, 7), (32, 0, 5), (32, 0, 7)]


def test_what_follows_by_reference_is_shown_beside_what_is_swept(file, capsys):
    _, plan = planned(capsys, file)
    of_32 = [cell for cell in plan["cells"] if cell["values"]["lora_rank"] == 32]
    assert {cell["derived"]["lora_alpha"] for cell in of_32} == {64}


def test_impossible_and_excluded_cells_say_why(file, capsys):
    _, plan = planned(capsys, file)
    states = {cell["number"]: cell["state"] for cell in plan["cells"]}
    assert (plan["runs"], plan["impossible"], plan["excluded"]) == (4, 4, 4)
    assert states[0] == "runs"
    assert states[1] == "impossible"
    assert states[4] == "excluded"
    (why,) = plan["cells"][1]["why"]
    assert why["code"] == "PLM006"
    assert why["message"] == "training.train_batch_size = 0 must be at least 1"


def test_the_table_names_the_objective_and_counts(file, capsys):
    assert run(["sweep", "plan", str(file)]) == 1
    printed = capsys.readouterr()
    assert "grid, maximize val/success_rate" in printed.out
    assert "4 of 12 cells impossible:" in printed.out
    assert "  4 by PLM006: training.train_batch_size = 0 must be at least 1" in printed.out
    assert "4 of 12 cells excluded by a constraint" in printed.out
    assert "in 4 of 8 cells: training.train_batch_size=0" in printed.err


def test_impossible_cells_may_be_dropped(file, capsys):
    code, plan = planned(capsys, file, "--drop-invalid")
    assert code == 0
    assert plan["runs"] == 4


def test_an_override_fixes_an_axis_and_the_plan_says_so(file, capsys):
    code, plan = planned(capsys, file, "training.train_batch_size=4", "training.val_freq=6")
    assert code == 0
    assert plan["fixed"] == ["training.train_batch_size", "training.val_freq"]
    assert [cell["values"] for cell in plan["cells"]] == [{"lora_rank": rank} for rank in (8, 16, 24, 32)]


def test_a_file_without_axes_is_a_plan_of_one_cell(capsys):
    code, plan = planned(capsys, TWO_AGENTS)
    assert (code, plan["runs"]) == (0, 1)
    assert plan["cells"][0]["values"] == {}


def test_a_file_that_cannot_be_read_has_no_plan(tmp_path, capsys):
    assert run(["sweep", "plan", str(tmp_path / "nowhere.toml")]) == 2
    assert capsys.readouterr().out == ""


def test_what_holds_in_all_cells_makes_all_of_them_impossible(file, capsys):
    code, plan = planned(capsys, file, "training.total_training_steps=x", "training.train_batch_size=4")
    assert code == 1
    assert {cell["state"] for cell in plan["cells"]} == {"impossible", "excluded"}
    assert all(cell["why"] == [] for cell in plan["cells"] if cell["state"] == "excluded")


def test_what_this_version_cannot_do_does_not_run(file, capsys):
    _, plan = planned(capsys, file, "resource.nnodes=2", "training.train_batch_size=4")
    assert plan["runs"] == 0
    assert {why["code"] for cell in plan["cells"] for why in cell["why"]} >= {"PLM007"}


def test_a_space_without_cells_has_only_excluded_ones(file, capsys):
    file.write_text(file.read_text().replace("lora_rank != 24", "lora_rank > 99"))
    code, plan = planned(capsys, file, "training.train_batch_size=4")
    assert code == 1
    numbers = [cell["number"] for cell in plan["cells"]]
    assert numbers == sorted(set(numbers))
    assert {cell["state"] for cell in plan["cells"]} == {"excluded"}


def test_swept_secrets_are_not_shown(file, capsys, monkeypatch):
    monkeypatch.setenv("PLAN_SECRET", "hidden-in-the-environment")
    axis = (
        'options.api_key = { sweep = "choice", values = ["key-one-two", "key-three"], default = "key-three" }'
    )
    axis += '\noptions.note = "${oc.env:PLAN_SECRET}"\n'
    file.write_text(file.read_text() + f"\n[env]\n{axis}")
    for words in ([], ["--json"]):
        run(["sweep", "plan", str(file), *words])
        text = "".join(capsys.readouterr())
        assert "key-one-two" not in text
        assert "hidden-in-the-environment" not in text
