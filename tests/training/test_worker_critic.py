"""Whole runs with critics: values come with the samples, and are what advantages are made of."""

import json
import os
import shutil
import signal

import pytest
from test_worker import events, lines, original_signal_handlers, prepared, without_times

from pettingllms.training import worker
from pettingllms.training.stopping import StopFlag

__all__ = ["original_signal_handlers"]
TRAINER = "+models.model_{}.ppo_trainer_config"
POLICY, AGENT = "tool policy", "tool_generator"


def judged(tmp_path, model, *overrides, own=False, name="run"):
    """A run of two policies with critics: heads on their bodies; if `own`, one has a model of its own."""
    critics = ["{ optim.lr = 0.1 }"] * 2
    if own:
        critics[0] = f"{{ model.path = '{model}', model.lora_rank = 4, optim.lr = 0.01, ppo_epochs = 2 }}"
    return prepared(
        tmp_path,
        model,
        *(f"{TRAINER.format(n)}.algorithm={{ adv_estimator = 'gae', lam = 0.9 }}" for n in (0, 1)),
        *(f"{TRAINER.format(n)}.critic={critic}" for n, critic in enumerate(critics)),
        "training.val_freq=9",
        *overrides,
        name=name,
    )


def samples(folder, step):
    return [
        sample
        for episode in lines(folder / "samples" / f"train-{step:06d}.jsonl")
        for turn in episode["turns"]
        if turn["agent"] == AGENT
        for sample in turn["samples"]
    ]


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("mode", ["tree", "independent"])
def test_a_run_with_critics(tmp_path, tiny_model, mode, own):
    chained = [f"{TRAINER.format(n)}.algorithm.grouping=trajectory" for n in (0, 1)]
    more = [*chained, "training.rollout_mode=independent"] if mode == "independent" else []
    folder = judged(tmp_path, tiny_model, *more, own=own)
    assert worker.main(folder) == 0
    record = lines(folder / "metrics.jsonl")[2]
    for key in ("value_loss", "value_clip_fraction", "critic_grad_norm", "critic_lr", "loss"):
        assert f"train/{key}/{POLICY}" in record
    first, second = (samples(folder, step) for step in (1, 2))
    assert {value for sample in first for value in sample["values"]} == {0}
    assert len({value for sample in second for value in sample["values"]}) > 1
    for sample in first + second:
        count = len(sample["token_ids"])
        assert [len(sample[key]) for key in ("values", "advantages", "returns")] == [count] * 3
        assert sample["advantage"] == pytest.approx(sum(sample["advantages"]) / count)
        if mode == "tree":
            # The last token's return is the reward of the action: nothing follows.
            assert sample["returns"][-1] == pytest.approx(sample["reward"], abs=1e-5)
    numbers = [one for sample in first for one in sample["advantages"]]
    assert sum(numbers) / len(numbers) == pytest.approx(0, abs=1e-6)
    assert sum(one * one for one in numbers) / (len(numbers) - 1) == pytest.approx(1)


def test_in_the_warm_up_only_critics_learn(tmp_path, tiny_model):
    folder = judged(tmp_path, tiny_model, f"{TRAINER.format(0)}.trainer.critic_warmup=1")
    assert worker.main(folder) == 0
    assert [{one["version"] for one in samples(folder, step)} for step in (1, 2)] == [{0}, {0}]
    first, second = lines(folder / "metrics.jsonl")[1:]
    assert f"train/value_loss/{POLICY}" in first and f"train/loss/{POLICY}" not in first
    assert f"train/loss/{POLICY}" in second
    assert len({value for one in samples(folder, 2) for value in one["values"]}) > 1


def test_same_seed_same_run_with_critics(tmp_path, tiny_model):
    folders = [judged(tmp_path, tiny_model, own=True, name=name) for name in ("a", "b")]
    assert [worker.main(folder) for folder in folders] == [0, 0]
    one, other = folders
    assert without_times(one) == without_times(other)
    assert samples(one, 2) == samples(other, 2)


def test_a_stop_in_a_step_leaves_critics_as_they_were(tmp_path, tiny_model, monkeypatch):
    folder = judged(tmp_path, tiny_model)
    kept = {}

    class StopsAfterTheCritics(StopFlag):
        def check(self):
            critics = loops[0].critics if loops else {}
            done = [critic.updates for critic in critics.values()]
            if done == [1, 1] and not kept:
                kept.update({name: critic.state() for name, critic in critics.items()})
            # The first critic has learned from the second step, and its policy is about to.
            if done == [2, 1]:
                os.kill(os.getpid(), signal.SIGINT)
            super().check()

    loops = []
    build = worker._build_loop

    def built(*arguments):
        loops.append(build(*arguments))
        return loops[0]

    monkeypatch.setattr(worker, "_build_loop", built)
    monkeypatch.setattr(worker, "StopFlag", StopsAfterTheCritics)
    assert worker.main(folder) == 130
    assert kept and events(folder, "interrupted")
    for name, critic in loops[0].critics.items():
        (tensors, values), (wanted, numbers) = critic.state(), kept[name]
        assert values == numbers == {"updates": 1}
        assert all((tensors[key] == wanted[key]).all() for key in wanted)


def test_a_critic_of_another_tokenizer_is_refused(tmp_path, tiny_model):
    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    settings = json.loads((other / "tokenizer.json").read_text())
    vocabulary = settings["model"]["vocab"]
    one, two = list(vocabulary)[10:12]
    vocabulary[one], vocabulary[two] = vocabulary[two], vocabulary[one]
    (other / "tokenizer.json").write_text(json.dumps(settings))
    folder = judged(tmp_path, tiny_model, f"{TRAINER.format(1)}.critic.model.path={other}")
    assert worker.main(folder) == 1
    (error,) = events(folder, "error")
    assert "policy 'reason/policy': critic.model.path" in error["text"]
    assert "another tokenizer than the policy" in error["text"]
