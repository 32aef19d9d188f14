"""Many files at once: order, processes, and what happens when the linter itself fails."""

import os
import signal
from pathlib import Path

import pytest

from pettingllms.lint import engine
from pettingllms.lint.files import workers
from pettingllms.lint.files.batch import check_files, check_one, without_doubles
from pettingllms.lint.files.checked import CheckOptions, FileResult, Named

TWO_AGENTS = (Path(__file__).parents[1] / "cases/valid/two_agents.toml").read_text()
PLAIN = CheckOptions()


@pytest.fixture
def many(tmp_path):
    """Forty files, every third with a fault of its own."""
    files = []
    for number in range(40):
        file = tmp_path / f"e{number:02}.toml"
        file.write_text(
            TWO_AGENTS.replace("max_turns", f"turns_{number}" if number % 3 == 0 else "max_turns")
        )
        files.append(Named(file))
    return files


def found(results):
    return [
        (result.path.name, [(one.code, one.line, one.message) for one in result.diagnostics])
        for result in results
    ]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_give_what_one_process_gives_in_the_same_order(many, method, monkeypatch):
    if method == "fork" and workers.start_method() != "fork":
        pytest.skip("this process cannot be forked safely")
    monkeypatch.setattr(workers, "start_method", lambda: method)
    alone = check_files(many, CheckOptions(jobs=1))
    assert len(alone) == 40
    assert sum(bool(result.diagnostics) for result in alone) == 14
    assert found(check_files(many, CheckOptions(jobs=3))) == found(alone)
    assert found(check_files(many, PLAIN)) == found(alone)


def test_a_file_with_two_names_is_checked_once(tmp_path):
    first, second = tmp_path / "a.toml", tmp_path / "b.toml"
    first.write_text(TWO_AGENTS)
    second.symlink_to(first)
    circle = tmp_path / "circle.toml"
    circle.symlink_to(circle)
    names = [first, tmp_path / "x" / ".." / "a.toml", second, circle]
    assert [file.path for file in without_doubles([Named(name) for name in names])] == [first, circle]
    assert [result.path for result in check_files([Named(first), Named(second)], PLAIN)] == [first]


def test_a_fault_of_the_linter_names_the_file_and_spares_the_others(many, monkeypatch):
    whole = engine.check_experiment

    def check(path, *rest, **named):
        if path == many[5].path:
            raise KeyError("lost")
        return whole(path, *rest, **named)

    monkeypatch.setattr(engine, "check_experiment", check)
    results = check_files(many[:8], CheckOptions(jobs=1))
    assert [result.crash is None for result in results] == [True] * 5 + [False] + [True] * 2
    crashed = results[5]
    assert crashed.failed
    assert crashed.crash.startswith("KeyError: 'lost' (test_batch.py:")
    assert "Traceback" in crashed.traceback


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "ended by SIGKILL"),
        (lambda: os._exit(7), "ended with exit code 7"),
    ],
)
def test_a_process_that_dies_costs_one_file(many, monkeypatch, end, words):
    if workers.start_method() != "fork":
        pytest.skip("only a forked process inherits the patched linter")
    whole = engine.check_experiment

    def check(path, *rest, **named):
        if path == many[20].path:
            end()
        return whole(path, *rest, **named)

    monkeypatch.setattr(engine, "check_experiment", check)
    results = check_files(many, CheckOptions(jobs=2))
    assert [result.path for result in results if result.crash] == [many[20].path]
    assert words in results[20].crash
    assert len(results) == 40


def test_files_are_checked_here_where_no_process_can_be_started(many, monkeypatch):
    def refuse(*_):
        raise BlockingIOError("no more processes")

    for context in ("ForkProcess", "SpawnProcess"):
        monkeypatch.setattr(f"multiprocessing.context.{context}._Popen", staticmethod(refuse))
    results = check_files(many, CheckOptions(jobs=2))
    assert [result.path for result in results] == [file.path for file in many]
    assert all(result.crash is None for result in results)


def test_a_text_takes_the_place_of_the_file(tmp_path):
    result = check_one(Named(tmp_path / "not there.toml", "[training]\nval_freq =\n"), PLAIN)
    assert [one.code for one in result.diagnostics] == ["PLM001"]


def test_a_result_with_an_unreadable_file_has_failed(tmp_path):
    assert check_one(Named(tmp_path / "no.toml"), PLAIN).failed
    assert not FileResult(tmp_path / "x.toml").failed
