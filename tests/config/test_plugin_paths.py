"""Paths of plug-ins start at the folder of the file that names them, and are absolute for all processes."""

from pathlib import Path

import pytest

from pettingllms.compose.stored import stored_tree
from pettingllms.config.load import choose, draft_experiment
from pettingllms.config.trial_file import read_trial, trial_toml
from pettingllms.config.typed import type_cell
from pettingllms.lint.engine import check_experiment

TWO_AGENTS = (Path(__file__).parents[1] / "cases/valid/two_agents.toml").read_text()


@pytest.fixture
def work(tmp_path, monkeypatch):
    for folder in ("here", "there/base"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def plugins(path, *overrides):
    draft = draft_experiment(Path(path), overrides)
    resolution = choose(draft, {axis.path: axis.default for axis in draft.axes})
    assert not [*draft.findings, *resolution.findings]
    return resolution.data["plugins"]


def test_a_path_starts_at_the_file_that_names_it(work):
    (work / "there/base/low.toml").write_text('plugins = ["low.py", "my_package.envs"]\n' + TWO_AGENTS)
    (work / "there/top.toml").write_text('defaults = ["base/low"]\n')
    low = [str(work / "there/base/low.py"), "my_package.envs"]
    assert plugins("../there/top.toml") == low
    assert plugins(work / "there/top.toml") == low
    (work / "there/top.toml").write_text('defaults = ["base/low"]\nplugins = ["../top.py", "/a/b.py"]\n')
    assert plugins("../there/top.toml") == [str(work / "top.py"), "/a/b.py"]


def test_a_path_of_the_command_line_starts_at_the_current_folder(work):
    (work / "there/top.toml").write_text('plugins = ["own.py"]\n' + TWO_AGENTS)
    assert plugins("../there/top.toml", 'plugins=["x/y.py"]') == [str(work / "here/x/y.py")]
    both = [str(work / "there/own.py"), str(work / "here/more.py")]
    assert plugins("../there/top.toml", 'plugins+=["more.py"]') == both


def test_references_and_homes_are_followed_first(work, monkeypatch):
    monkeypatch.setenv("HOME", str(work))
    names = 'plugins = ["~/a.py", "${training.experiment_name}/b.py"]\n'
    (work / "there/top.toml").write_text(names + TWO_AGENTS)
    found = plugins("../there/top.toml", "training.experiment_name=games")
    assert found == [str(work / "a.py"), str(work / "there/games/b.py")]


def test_a_variable_of_the_environment_stays_one(work, monkeypatch):
    monkeypatch.setenv("MY_PLUGIN", "games/b")
    (work / "there/top.toml").write_text('plugins = ["${oc.env:MY_PLUGIN}.py"]\n' + TWO_AGENTS)
    draft = draft_experiment(Path("../there/top.toml"))
    typed = type_cell(choose(draft, {}))
    assert typed.config.plugins == [str(work / "there/games/b.py")]
    (work / "trial.toml").write_text(trial_toml(typed.stored))
    assert "games" not in (work / "trial.toml").read_text()
    assert read_trial(work / "trial.toml").plugins == [str(work / "here/../there/games/b.py")]


def test_what_is_written_for_a_trial_holds_anywhere(work):
    (work / "there/top.toml").write_text('plugins = ["own.py"]\n' + TWO_AGENTS)
    (work / "there/own.py").write_text("")
    experiment = check_experiment(Path("../there/top.toml")).experiment
    assert experiment.config.plugins == experiment.stored["plugins"] == [str(work / "there/own.py")]


def test_plugins_cannot_be_swept(work):
    axis = '{ sweep = "choice", values = [["a.py"], []], default = [] }'
    (work / "top.toml").write_text(f"plugins = {axis}\n" + TWO_AGENTS)
    (found,) = check_experiment(work / "top.toml").diagnostics
    assert (found.code, found.message) == ("PLM401", "plugins cannot be swept: no axis may stand here")


def test_a_list_that_is_none_is_left_to_others(work):
    (work / "top.toml").write_text('plugins = "own.py"\n' + TWO_AGENTS)
    draft = draft_experiment(work / "top.toml")
    assert stored_tree(choose(draft, {}))["plugins"] == "own.py"
    assert {found.code for found in check_experiment(work / "top.toml").diagnostics} == {"PLM005"}
