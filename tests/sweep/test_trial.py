"""The files of a run folder before the start."""

import io
import tomllib

from ruamel.yaml import YAML

from pettingllms.config.trial_file import read_trial
from pettingllms.sweep.trial import create_trial, git_state, yaml_text


def test_run_folder_holds_everything_that_is_known_before_the_start(
    make_experiment, tmp_path, read_json, monkeypatch
):
    urls = ["--storage=postgresql://me:pw@h/db", "postgresql://me@h/db?x=1&password=pw"]
    monkeypatch.setattr("sys.argv", ["pettingllms", "sweep", "run", *urls])
    experiment, cells = make_experiment()
    trial = create_trial(experiment, cells[1], tmp_path / "study" / "trial_0001", "trial 1")
    files = {p.relative_to(trial.folder).as_posix() for p in trial.folder.rglob("*") if p.is_file()}
    assert files == {
        "experiment.toml",
        "resolved.toml",
        "trial.toml",
        ".hydra/config.yaml",
        ".hydra/overrides.yaml",
        "manifest.json",
        "accelerate.json",
    }
    assert (trial.folder / "experiment.toml").read_text() == "# as written\n"
    assert read_trial(trial.folder / "trial.toml") == cells[1].config
    assert tomllib.loads((trial.folder / "resolved.toml").read_text())["lora_rank"] == 16
    hydra = YAML(typ="safe").load((trial.folder / ".hydra" / "config.yaml").read_text())
    assert hydra == cells[1].stored
    overrides = YAML(typ="safe").load((trial.folder / ".hydra" / "overrides.yaml").read_text())
    assert overrides == ["training.seed=5", "lora_rank=16"]
    manifest = read_json(trial.folder / "manifest.json")
    assert (manifest["seed"], manifest["values"]) == (5, {"lora_rank": 16})
    assert manifest["argv"][3:] == [
        "--storage=postgresql://me:***@h/db",
        "postgresql://me@h/db?x=1&password=***",
    ]
    assert "pydantic" in manifest["packages"]
    assert manifest["started"].endswith("+00:00")
    assert trial.folder.is_absolute()
    assert (trial.number, trial.values) == (1, {("lora_rank",): 16})


def test_yaml_reads_back_alike_under_both_versions():
    data = {"s": "yes", "n": None, "f": 3e-7, "t": "1:30", "e": "1e-6", "l": [[1], {"q": True}], "big": 1e20}
    for version in ((1, 1), (1, 2)):
        yaml = YAML(typ="safe", pure=True)
        yaml.version = version
        assert yaml.load(io.StringIO(yaml_text(data))) == data


def test_git_state_is_none_outside_a_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) is None
