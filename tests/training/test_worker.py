"""The whole worker, in this process, on a tiny model with the scripted engine."""

import json
import os
import signal
import time
import types
import typing

import pytest
from scripted_experiment import write_experiment

from pettingllms.config.model import ConfigModel, Only
from pettingllms.config.prompt_search import PromptSearchConfig
from pettingllms.config.sweep import (
    SAMPLER_OPTIONS,
    BudgetConfig,
    CmaesConfig,
    NsgaiiConfig,
    PrunerConfig,
    QmcConfig,
    RandomConfig,
    TpeConfig,
)
from pettingllms.config.trial_file import trial_toml
from pettingllms.lint.engine import check_experiment
from pettingllms.training import worker
from pettingllms.training.stopping import StopFlag


@pytest.fixture(autouse=True)
def original_signal_handlers():
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def prepared(tmp_path, model, *overrides, name="run"):
    experiment = check_experiment(write_experiment(tmp_path, model), overrides).experiment
    folder = tmp_path / name
    folder.mkdir()
    (folder / "trial.toml").write_text(trial_toml(experiment.stored))
    return folder


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def events(folder, kind):
    return [event for event in lines(folder / "events.jsonl") if event["event"] == kind]


def test_run_leaves_metrics_samples_checkpoints_and_events(tmp_path, tiny_model):
    folder = prepared(tmp_path, tiny_model)
    assert worker.main(folder) == 0
    records = lines(folder / "metrics.jsonl")
    assert [record["step"] for record in records] == [0, 1, 2]
    assert {"val/success_rate", "test/success_rate"} <= records[0].keys()
    assert "val/success_rate" in records[1] and "test/success_rate" not in records[1]
    assert {"val/success_rate", "test/success_rate", "train/reward/tool_generator"} <= records[2].keys()
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == ["step_000001", "step_000002"]
    assert [event["pid"] for event in events(folder, "started")] == [os.getpid()]
    assert events(folder, "finished") and not events(folder, "error")


def test_logged_numbers_are_those_of_the_saved_samples(tmp_path, tiny_model):
    folder = prepared(tmp_path, tiny_model)
    worker.main(folder)
    record = lines(folder / "metrics.jsonl")[1]
    episodes = lines(folder / "samples" / "train-000001.jsonl")
    assert len(episodes) == 2
    turns = [turn for episode in episodes for turn in episode["turns"]]
    assert [len(turn["samples"]) for turn in turns] == [4] * 4
    samples = [sample for turn in turns for sample in turn["samples"]]
    assert record["train/tokens"] == sum(len(sample["token_ids"]) for sample in samples)
    rewards = [s["reward"] for turn in turns if turn["agent"] == "tool_generator" for s in turn["samples"]]
    assert record["train/reward/tool_generator"] == pytest.approx(sum(rewards) / len(rewards))
    last = [sample["success"] for episode in episodes for sample in episode["turns"][-1]["samples"]]
    assert record["train/success_rate"] == sum(last) / 8
    for turn in turns:
        flat = len({sample["reward"] for sample in turn["samples"]}) == 1
        assert all((sample["advantage"] == 0) is flat for sample in turn["samples"] if flat)
        assert sum(sample["advantage"] for sample in turn["samples"]) == pytest.approx(0, abs=1e-9)


def test_samples_carry_the_version_that_sampled_them(tmp_path, tiny_model):
    folder = prepared(tmp_path, tiny_model, "training.train_batch_size=8")
    worker.main(folder)
    for step in (1, 2):
        episodes = lines(folder / "samples" / f"train-{step:06d}.jsonl")
        assert {s["version"] for e in episodes for t in e["turns"] for s in t["samples"]} == {step - 1}


def without_times(folder):
    return [
        {name: value for name, value in record.items() if not name.startswith(("time/", "perf/"))}
        for record in lines(folder / "metrics.jsonl")
    ]


