"""`sweep status`, `retry`, `best`, `export`: a study is read while others write it; faults are one line."""

import csv
import io
import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from pettingllms.cli.app import run
from pettingllms.config.trial_file import trial_toml
from pettingllms.lint.engine import check_experiment, checked_cells
from pettingllms.sweep.ledger.file_lock import FileLock
from pettingllms.sweep.ledger.in_folder import LEDGER, LOCK
from pettingllms.sweep.study.named import open_or_create

EXPERIMENT = """\
# My team.
format = 1
specialization = "lora"
lora_rank = { sweep = "choice", values = [8, 16], default = 8 }  # how wide
lora_alpha = "${mul:${lora_rank},2}"

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
experiment_name = "demo"
device = "cpu"
max_prompt_length = 128
total_training_steps = 4
val_freq = 2
# Rows of a step.
train_batch_size = 4

[models.model_0.ppo_trainer_config.actor_rollout_ref.actor.optim]
lr = { sweep = "float", low = 1e-5, high = 1e-3, log = true, points = 3, default = 1e-4 }

# Which to try.
[sweep]
"""
LR = "models.model_0.ppo_trainer_config.actor_rollout_ref.actor.optim.lr"
SCORES = {0: 0.25, 1: 0.5, 2: 0.75, 4: 0.875}


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "e.toml"
    path.write_text(EXPERIMENT)
    return path


@pytest.fixture
def make(file, tmp_path):
    """A study in which some trials have ended."""

    def make_it(runs=True, overrides=(), overlays=(), storage=None):
        checked = check_experiment(file, overrides, overlays=overlays)
        assert not checked.refused, checked.diagnostics
        study = open_or_create(checked, output=tmp_path / "outputs", overlays=overlays, storage=storage)
        cells = {cell.number: cell for cell in checked_cells(checked)}
        with study.ledger.transaction() as table:
            for number, score in SCORES.items():
                metrics = {"val/success_rate": score, "time/step": float(number), "x": float("nan")}
                folder = study.folder / f"trial_{number:04d}"
                end = {"state": "complete", "objectives": (score,), "metrics": metrics, "seconds": 2.0}
                end |= {"attempt": 1, "folder": str(folder), "step": 4, "total_steps": 4}
                table.put(replace(table.rows[number], **end))
                if runs:
                    folder.mkdir()
                    (folder / "resolved.toml").write_text(trial_toml(cells[number].stored))
            failed = {"state": "failed", "reason": "CUDA out of memory\nmore", "cause": "oom", "attempt": 3}
            table.put(replace(table.rows[3], **failed))
            late = {"state": "running", "worker": "host:1", "lease_until": 5.0, "attempt": 1}
            table.put(replace(table.rows[5], **late))
        return study

    return make_it


