"""A value from `oc.env` appears in no file and no output, from the first look to the end of a run."""

import os
import re
import subprocess
import sys
import tomllib

import pytest
from scripted_experiment import write_experiment

SECRET, NUMBER = "sekret-7f3a9", 918273645


@pytest.fixture
def folder(tmp_path, tiny_model):
    """An experiment whose model path is in an environment variable, as is the name of the project."""
    model = tmp_path / f"{SECRET}-model"
    model.symlink_to(tiny_model)
    path = write_experiment(tmp_path, "${oc.env:PRIVATE_MODEL}")
    text = path.read_text().replace("[training]", '[training]\nproject_name = "${oc.env:PRIVATE_NAME}"', 1)
    path.write_text(text)
    return path.parent


def run(folder, *words):
    private = {"PRIVATE_MODEL": str(folder / f"{SECRET}-model"), "PRIVATE_NAME": SECRET}
    private["PRIVATE_NUMBER"] = str(NUMBER)
    done = subprocess.run(
        [sys.executable, "-m", "pettingllms", *words],
        cwd=folder,
        env={**os.environ, **private},
        capture_output=True,
        text=True,
        check=False,
    )
    for printed in (done.stdout, done.stderr):
        assert SECRET not in printed
        assert NUMBER + 1 not in [int(digits) for digits in re.findall(r"\d+", printed)]
    return done


@pytest.mark.parametrize(
    "words",
    [
        ["lint"],
        ["lint", "-s", "training.logger=${training.project_name}"],
        ["lint", "-s", "env.name=${oc.env:PRIVATE_NAME}"],
        ["show", "--resolved"],
        ["show", "--resolved", "--as", "json", "-s", "training.experiment_name=x-${training.project_name}-y"],
        ["show", "-s", "training.experiment_name=${mul:${training.project_name},2}", "--resolved"],
        ["explain", "training.project_name"],
        ["explain", "models"],
        ["convert", "--check"],
        ["lint", "-s", "multi_agent_interaction.turn_order=${oc.decode:'[${oc.env:PRIVATE_NAME}]'}"],
        ["lint", "-s", "training=${oc.decode:'{${oc.env:PRIVATE_NAME}: 1}'}"],
        ["explain", "training", "-s", "training=${oc.decode:'{${oc.env:PRIVATE_NAME}: 1}'}"],
        ["lint", "-s", "training.experiment_name=${add:${oc.decode:${oc.env:PRIVATE_NUMBER}},1}"],
        ["train", "-s", "training.model_checkpoints_dir=/proc/${oc.env:PRIVATE_NAME}"],
    ],
    ids=" ".join,
)
def test_looking_at_a_file_never_shows_it(folder, words):
    verb, *rest = words
    run(folder, verb, "scripted.toml", *rest)


@pytest.mark.parametrize(
    "words",
    [
        ["lint", "bad.toml"],
        ["lint", "bad.toml", "-s", f"training.wandb_api_key={SECRET}"],
        ["lint", "broken.yaml"],
        ["show", "bad.toml", "--resolved"],
        ["explain", "bad.toml", "env.options"],
        ["set", "bad.toml", "training.seed=3"],
    ],
    ids=" ".join,
)
def test_a_key_that_looks_secret_is_never_shown(folder, words):
    bad = f'[env]\nname = 3\noptions.api_key = "{SECRET}"\n[training]\nhf_token = "{SECRET}"\n'
    bad += f'experiment_name = ["x-{SECRET}"]\n'
    (folder / "bad.toml").write_text(bad)
    (folder / "broken.yaml").write_text(f"training:\n  api_key: {SECRET} : [\n")
    assert run(folder, *words).returncode in (0, 1)


def test_a_run_leaves_it_in_no_file(folder):
    done = run(folder, "train", "scripted.toml")
    assert done.returncode == 0, done.stderr
    files = [path for path in (folder / "outputs").rglob("*") if path.is_file()]
    assert len(files) > 8
    assert [path.name for path in files if SECRET.encode() in path.read_bytes()] == []
    (resolved,) = (path for path in files if path.name == "resolved.toml")
    assert "${oc.env:PRIVATE_MODEL}" in resolved.read_text()


@pytest.mark.parametrize("verb", [["train"], ["sweep", "run"]], ids=" ".join)
def test_a_run_that_fails_leaves_it_in_no_file_either(folder, verb):
    (folder / f"{SECRET}-model").unlink()
    done = run(folder, *verb, "scripted.toml", "base_models.policy_0.path=no/${oc.env:PRIVATE_NAME}",
               "base_models.policy_1.path=no/${oc.env:PRIVATE_NAME}")  # fmt: skip
    assert done.returncode == 3, done.stderr
    files = [path for path in (folder / "outputs").rglob("*") if path.is_file()]
    assert "log.txt" in [path.name for path in files]
    assert [path.name for path in files if SECRET.encode() in path.read_bytes()] == []


def test_a_short_secret_in_a_list_is_explained_as_a_reference(folder, monkeypatch):
    monkeypatch.setenv("SHORT", "k9Z")
    words = ["training.logger=[console,${oc.env:SHORT}]", "env.options.a=[{b: ${oc.env:SHORT}}]"]
    for path in ("training", "training.logger", "env.options.a"):
        assert "k9Z" not in run(folder, "explain", "scripted.toml", path, *words).stdout


def test_a_secret_is_hidden_however_it_is_quoted(folder, monkeypatch):
    monkeypatch.setenv("LINES", 'topsecret1\ntop"secret2')
    done = run(folder, "lint", "scripted.toml", "-s", "training.logger=[${oc.env:LINES}]")
    assert done.returncode == 1
    assert "topsecret1" not in done.stdout
    assert "secret2" not in done.stdout


@pytest.mark.parametrize("word", ["training", "error", "format"])
def test_a_plain_word_from_the_environment_spoils_no_document(folder, monkeypatch, word):
    monkeypatch.setenv("WORD", word)
    words = ["training.experiment_name=${oc.env:WORD}"]
    shown = tomllib.loads(run(folder, "show", "scripted.toml", "--resolved", *words).stdout)
    assert shown["training"]["experiment_name"] == "${oc.env:WORD}"
    assert (
        "training.seed"
        in run(folder, "lint", "scripted.toml", "-s", words[0], "-s", "training.seed=x").stdout
    )
