"""The playing process, in this process, on the scripted engine; and its figures, counted by hand."""

import json
import signal
from math import comb, sqrt

import pytest
from evaluated_run import make_run

from pettingllms.evaluation.play_file import Play
from pettingllms.evaluation.report import figures
from pettingllms.evaluation.summary import read_samples, summarise
from pettingllms.training import evaluate


def play_of(folder, **changes):
    values = {"split": "test", "samples": 4, "tasks": None, "seed": 5, "step": 0, "policies": {}} | changes
    play = Play(**values)
    (folder / "play.json").write_text(play.text())
    return play


def run_main(folder):
    """The process without a process: its signal handlers are taken back."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return evaluate.main(folder)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def played(folder, **changes):
    play = play_of(folder, **changes)
    assert run_main(folder) == 0, (folder / "events.jsonl").read_text()
    return read_samples(folder / play.samples_file)


@pytest.fixture(scope="module")
def four_of_each(tmp_path_factory, tiny_model):
    """A folder in which each of 20 tasks was played 4 times."""
    words = ("training.rollout_mode=tree", "env.options.test_size=20")
    folder = make_run(tmp_path_factory.mktemp("played") / "side", tiny_model, *words)
    played(folder)
    return folder


def test_play_file_reads_back_as_it_was_written(tmp_path):
    play = play_of(tmp_path, tasks=3, policies={"a/b": (7, tmp_path / "policies" / "0")})
    assert Play.read(tmp_path) == play


def test_every_task_is_played_as_often_as_asked_by_plain_sampling(four_of_each):
    episodes = read_samples(four_of_each / "samples" / "test-000000.jsonl")
    assert len(episodes) == len({episode["place"] for episode in episodes}) == 80
    assert {sum(one["task"] == other["task"] for other in episodes) for one in episodes} == {4}
    # Nothing branches: one candidate a turn, whatever training does.
    assert {len(turn["samples"]) for episode in episodes for turn in episode["turns"]} == {1}
    seeds = [sample["seed"] for one in episodes for turn in one["turns"] for sample in turn["samples"]]
    assert len(set(seeds)) == 160
    events = [json.loads(line) for line in (four_of_each / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events[:2]] == ["started", "status"]
    assert events[-1]["event"] == "finished"


def test_first_plays_do_not_depend_on_how_many_there_are(tmp_path, four_of_each):
    many = {one["place"]: one for one in read_samples(four_of_each / "samples" / "test-000000.jsonl")}
    folder = tmp_path / "few"
    folder.mkdir()
    (folder / "trial.toml").write_text((four_of_each / "trial.toml").read_text())
    few = played(folder, samples=2, tasks=3)
    assert len(few) == 6
    assert all(one == many[one["place"]] for one in few)


def test_a_saved_policy_answers_with_its_version(tmp_path, tiny_model, run_folder):
    folder = make_run(tmp_path / "side", tiny_model)
    saved = run_folder / "checkpoints" / "step_000002" / "policies" / "1"
    episodes = played(folder, samples=1, step=2, policies={"reason/policy": (2, saved)})
    assert (folder / "samples" / "test-000002.jsonl").is_file()
    versions = {
        (turn["policy"], sample["version"])
        for episode in episodes
        for turn in episode["turns"]
        for sample in turn["samples"]
    }
    assert versions == {("tool policy", 0), ("reason/policy", 2)}


def test_weights_that_are_not_there_end_with_an_error_event(tmp_path, tiny_model):
    folder = make_run(tmp_path / "side", tiny_model)
    play_of(folder, policies={"tool policy": (1, tmp_path / "nowhere")})
    assert run_main(folder) == 3
    last = json.loads((folder / "events.jsonl").read_text().splitlines()[-1])
    assert last["event"] == "error" and "nowhere" in last["text"]


def test_figures_are_those_of_the_saved_samples(four_of_each):
    """Everything that `eval` prints of one side, recomputed from the file in the plainest way."""
    episodes = read_samples(four_of_each / "samples" / "test-000000.jsonl")
    found = figures(summarise(episodes), (1, 2, 4))

    tasks = {}
    for line in (four_of_each / "samples" / "test-000000.jsonl").read_text().splitlines():
        episode = json.loads(line)
        tasks.setdefault(episode["task"], []).append((episode["place"], episode["success"]))
    rows = [[won for _, won in sorted(row)] for row in tasks.values()]
    rates = [sum(row) / 4 for row in rows]
    rate = sum(rates) / 20
    assert 0 < rate < 1
    variance = sum((one - rate) ** 2 for one in rates) / 19
    trials = min(max(rate * (1 - rate) / (variance / 20), 20), 80)
    z = 1.959963984540054
    centre = (rate + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    assert found["success_rate"] == pytest.approx(
        {"value": rate, "low": centre - half, "high": centre + half, "trials": trials}
    )
    for row in found["at_k"]:
        k = row["k"]
        missed = [comb(4 - sum(wins), k) / comb(4, k) for wins in rows]
        assert row["pass"] == pytest.approx(1 - sum(missed) / 20)
        assert row["avg"] == pytest.approx(sum(sum(wins[:k]) for wins in rows) / (20 * k))
    for name, agent in found["agents"].items():
        turns = [turn for one in episodes for turn in one["turns"] if turn["agent"] == name]
        samples = [sample for turn in turns for sample in turn["samples"]]
        assert agent["turns"] == len(turns) == 80
        assert agent["reward"] == pytest.approx(sum(sample["reward"] for sample in samples) / 80)
        assert agent["tokens"] == sum(len(sample["token_ids"]) for sample in samples) / 80
        cut = sum(sample["finish_reason"] == "length" for sample in samples)
        assert (agent["truncated"], agent["failed"]) == (cut / 80, 0)
        assert sum(agent["reasons"].values()) == pytest.approx(1)
        for reason, share in agent["reasons"].items():
            assert share == sum(sample["reason"] == reason for sample in samples) / 80
    first, second = found["agents"].values()
    assert first["reasons"] != second["reasons"] and first["policy"] != second["policy"]


def sample(reward=1.0, reason="correct", dropped=None, finish="stop", tokens=3):
    return {
        "reward": reward,
        "reason": reason,
        "dropped": dropped,
        "finish_reason": finish,
        "token_ids": [1] * tokens,
    }


def turn(agent, *samples):
    return {"agent": agent, "policy": f"{agent}'s", "samples": list(samples)}


def episode(place, task, success, *turns, stop="max_turns"):
    return {"place": place, "task": task, "success": success, "stop_reason": stop, "turns": list(turns)}


def test_failures_count_as_not_solved_and_have_no_reward():
    nothing = sample(None, None, "generation_failed", "failed", 0)
    summary = summarise(
        [
            episode(2, "one", False, turn("a", nothing), stop="failed"),
            episode(
                0, "one", True, turn("a", sample(0.5)), turn("b", sample(tokens=1), sample(0.0, "wrong"))
            ),
            episode(1, "two", False, turn("a", sample(0.0, "no_answer", finish="length", tokens=9))),
            episode(3, "two", False, turn("a", sample(None, None, "infrastructure"))),
        ]
    )
    assert summary.successes == {"one": (True, False), "two": (False, False)}
    assert summary.failed == 1
    first, second = summary.agents["a"], summary.agents["b"]
    assert (first.policy, first.turns, first.reward, first.failed) == ("a's", 4, 0.25, 0.5)
    assert (first.truncated, first.tokens) == (0.25, 15 / 4)
    assert first.reasons == {"correct": 0.5, "no_answer": 0.5}
    # An action of several completions is one turn: its tokens are those of all of them.
    assert (second.turns, second.reward, second.tokens) == (1, 0.5, 4)


def test_an_agent_without_any_reward_has_none():
    lost = episode(0, "one", False, turn("a", sample(None, None, "infrastructure")), stop="failed")
    agent = summarise([lost]).agents["a"]
    assert (agent.reward, agent.failed, agent.reasons) == (None, 1, {})