def test_same_seed_same_run_other_seed_another(tmp_path, tiny_model):
    folders = [
        prepared(tmp_path, tiny_model, f"training.seed={seed}", name=name)
        for name, seed in (("a", 5), ("b", 5), ("c", 6))
    ]
    for folder in folders:
        assert worker.main(folder) == 0
    first, again, other = (without_times(folder) for folder in folders)
    samples = [{path.name: path.read_text() for path in (folder / "samples").iterdir()} for folder in folders]
    assert len(samples[0]) == 7, "val at steps 0 to 2, test before the first and after the last, two steps"
    assert first == again and samples[0] == samples[1]
    assert first != other and samples[0] != samples[2]


def test_frozen_agent_trains_nothing(tmp_path, tiny_model):
    freeze = "agent_policy_configs.agent_configs.agent_1.trained=false"
    folder = prepared(tmp_path, tiny_model, freeze, "training.train_batch_size=8")
    assert worker.main(folder) == 0
    state = json.loads((folder / "checkpoints" / "step_000002" / "state.json").read_text())
    assert {p["name"]: p["version"] for p in state["policies"]} == {"tool policy": 2, "reason/policy": 0}
    record = lines(folder / "metrics.jsonl")[2]
    assert "train/loss/tool policy" in record and "train/loss/reason/policy" not in record


def test_third_agent_by_the_file_alone(tmp_path, tiny_model):
    third = '{ name = "verifier", policy_name = "tool policy" }'
    folder = prepared(
        tmp_path,
        tiny_model,
        "agent_policy_configs.num_agents=3",
        f"+agent_policy_configs.agent_configs.agent_2={third}",
        "multi_agent_interaction.turn_order=[tool_generator,reasoning_generator,verifier]",
        "env.max_turns=3",
        "training.max_prompt_length=200",
    )
    assert worker.main(folder) == 0
    assert "train/reward/verifier" in lines(folder / "metrics.jsonl")[1]


def test_stop_request_leaves_a_checkpoint_and_its_status(tmp_path, tiny_model, monkeypatch):
    folder = prepared(tmp_path, tiny_model, "training.total_training_steps=50")
    checks = []

    class StopsInTheSecondStep(StopFlag):
        def check(self):
            if len(list((folder / "samples").glob("train-*"))) >= 2:
                checks.append(1)
                os.kill(os.getpid(), signal.SIGINT)
            super().check()

    monkeypatch.setattr(worker, "StopFlag", StopsInTheSecondStep)
    assert worker.main(folder) == 130
    assert checks
    saved = events(folder, "checkpoint")[-1]["path"]
    assert saved.endswith("step_000001"), "the second step was not finished"
    assert events(folder, "interrupted") and not events(folder, "finished")


@pytest.mark.parametrize("phase", ["rollout", "train", "sync"])
def test_a_stop_anywhere_in_a_step_leaves_the_step_before_as_it_was(tmp_path, tiny_model, monkeypatch, phase):
    control = "{ use_kl_in_reward = true, kl_ctrl = { type = 'adaptive', kl_coef = 0.5, horizon = 10 } }"
    folder = prepared(
        tmp_path,
        tiny_model,
        f"+models.model_0.ppo_trainer_config.algorithm={control}",
        "training.train_batch_size=8",
        "training.val_freq=9",
    )
    kept = folder / "checkpoints" / "step_000001"
    before = {}

    class StopsInTheSecondStep(StopFlag):
        def check(self):
            seen = [e for e in events(folder, "phase") if e["step"] == 2 and e["phase"] == phase]
            if seen and not before:
                while not kept.exists():  # it is written beside the second step
                    time.sleep(0.01)
                before.update({path: path.read_bytes() for path in kept.rglob("*") if path.is_file()})
                os.kill(os.getpid(), signal.SIGINT)
            super().check()

    monkeypatch.setattr(worker, "StopFlag", StopsInTheSecondStep)
    assert worker.main(folder) == 130
    assert before and {path: path.read_bytes() for path in before} == before
    assert [path.name for path in kept.parent.iterdir()] == ["step_000001"]
    assert [record["step"] for record in lines(folder / "metrics.jsonl")] == [0, 1]


def test_failure_is_one_line_in_the_events_and_a_status(tmp_path, tiny_model):
    folder = prepared(tmp_path, tiny_model, "training.train_batch_size=500")
    assert worker.main(folder) == 1
    (error,) = events(folder, "error")
    assert "train_batch_size = 500" in error["text"] and "\n" not in error["text"]


