"""Whole searches for prompts in this process, with the scripted engine and a reflecting model on loopback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from prompt_experiment import TEXT, prepared_search, share
from reflecting_server import ReflectingServer, completion
from test_worker import events, lines, original_signal_handlers  # noqa: F401 - a fixture is used by name

from pettingllms.config.trial_file import read_trial
from pettingllms.lint.engine import check_experiment
from pettingllms.sweep.best_prompts import best_of, write_best
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
    # What the command line then writes: the file as it was, with the winner, ready to run.
    written = write_best(folder, read_trial(folder / "trial.toml"))
    assert written == folder / "best.toml" == best_of(folder)
    before = (folder / "experiment.toml").read_text()
    assert written.read_text() == before.replace('"Say 100."', f'"{better}"')
    assert check_experiment(written).diagnostics == ()


def test_an_endpoint_that_refuses_ends_the_run_in_words_and_keeps_its_key(tmp_path, tiny_model, monkeypatch):
    monkeypatch.setenv("MY_MODELS_KEY", "sk-very-secret")
    key = "+training.prompt.reflection_key_variable=MY_MODELS_KEY"
    with ReflectingServer(lambda n, _: (403, "sk-very-secret may not do this")) as server:
        folder = prepared_search(tmp_path, tiny_model, server.url, key)
        assert worker.main(folder) == 3
    (error,) = events(folder, "error")
    assert "asked once: HTTP 403 Forbidden" in error["text"] and "reflection_url" in error["text"]
    assert server.headers[0][1]["Authorization"] == "Bearer sk-very-secret"
    texts = [path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file()]
    assert len(texts) > 8 and not [text for text in texts if "sk-very-secret" in text]
    # The first validation is kept: the next run goes on from there.
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step_000000"]


def test_a_key_that_is_not_there_is_asked_for_before_anything_runs(tmp_path, tiny_model, monkeypatch):
    monkeypatch.delenv("MY_MODELS_KEY", raising=False)
    key = "+training.prompt.reflection_key_variable=MY_MODELS_KEY"
    folder = prepared_search(tmp_path, tiny_model, "http://127.0.0.1:9/v1", key)
    assert worker.main(folder) == 1
    assert "environment variable MY_MODELS_KEY" in events(folder, "error")[0]["text"]


def test_a_policy_reflects_through_the_same_engine(tmp_path, tiny_model):
    replies = "models.model_0.ppo_trainer_config.actor_rollout_ref.rollout.engine_kwargs.scripted.replies"
    folder = prepared_search(
        tmp_path,
        tiny_model,
        "http://127.0.0.1:9/v1",
        "~training.prompt.reflection_url",
        "training.prompt.reflection_model=shared",
        "+training.prompt.reflection_prompt_length=400",
        "+training.prompt.reflection_response_length=60",
        f"{replies}=['```\nSay 7.\n```']",
        "training.total_training_steps=2",
        "training.prompt.minibatch_size=4",
    )
    assert worker.main(folder) == 0, (folder / "events.jsonl").read_text()
    assert [record["prompt/candidates"] for record in lines(folder / "metrics.jsonl")] == [1, 1, 1]
    assert events(folder, "finished") and not events(folder, "error")


@pytest.mark.slow
def test_the_command_line_names_the_file_of_the_winner_and_can_run_it(tmp_path, tiny_model):
    good = best_number("val")
    with ReflectingServer(lambda n, _: completion(f"Say {good}.")) as server:
        text = TEXT.replace("@MODEL@", str(tiny_model)).replace("@URL@", server.url)
        (tmp_path / "prompt.toml").write_text(text)
        seed = "training.seed=0"
        found = json.loads(trained(tmp_path, "prompt.toml", seed, "+launch.num_processes=2"))
        best = Path(found["best_prompts"])
        assert best == Path(found["folder"]) / "best.toml"
        assert found["metrics"]["val/success_rate"] == pytest.approx(share("val", good))
        again = json.loads(trained(tmp_path, str(best), "training.total_training_steps=1"))
    assert again["metrics"]["val/success_rate"] == found["metrics"]["val/success_rate"]


def trained(folder, *words):
    command = [sys.executable, "-m", "pettingllms", "train", *words, "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
