"""`sweep plan`: the cells and what differs in them, before anything is started."""

import json
from pathlib import Path

import pytest
from planned_runs import write_run

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


def test_every_cell_that_runs_is_estimated_and_says_how_it_starts(file, capsys):
    _, plan = planned(capsys, file)
    one, other = plan["cells"][:2]
    assert other["estimate"] is other["launch"] is None
    assert one["estimate"]["seconds"] == {
        **dict.fromkeys(("expected", "least", "most", "parts")),
        "by": [],
        "unknown": "no finished run to go by",
    }
    # 100 steps of 4 tasks with 8 candidates, 21 validations of 64 tasks and 2 tests of 128; 4 turns of 256
    # tokens each.
    assert one["estimate"]["tokens"]["at_most"] == (100 * 4 * 8 + 21 * 64 + 2 * 128) * 4 * 256
    argv = one["launch"]["argv"]
    assert argv[argv.index("--main_process_port") + 1] == "<free port>"
    assert argv[-1].endswith("outputs/experiment/trial_0000")
    assert one["launch"]["gpu_map"][0]["engines"] == [["tool_generator_model", "reasoning_generator_model"]]
    assert plan["total"] is None
    assert plan["total_unknown"].startswith("time not known of 4 of 4 cells")


def test_finished_runs_give_times_and_a_total(file, tmp_path, capsys):
    assert run(["show", "--resolved", str(TWO_AGENTS)]) == 0
    write_run(tmp_path / "runs" / "trial_0000", capsys.readouterr().out)
    words = ["--from", tmp_path / "runs", "--jobs", "2", "training.train_batch_size=4"]
    code, plan = planned(capsys, file, *words)
    assert (code, plan["total"]["trials"]) == (0, 4)
    assert plan["total"]["hours"] > 0
    assert run(["sweep", "plan", str(file), *map(str, words)]) == 0
    printed = capsys.readouterr().out
    assert "total: 4 trials, 2 at a time: " in printed
    assert f"by 1 finished runs: {tmp_path / 'runs'}" in printed


def test_a_model_that_is_not_here_has_no_sizes(file, capsys):
    words = [str(file), "base_models.policy_0.path=some/model", "--cell", "0"]
    assert run(["sweep", "plan", *words]) == 1
    printed = capsys.readouterr().out
    assert "memory  ?: the size of some/model is not known: it is no local folder" in printed
    assert "disk    ?: the size of some/model is not known" in printed


def test_one_cell_is_shown_whole(file, capsys):
    assert run(["sweep", "plan", str(file), "--cell", "8"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "cell 8: runs"
    assert "  lora_rank = 32" in lines
    assert "  lora_alpha = 64, which follows" in lines
    assert run(["sweep", "plan", str(file), "--cell", "1"]) == 1
    assert "  PLM006: training.train_batch_size = 0 must be at least 1" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--cell", "99"], ["--from", "nowhere"], ["--assume", "gpus"]])
def test_what_is_not_there_is_a_usage_error(file, words, capsys):
    assert run(["sweep", "plan", str(file), *words]) == 2
    assert capsys.readouterr().err.rstrip().rpartition("\n")[2].startswith("help: ")


def test_plan_says_what_train_would_start(capsys):
    assert run(["plan", str(TWO_AGENTS)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("tokens  100 steps x 32 tasks x 8 candidates x (2 x 256 tool_generator + ")
    assert (
        "process 0: trainer and engine of tool_generator_model, reasoning_generator_model on CPU" in printed
    )
    assert run(["plan", str(TWO_AGENTS), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["launch"]["environment"]["VLLM_NO_USAGE_STATS"] == "1"
    assert set(plan["formulas"]) == {"tokens", "seconds", "memory", "disk", "total"}


def test_plan_refuses_what_train_refuses(capsys):
    assert run(["plan", str(TWO_AGENTS), "training.train_batch_size=0"]) == 1
    assert capsys.readouterr().out == ""