def test_status_shows_every_cell_while_the_study_is_held(make, file, capsys):
    study = make()
    with FileLock(study.folder / LOCK):
        for named in (str(file), str(study.folder), "e"):
            assert run(["sweep", "status", named]) == 0
            text = capsys.readouterr().out
            assert "1 running, 4 complete, 1 failed; 6 planned" in text
            assert "best so far: trial 4 with val/success_rate = 0.875" in text
            assert "left by their workers: 5" in text
            assert "CUDA out of memory" in text and "more" not in text
    assert run(["sweep", "status", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["study"], told["best"], told["planned"], told["sampler"]) == ("demo", 4, 6, "grid")
    assert told["counts"] == {"waiting": 0, "running": 1, "complete": 4, "pruned": 0, "failed": 1}
    assert [cell["stale"] for cell in told["cells"]] == [False] * 5 + [True]
    assert told["cells"][4]["metrics"] == {"val/success_rate": 0.875, "time/step": 4.0, "x": None}


def test_retry_lets_failed_cells_wait(make, file, capsys):
    study = make()
    assert run(["sweep", "retry", str(file)]) == 0
    assert capsys.readouterr().out.startswith("waiting again: 3;")
    row = study.ledger.read().rows[3]
    assert (row.state, row.reason, row.attempt) == ("waiting", None, 3)
    assert run(["sweep", "retry", str(file)]) == 0
    assert capsys.readouterr().out == "study demo has no failed cells\n"
    assert run(["sweep", "retry", str(file), "--cell", "0", "--cell", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"study": "demo", "waiting": [0, 1]}
    assert run(["sweep", "retry", str(file), "--cell", "5"]) == 1
    assert "cell 5 is running" in capsys.readouterr().err
    assert run(["sweep", "retry", str(file), "--cell", "66"]) == 2
    assert "no cell 66" in capsys.readouterr().err


def test_best_is_written_as_the_source_with_its_values_in_place(make, file, tmp_path, capsys):
    make()
    assert run(["sweep", "best", str(file), "--as", "new.toml"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("trial 4 with val/success_rate = 0.875\n  lora_rank = 16\n") and err == ""
    text = (tmp_path / "new.toml").read_text()
    expected = EXPERIMENT.replace('{ sweep = "choice", values = [8, 16], default = 8 }', "16")
    axis = '{ sweep = "float", low = 1e-5, high = 1e-3, log = true, points = 3, default = 1e-4 }'
    expected = expected.replace(axis, "0.0001").replace("[sweep]\n", "")
    assert text.strip().splitlines() == expected.strip().splitlines()
    assert run(["lint", "new.toml"]) == 0
    before = check_experiment(file, ["lora_rank=16"]).experiment.config
    after = check_experiment(tmp_path / "new.toml").experiment.config
    assert after.model_dump(exclude={"sweep"}) == before.model_dump(exclude={"sweep"})
    assert after.sweep is None
    capsys.readouterr()
    assert run(["sweep", "best", str(file), "--as", "new.toml"]) == 1
    assert "exists already" in capsys.readouterr().err
    assert run(["sweep", "best", str(file), "--as", "new.toml", "--force", "--trial", "0", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [trial["number"] for trial in told["trials"]] == [0]
    assert "lora_rank = 8" in (tmp_path / "new.toml").read_text()


def test_best_holds_what_overlays_and_overrides_set(make, tmp_path, capsys):
    overlay = tmp_path / "over.toml"
    overlay.write_text("[training]\nseed = 7\n")
    study = make(overrides=["training.train_batch_size=2", "training.save_freq=3"], overlays=[overlay])
    overlay.unlink()
    assert run(["sweep", "best", str(study.folder), "--as", "new.toml"]) == 0
    config = check_experiment(tmp_path / "new.toml").experiment.config
    assert (config.training.seed, config.training.train_batch_size, config.lora_rank) == (7, 2, 16)
    text = (tmp_path / "new.toml").read_text()
    assert "# Rows of a step.\ntrain_batch_size = 2" in text and "# how wide" in text


def test_best_without_its_run_is_as_the_source_gives_it_now(make, file, tmp_path, capsys):
    make(runs=False)
    assert run(["sweep", "best", str(file), "--as", "new.toml"]) == 0
    assert "the run of trial 4 is not here" in capsys.readouterr().err
    assert check_experiment(tmp_path / "new.toml").experiment.config.lora_rank == 16


def test_best_finds_runs_of_a_study_that_was_moved(make, tmp_path, capsys):
    study = make()
    moved = study.folder.rename(tmp_path / "moved")
    assert run(["sweep", "best", str(moved), "--as", "new.toml"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("form", ["included", "space", "elsewhere"])
def test_best_of_a_composed_experiment(make, file, tmp_path, form, capsys, monkeypatch):
    axis = 'lora_rank = { sweep = "choice", values = [8, 16], default = 8 }'
    base = file.read_text()
    if form == "space":
        base = base.replace(f"{axis}  # how wide", "lora_rank = 8")
    (tmp_path / "base.toml").write_text(base)
    space = f"[sweep.space]\n{axis}\n" if form == "space" else ""
    name = "# Mine.\n[training]\ntotal_training_steps = 6\n"
    file.write_text(f'defaults = ["base", "_self_"]\n{name}{space}')
    study = make()
    won = study.ledger.read().rows[4].values
    (tmp_path / "sub").mkdir()
    if form == "elsewhere":
        monkeypatch.chdir("sub")
    assert run(["sweep", "best", str(study.folder), "--as", "new.toml"]) == 0
    target = tmp_path / ("sub/new.toml" if form == "elsewhere" else "new.toml")
    said = capsys.readouterr().err
    text = target.read_text()
    assert ("# Mine." in text) == (form != "elsewhere") == (said == "")
    assert run(["lint", str(target)]) == 0
    checked = check_experiment(target)
    assert not checked.draft.axes
    config = checked.experiment.config
    assert (config.lora_rank, config.training.total_training_steps) == (won["lora_rank"], 6)
    assert config.lora_alpha == 2 * won["lora_rank"]
    optim = config.models["model_0"].ppo_trainer_config.actor_rollout_ref.actor.optim
    assert optim.lr == won[LR]


def test_best_as_yaml_keeps_comments(make, file, tmp_path, capsys):
    make()
    assert run(["sweep", "best", str(file), "--as", "new.yaml"]) == 0
    assert "# how wide" in (tmp_path / "new.yaml").read_text()
    assert check_experiment(tmp_path / "new.yaml").experiment.config.lora_rank == 16


def test_several_objectives_have_a_front(make, file, capsys, tmp_path):
    study = make()
    with study.ledger.transaction() as table:
        goals = [{"metric": "val/success_rate"}, {"metric": "time/step", "direction": "minimize"}]
        table.set_header({**table.header, "sweep": {**table.header["sweep"], "objectives": goals}})
        for number, score in SCORES.items():
            # Trial 1 is as good as trial 0 and faster; the others are better and slower.
            table.put(
                replace(table.rows[number], objectives=(max(score, 0.5), float(number if number else 2)))
            )
    assert run(["sweep", "best", str(file)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("3 trials that no other one beats")
    assert "trial 1 with val/success_rate = 0.5, time/step = 1" in text and "trial 0" not in text
    assert run(["sweep", "best", str(file), "--as", "new.toml"]) == 1
    assert "choose one with --trial N" in capsys.readouterr().err
    assert run(["sweep", "best", str(file), "--as", "new.toml", "--trial", "2"]) == 0
    assert run(["sweep", "status", str(file)]) == 0
    assert "in every objective: 1, 2, 4" in capsys.readouterr().out


def test_tables_have_a_line_per_cell(make, file, tmp_path, capsys):
    make()
    assert run(["sweep", "export", str(file)]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [line["number"] for line in lines] == list("012345")
    assert (lines[4]["lora_rank"], lines[4][LR], lines[4]["val/success_rate"]) == ("16", "0.0001", "0.875")
    assert (lines[3]["val/success_rate"], lines[3]["reason"]) == ("", "CUDA out of memory\nmore")
    assert run(["sweep", "export", str(file), "t.json"]) == 0
    cells = json.loads((tmp_path / "t.json").read_text())
    assert (cells[4]["lora_rank"], cells[4]["x"], cells[3]["cause"]) == (16, None, "oom")
    assert run(["sweep", "export", str(file), "t.json"]) == 1
    assert run(["sweep", "export", str(file), "t.xlsx"]) == 2
    for option in (["--plot", "importances"], ["--metric", "val/success_rate"]):
        assert run(["sweep", "export", str(file), *option]) == 2
        assert run(["sweep", "export", str(file), "u.csv", *option]) == 2
    assert not (tmp_path / "u.csv").exists()


def test_a_parquet_table_has_typed_columns(make, file, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    make()
    assert run(["sweep", "export", str(file), "t.parquet"]) == 0
    table = parquet.read_table(tmp_path / "t.parquet")
    assert table["lora_rank"].to_pylist() == [8, 8, 8, 16, 16, 16]
    assert table["val/success_rate"].to_pylist() == [0.25, 0.5, 0.75, None, 0.875, None]


def test_pictures_are_svg(make, file, tmp_path, capsys):
    pytest.importorskip("optuna", reason="optuna is not installed")
    make()
    assert run(["sweep", "export", str(file), "p.svg"]) == 0
    root = ET.fromstring((tmp_path / "p.svg").read_text())
    titles = [one.text for one in root.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == [f"trial {n}: val/success_rate = {score:.4g}" for n, score in SCORES.items()]
    assert run(["sweep", "export", str(file), "i.svg", "--plot", "importances"]) == 0
    texts = [one.text for one in ET.fromstring((tmp_path / "i.svg").read_text()).iter() if one.text]
    assert "lora_rank" in texts and "lr" in texts
    assert run(["sweep", "export", str(file), "n.svg", "--metric", "none"]) == 2
    assert "--metric none was not measured" in capsys.readouterr().err


def test_too_few_trials_have_no_importances(make, file, capsys):
    study = make()
    with study.ledger.transaction() as table:
        table.put(replace(table.rows[0], state="failed", objectives=None, reason="no"))
    assert run(["sweep", "export", str(file), "i.svg", "--plot", "importances"]) == 1
    assert "3 trials have completed" in capsys.readouterr().err


def test_a_study_in_a_database_is_named_by_file_folder_and_name(make, file, tmp_path, capsys):
    url = f"sqlite:///{tmp_path / 's.db'}"
    study = make(storage=url)
    for words in ([str(file), "--storage", url], ["demo", "--storage", url], [str(study.folder)]):
        assert run(["sweep", "status", *words, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["best"], told["storage"]) == (4, url)
    assert run(["sweep", "status", "other", "--storage", url]) == 2


@pytest.mark.parametrize("verb", ["status", "retry", "best", "export"])
def test_what_is_no_study_is_said_in_one_line(make, file, tmp_path, verb, capsys):
    study = make()
    empty = tmp_path / "empty"
    empty.mkdir()
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / LEDGER).write_text("hello\n")
    other = tmp_path / "other.toml"
    other.write_text(EXPERIMENT.replace('"demo"', '"another"'))
    broken = tmp_path / "broken.toml"
    broken.write_text("[[[")
    cases = {
        ("nowhere",): "nowhere",
        (str(empty),): "is no study",
        (str(foreign),): "is not the ledger of a study",
        (str(tmp_path / "outputs"),): "holds studies, and is none",
        (str(study.folder / "trial_0000"),): f"help: name {study.folder}",
        (str(other),): "there is no study another below outputs",
        (str(broken),): "broken.toml",
        (str(file), "--storage", "rubbish"): "is no URL of a database",
        (str(file), "--storage", f"postgresql://me@/x?host={empty}"): "--storage postgresql://me@/x",
    }
    for words, said in cases.items():
        assert run(["sweep", verb, *words]) == 2, words
        assert said in capsys.readouterr().err, words


def test_a_trial_that_is_not_there_is_said(make, file, capsys):
    make()
    assert run(["sweep", "best", str(file), "--trial", "9"]) == 2
    assert "study demo has no trial 9: it has 0 to 5" in capsys.readouterr().err
    assert run(["sweep", "best", str(file), "--as", "x.txt"]) == 2
    assert run(["sweep", "best", str(file), "--as", "none/x.toml"]) == 2
    assert "there is no folder none" in capsys.readouterr().err


def test_a_study_without_a_complete_trial_has_no_best(file, tmp_path, capsys):
    open_or_create(check_experiment(file), output=tmp_path / "outputs")
    assert run(["sweep", "best", str(file)]) == 1
    assert "no trial of study demo has completed" in capsys.readouterr().err
    assert run(["sweep", "export", str(file), "p.svg"]) == 1
    assert run(["sweep", "status", str(file)]) == 0
    assert "6 waiting; 6 planned" in capsys.readouterr().out