def sections(model=None, seen=None):
    """Every configuration type that can be reached from the experiment."""
    from pettingllms.config.experiment import ExperimentConfig

    seen = {} if seen is None else seen
    model = model or ExperimentConfig
    if model in seen:
        return seen
    seen[model] = None

    def types_in(annotation):
        if isinstance(annotation, type) and issubclass(annotation, ConfigModel):
            yield annotation
        for argument in typing.get_args(annotation):
            if not isinstance(argument, types.NoneType):
                yield from types_in(argument)

    for field in model.model_fields.values():
        for found in types_in(field.annotation):
            sections(found, seen)
    return seen


TRAINER = "+models.model_0.ppo_trainer_config"
EVERYTHING = [
    # What is read only where other keys ask for it.
    f"{TRAINER}.filter_method=dapo",
    f"{TRAINER}.algorithm={{ use_kl_in_reward = true, kl_ctrl.type = 'adaptive' }}",
    f"{TRAINER}.actor_rollout_ref.actor.use_dynamic_bsz=false",
    f"{TRAINER}.actor_rollout_ref.actor.optim.warmup_style=cosine",
    f"{TRAINER}.actor_rollout_ref.actor.use_kl_loss=true",
    "training.max_response_length=16",
    "+models.model_1.ppo_trainer_config.algorithm.adv_estimator=gae",
    "+models.model_1.ppo_trainer_config.critic={ model.lora_rank = 2, optim.warmup_style = 'cosine' }",
    "+models.model_1.ppo_trainer_config.critic.model.path=${base_models.policy_1.path}",
]


def test_every_key_is_read_or_refused_when_set(tmp_path, tiny_model, monkeypatch):
    from pettingllms.sweep.launch import launch_argv

    read = set()
    original = ConfigModel.__getattribute__

    def recording(self, name):
        if name in type(self).model_fields:
            read.add((type(self).__name__, name))
        return original(self, name)

    path = write_experiment(tmp_path, tiny_model)
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setattr(ConfigModel, "__getattribute__", recording)
    report = check_experiment(path, EVERYTHING)
    assert not report.refused
    (folder / "trial.toml").write_text(trial_toml(report.experiment.stored))
    launch_argv(report.experiment.config, folder, 1)
    assert worker.main(folder) == 0
    monkeypatch.undo()

    def refused(field):
        return any(isinstance(mark, Only) for mark in field.metadata)

    # A study reads these; tests/sweep/test_advisor_samplers.py sees that no option of theirs is left out.
    whole = {PrunerConfig, BudgetConfig, RandomConfig, TpeConfig, NsgaiiConfig, QmcConfig, CmaesConfig}
    # Without effect where weights are trained; tests of the search for prompts see that it reads them.
    whole |= {PromptSearchConfig}
    unread = {
        f"{model.__name__}.{name}"
        for model in sections()
        if model not in whole
        for name, field in model.model_fields.items()
        if (model.__name__, name) not in read and not refused(field)
    }
    # Read by a study and by the loggers that this run has not: tested with those.
    elsewhere = {"TrainingConfig.project_name", "TrainingConfig.experiment_name"}
    elsewhere |= {"ObjectiveConfig.metric", "ObjectiveConfig.direction", "SweepConfig.objectives"}
    elsewhere |= {"ExperimentConfig.defaults", "ExperimentConfig.format"}  # composition and the linter
    elsewhere |= {"TrainingConfig.ray_wait_register_center_timeout"}  # PLM906 says that it has no effect
    elsewhere |= {f"SweepConfig.{name}" for name in ("constraints", "space", "trials", "seed", "sampler")}
    elsewhere |= {f"SweepConfig.{name}" for name in ("pruner", "budget", "retries", "stall_minutes")}
    elsewhere |= {f"SweepConfig.{name}" for name in SAMPLER_OPTIONS}
    elsewhere |= {"ExperimentConfig.sweep", "ExampleTurn.user", "ExampleTurn.assistant"}
    assert unread - elsewhere == set()
