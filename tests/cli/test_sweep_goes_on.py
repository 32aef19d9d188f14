"""`sweep run` on a study that is there, in its folder and in databases: changed, extended, retried."""

import json
import sys

import pytest
from swept_experiment import EXPERIMENT

from pettingllms.cli.app import run
from pettingllms.sweep.study.named import newest_study
from pettingllms.sweep.study.opening import optuna_storage

optuna = pytest.importorskip("optuna")

# The rank decides: what is in the file `bad` fails.
WORKER = """
import json, os, pathlib, sys
folder, bad = map(pathlib.Path, sys.argv[1:])
rank = int((folder / "trial.toml").read_text().split("lora_rank = ")[1].split()[0])
def write(name, **record):
    with (folder / name).open("a") as file:
        file.write(json.dumps(record) + "\\n")
write("events.jsonl", time=1.0, event="started", pid=os.getpid(), total_steps=2)
if bad.is_file() and str(rank) in bad.read_text().split():
    write("events.jsonl", time=1.0, event="error", text="no luck", exit_code=3)
    sys.exit(3)
write("metrics.jsonl", step=2, **{"val/success_rate": 1 / rank})
write("events.jsonl", time=2.0, event="finished")
"""


@pytest.fixture(params=["folder", "sqlite", "postgresql"])
def sweep(request, tmp_path, monkeypatch):
    """Run `sweep run` on the experiment with `ranks`, in one of the storages."""
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    monkeypatch.setattr(
        "pettingllms.sweep.launcher.launch_argv",
        lambda config, folder, port, cores: [
            *(sys.executable, "-S", str(script)),
            *(str(folder), str(tmp_path / "bad")),
        ],
    )
    monkeypatch.setattr("pettingllms.sweep.packages.missing", lambda modules: [])
    monkeypatch.setattr("pettingllms.sweep.engine_keeper.EngineKeeper.prepare", lambda *_: {})
    url = None
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'studies.db'}"
    elif request.param == "postgresql":
        url = request.getfixturevalue("postgres")
    file = tmp_path / "experiment.toml"

    def command(*words, ranks="[8, 16]"):
        file.write_text(EXPERIMENT.replace("[8, 16]", ranks))
        where = ["--output", str(tmp_path / "out"), *(["--storage", url] if url else [])]
        return run(["sweep", words[0], str(file), *where, *words[1:]])

    command.storage, command.folder = url, tmp_path
    return command


def test_a_study_goes_on_is_locked_and_extended(sweep, capsys):
    (sweep.folder / "bad").write_text("16")
    assert sweep("run", "--new-study") == 3
    study = newest_study("demo", sweep.folder / "out", sweep.storage)
    assert study.folder.parent == sweep.folder / "out"
    assert {n: row.state for n, row in study.ledger.read().rows.items()} == {0: "complete", 1: "failed"}
    (sweep.folder / "bad").unlink()
    assert sweep("retry") == 0
    assert sweep("run") == 0
    rows = study.ledger.read().rows
    assert (rows[0].attempt, rows[1].attempt, rows[1].state) == (1, 2, "complete")
    capsys.readouterr()
    assert sweep("run", ranks="[16, 4, 32]") == 1
    assert "lora_rank values: [8, 16] -> [16, 4, 32]" in capsys.readouterr().err
    assert sweep("run", "--extend", "--json", ranks="[16, 4, 32]") == 0
    told = capsys.readouterr()
    assert "new cells: 2" in told.err
    result = json.loads(told.out)
    # Rank 8 is not among them any more.
    assert (result["best"], result["planned"], [row["number"] for row in result["trials"]]) == (
        2,
        3,
        [1, 2, 3],
    )
    rows = study.ledger.read().rows
    assert {n: (row.state, row.outside) for n, row in rows.items()} == {
        0: ("complete", True),
        1: ("complete", False),
        2: ("complete", False),
        3: ("complete", False),
    }
    name = f"{study.name}@2"
    with optuna_storage(study) as storage:
        trials = optuna.load_study(study_name=name, storage=storage).trials
    values = [trial.params["lora_rank"] for trial in trials if trial.state.name == "COMPLETE"]
    assert sorted(values) == [4, 16, 32]
    assert sweep("best", "--as", str(sweep.folder / "new.toml"), ranks="[16, 4, 32]") == 0
    assert "lora_rank = 4\n" in (sweep.folder / "new.toml").read_text()
    assert sweep("run", "--new-study", ranks="[16]") == 0
    other = newest_study("demo", sweep.folder / "out", sweep.storage)
    assert other.name != study.name and len(other.ledger.read().rows) == 1


def test_a_damaged_journal_is_said_and_made_anew_once_it_is_gone(sweep, capsys):
    if sweep.storage is not None:
        pytest.skip("a database has no journal")
    assert sweep("run") == 0
    journal = sweep.folder / "out" / "demo" / "study.journal"
    with journal.open("a") as file:
        file.write("garbage\n")
    capsys.readouterr()
    assert sweep("run", "--extend", ranks="[8, 16, 4]") == 2
    told = capsys.readouterr().err
    assert f"{journal} is damaged" in told and "delete it" in told and "Traceback" not in told
    journal.unlink()
    assert sweep("run", "--extend", ranks="[8, 16, 4]") == 0
    rows = newest_study("demo", sweep.folder / "out").ledger.read().rows
    assert [row.state for row in rows.values()] == ["complete"] * 3
