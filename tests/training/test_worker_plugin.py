"""A plug-in trains: the worker finds it wherever it runs, and says where one is broken."""

import json

import pytest
from test_worker import events, original_signal_handlers, prepared

from pettingllms.cli.new_env import scaffold
from pettingllms.plugins import use
from pettingllms.training import worker

__all__ = ["original_signal_handlers"]

OWN = [
    "env.name=spell_env",
    "env.dataset=words",
    "env.options:={ letters = 3 }",
    "agent_policy_configs.agent_configs.agent_0.agent=spell_writer",
    "agent_policy_configs.agent_configs.agent_1.agent=spell_writer",
]


@pytest.fixture(autouse=True)
def none_in_force():
    yield
    use([])


def trial(tmp_path, model):
    (tmp_path / "own").mkdir()
    plugin = tmp_path / "own/spell_env.py"
    plugin.write_text(scaffold("spell")["spell_env.py"])
    folder = prepared(tmp_path, model, f"plugins=[{str(plugin)!r}]", *OWN)
    use([])
    return folder, plugin


def test_an_environment_of_ones_own_trains(tmp_path, tiny_model, monkeypatch):
    folder, _ = trial(tmp_path, tiny_model)
    monkeypatch.chdir("/")
    assert worker.main(folder) == 0
    first = json.loads((folder / "samples/train-000001.jsonl").read_text().splitlines()[0])
    assert "The word: " in first["turns"][0]["prompt"]
    reasons = {sample["reason"] for turn in first["turns"] for sample in turn["samples"]}
    assert reasons <= {"right", "wrong", "no_answer"}


def test_a_plugin_that_broke_meanwhile_ends_the_run_in_words(tmp_path, tiny_model):
    folder, plugin = trial(tmp_path, tiny_model)
    plugin.write_text("import random\n\nrandom.nothing\n")
    assert worker.main(folder) == 1
    (error,) = events(folder, "error")
    assert error["text"].startswith(f"{plugin}:3: the plug-in {plugin}: AttributeError: ")
