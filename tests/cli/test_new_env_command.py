"""`pettingllms new env NAME`: three files that work as they are, and are those of the documentation."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pettingllms.cli.app import run
from pettingllms.cli.new_env import scaffold
from pettingllms.lint.engine import check_experiment

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "stem", "kind"), [("my_game", "my_game", "MyGame"), ("maze_env", "maze", "Maze")]
)
def test_the_files_are_an_experiment_that_lints_clean(name, stem, kind, here):
    assert run(["new", "env", name]) == 0
    files = sorted(path.name for path in here.iterdir())
    assert files == sorted([f"{stem}.toml", f"{stem}_env.py", f"test_{stem}_env.py"])
    assert f"class {kind}Env(Env):" in (here / f"{stem}_env.py").read_text()
    assert check_experiment(Path(f"{stem}.toml")).diagnostics == ()
    assert run(["lint", f"{stem}.toml"]) == 0
    (found,) = check_experiment(Path(f"{stem}.toml"), ["env.options.letters=99"]).diagnostics
    assert (found.code, found.message) == ("PLM503", "env.options.letters = 99 must be at most 12")


def test_its_test_passes(here):
    (here / "deep").mkdir()
    assert run(["new", "env", "deep/spelling"]) == 0
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "deep"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "8 passed" in done.stdout


def test_the_documentation_shows_what_is_written():
    text = (ROOT / "docs" / "environments.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert example == scaffold("reverse")["reverse_env.py"]
    assert 35 <= len([line for line in example.splitlines() if line.strip()]) <= 45
    (block,) = re.findall(r"```toml\n(plugins.*?)```", text, re.DOTALL)
    for line in filter(None, block.splitlines()):
        assert line.partition(" #")[0] in scaffold("reverse")["reverse.toml"]


@pytest.mark.parametrize("name", ["My_Game", "1st", "a b", "a__b", "_a", "game.py", "é"])
def test_a_name_that_cannot_be_one_writes_nothing(name, here, capsys):
    assert run(["new", "env", name]) == 2
    assert "cannot be the name of an environment" in capsys.readouterr().err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("name", ["math", "math_env", "stateful"])
def test_a_name_that_is_taken_is_refused(name, here, capsys):
    assert run(["new", "env", name]) == 1
    assert "there is an environment" in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_files_that_are_there_stay_unless_forced(here, capsys):
    (here / "test_game_env.py").write_text("mine")
    assert run(["new", "env", "game"]) == 1
    assert "test_game_env.py exists already" in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["test_game_env.py"]
    assert run(["new", "env", "game", "--force"]) == 0
    assert (here / "test_game_env.py").read_text() == scaffold("game")["test_game_env.py"]


def test_without_a_name_it_says_how(here, capsys):
    assert run(["new", "env"]) == 2
    assert "pettingllms new env my_game" in capsys.readouterr().err
