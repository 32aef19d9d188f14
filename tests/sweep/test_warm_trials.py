"""A trial on the engine of the trial before is the same, number for number, as on an engine of its own."""

import hashlib
import json
import signal

import pytest
from scripted_experiment import write_experiment
from tiny_model_fixture import tiny_model

from pettingllms.lint.engine import CheckedCell, check_experiment
from pettingllms.rollout.engine_host import KEPT
from pettingllms.sweep.engine_keeper import EngineKeeper
from pettingllms.sweep.stopping import StopRequest
from pettingllms.sweep.trial import create_trial
from pettingllms.training import worker

__all__ = ["tiny_model"]

ACTOR_ROLLOUT_REF = "models.model_{}.ppo_trainer_config.actor_rollout_ref"


@pytest.fixture(autouse=True)
def original_signal_handlers():
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def trial(tmp_path, model, name, engine, *overrides):
    experiment = check_experiment(
        write_experiment(tmp_path, model),
        [
            f"{ACTOR_ROLLOUT_REF.format(0)}.rollout.name={engine}",
            "training.total_training_steps=1",
            "training.train_batch_size=1",
            "training.train_sample_num=2",
            "training.max_response_length=8",
            "env.options.validation_size=2",
            "env.options.test_size=1",
            *overrides,
        ],
    ).experiment
    cell = CheckedCell(0, {}, experiment.config, experiment.stored)
    return create_trial(experiment, cell, tmp_path / name, name)


def left(folder):
    """What a run leaves that must not depend on when and where it ran."""
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {
        "metrics": [
            {name: value for name, value in record.items() if not name.startswith(("time/", "perf/"))}
            for record in records
        ],
        "samples": {path.name: path.read_text() for path in (folder / "samples").iterdir()},
        "adapters": {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (folder / "checkpoints").rglob("*.safetensors")
        },
    }


@pytest.mark.parametrize("engine", ["hf", pytest.param("vllm", marks=pytest.mark.slow)])
def test_warm_and_cold_give_the_same_numbers(tmp_path, tiny_model, monkeypatch, engine):
    # An entropy bonus moves both policies, whatever their samples earn.
    moved = [f"{ACTOR_ROLLOUT_REF.format(n)}.actor.entropy_coeff=0.1" for n in (0, 1)]
    moved += [f"{ACTOR_ROLLOUT_REF.format(n)}.actor.optim.lr=0.05" for n in (0, 1)]
    cold = trial(tmp_path, tiny_model, "cold", engine, *moved, "training.seed=2")
    assert worker.main(cold.folder) == 0, (cold.folder / "events.jsonl").read_text()
    before = trial(tmp_path, tiny_model, "before", engine, *moved, "training.seed=1", "lora_rank=8")
    warm = trial(tmp_path, tiny_model, "warm", engine, *moved, "training.seed=2")
    with EngineKeeper() as keeper:
        for one in (before, warm):
            for name, value in keeper.prepare(one, StopRequest()).items():
                monkeypatch.setenv(name, value)
            assert worker.main(one.folder) == 0, (one.folder / "events.jsonl").read_text()
    assert KEPT in (warm.folder / "engine.log").read_text()
    first, second = left(cold.folder), left(warm.folder)
    assert first["adapters"] and first == second
    assert left(before.folder)["samples"] != first["samples"]
