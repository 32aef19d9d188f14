"""`pettingllms data check`: what an experiment's datasets hold, as text and as JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from row_files import sums, write_lines

from pettingllms.cli.app import run

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENT = str(ROOT / "tests/cases/valid/two_agents.toml")
LONG = "A farmer has seven cows and nine hens and sells two of the cows at the market."


@pytest.fixture
def files(tmp_path):
    """A dataset with one bad row, and a benchmark that shares two tasks with it."""
    rows = [*sums(100), "{", {"question": f"{LONG} How many cows are left?", "answer": 5}]
    bench = [
        {"question": "what is  7 + 1?", "answer": 8},
        {"question": f"{LONG} How many legs have they?", "answer": 38},
        {"question": "What is 1000 + 1?", "answer": 1001},
    ]
    return write_lines(tmp_path / "rows.jsonl", rows), write_lines(tmp_path / "bench.jsonl", bench)


def check(*words):
    return run(["data", "check", EXPERIMENT, "env.options={validation_size=2,test_size=2}", *words])


def test_a_clean_experiment_passes(capsys):
    assert check() == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["split", "tasks", "rows", "bad", "revision", "sha256", "source"]
    assert [line.split()[0] for line in out[1:4]] == ["train", "val", "test"]
    assert "  2 of val have fewer than 13 words: compared as a whole only" in out


def test_bad_rows_and_shared_tasks_are_shown(files, capsys):
    rows, bench = files
    assert check(f"env.dataset={rows}", f"env.benchmark={bench}") == 1
    out = capsys.readouterr().out
    assert f"1 of 102 rows of rows.jsonl are bad (bad_json 1); the first:\n  {rows}:101: bad_json: " in out
    assert out.count("are bad") == 1
    (val,) = [line for line in out.splitlines() if line.startswith("val ") and line.endswith(" 2")]
    # One exact, one by words, of three tasks, with two training tasks.
    assert val.split()[1:] == ["1", "1", "3", "2"]
    assert "  val/bench.jsonl:1 and train/rows.jsonl:8: the same question\n" in out
    assert "  val/bench.jsonl:2 and train/rows.jsonl:102: 13 words in a row\n" in out


def test_json_says_the_same(files, capsys):
    rows, bench = files
    assert check(f"env.dataset={rows}", f"env.benchmark={bench}", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told["clean"] is False
    train = told["splits"]["train"]
    assert (train["source"], train["rows"], train["tasks"], train["bad"]) == (
        str(rows),
        102,
        97,
        {"bad_json": 1},
    )
    assert len(train["sha256"]) == 64
    (val,) = [one for one in told["overlaps"] if one["split"] == "val"]
    assert (val["exact"], val["words"], val["tasks"], val["train"]) == (1, 1, 3, 2)
    assert val["pairs"][0] == {"held": "val/bench.jsonl:1", "train": "train/rows.jsonl:8", "kind": "exact"}


def test_too_many_bad_rows_are_an_error_with_places(files, capsys):
    rows, _ = files
    words = ["data", "check", EXPERIMENT, f"env.dataset={rows}", "env.options.max_bad_fraction=0"]
    assert run(words) == 1
    err = capsys.readouterr().err
    assert "error: 1 of 102 rows are bad, and at most 0.00% may be (bad_json 1); the first:\n" in err
    assert f"  {rows}:101: bad_json: " in err and "help: mend the rows" in err


def test_a_missing_dataset_is_an_error_with_advice(tmp_path, capsys):
    assert check(f"env.dataset={tmp_path}/nowhere.jsonl") == 1
    assert f"{tmp_path}/nowhere.jsonl': there is no such file or folder" in capsys.readouterr().err


def test_a_broken_experiment_is_said_to_be_one(tmp_path, capsys):
    (tmp_path / "broken.toml").write_text("format = ")
    assert run(["data", "check", str(tmp_path / "broken.toml")]) != 0
    assert "broken.toml:1" in capsys.readouterr().err
    assert check("env.dataset=polariz") == 1
    assert "PLM501" in capsys.readouterr().err


def test_it_imports_nothing_of_the_trainer(files):
    rows, _ = files
    code = (
        "import sys; from pettingllms.cli.app import run\n"
        f"status = run(['data', 'check', {EXPERIMENT!r}, 'env.dataset={rows}', 'env.options.test_size=2'])\n"
        "heavy = {'torch', 'vllm', 'transformers', 'optuna', 'pyarrow', 'huggingface_hub'}\n"
        "print(status, heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "0 set()"


@pytest.mark.parametrize("name", ["m.jsonl", "m.parquet", "rows", "polaris", "hf:owner/name"])
def test_rows_without_an_experiment_are_told_what_to_add(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows").mkdir()
    write_lines(tmp_path / "m.jsonl", sums(3))
    assert run(["data", "check", name]) == 1
    told = capsys.readouterr().err
    assert f"{name} names rows" in told and f"data check EXPERIMENT.toml env.dataset={name};" in told


def test_a_shipped_experiment_is_no_dataset(capsys):
    assert run(["data", "check", "no_such_experiment"]) == 2
    assert "PLM002" in capsys.readouterr().err


def test_training_without_shared_tasks_is_clean(files, capsys):
    rows, bench = files
    dropping = "env.options.drop_contaminated=true"
    assert check(f"env.dataset={rows}", f"env.benchmark={bench}", dropping) == 0
    out = capsys.readouterr().out
    assert "\n2 training tasks shared text with held-out ones, and are left out\n" in out
