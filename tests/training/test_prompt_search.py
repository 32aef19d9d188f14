"""Whole searches for prompts in this process, with the scripted engine and a reflecting model on loopback."""

import json

import pytest
from prompt_experiment import prepared_search, share
from reflecting_server import ReflectingServer, completion
from test_worker import events, lines, original_signal_handlers  # noqa: F401 - a fixture is used by name

from pettingllms.training import worker


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def best_number(split):
    return max(range(19), key=lambda number: share(split, number))


def test_the_better_prompt_is_chosen_on_held_out_tasks(tmp_path, tiny_model):
    good = best_number("val")
    worse, better = "Say 200.", f"Say {good}."
    assert share("train", good) > 0 and share("train", 200) == 0
    with ReflectingServer(lambda n, _: completion([worse, better, worse][n])) as server:
        folder = prepared_search(tmp_path, tiny_model, server.url)
        assert worker.main(folder) == 0, (folder / "events.jsonl").read_text()
    records = lines(folder / "metrics.jsonl")
    assert [record["step"] for record in records] == [0, 1, 2, 3]
    expected = [0, 0, share("val", good), share("val", good)]
    assert [record["val/success_rate"] for record in records] == pytest.approx(expected)
    assert [record["prompt/candidates"] for record in records] == [1, 1, 2, 2]
    assert records[0]["test/success_rate"] == 0
    assert records[-1]["test/success_rate"] == pytest.approx(share("test", good))
    assert "test/success_rate" not in records[1]
    found = json.loads((folder / "prompts.json").read_text())
    assert found["best"] == 1 and found["done"]
    assert found["candidates"][1]["agents"] == {"reasoning_generator": {"system_prompt": better}}
    assert found["candidates"][1]["parents"] == [0]
    # The two that failed, and the one that came of the winner and is worse.
    assert records[1]["train/success_rate"] == 0
    assert records[2]["train/success_rate"] == pytest.approx(share("train", good) / 2)
    assert events(folder, "finished")
