"""Whole runs in which something goes wrong, and that go on, or end and say why."""

import hashlib
import math
import os
import signal
import zlib

import pytest
from test_worker import (  # fixtures are used by name
    events,
    lines,
    original_signal_handlers,  # noqa: F401
    prepared,
    without_times,
)

from pettingllms.envs.math import MathEnv
from pettingllms.rollout import engine_connection
from pettingllms.rollout.engine_process import EngineProcess
from pettingllms.training import assembly, loop, worker
from pettingllms.training.stopping import StopFlag

ACTOR_ROLLOUT_REF = "models.model_{}.ppo_trainer_config.actor_rollout_ref"


def left(folder):
    """What a run leaves but times."""
    return {
        "metrics": without_times(folder),
        "samples": {path.name: path.read_text() for path in (folder / "samples").iterdir()},
        "weights": {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (folder / "checkpoints").rglob("*.safetensors")
        },
    }


HF = [
    f"{ACTOR_ROLLOUT_REF.format(0)}.rollout.name=hf",
    *(f"{ACTOR_ROLLOUT_REF.format(n)}.actor.entropy_coeff=0.1" for n in (0, 1)),
    *(f"{ACTOR_ROLLOUT_REF.format(n)}.actor.optim.lr=0.05" for n in (0, 1)),
    "training.total_training_steps=3",
    "training.max_response_length=8",
    "training.val_freq=3",
]


@pytest.fixture(scope="module")
def undisturbed(tiny_model, tmp_path_factory):
    """What three steps with the hf engine leave."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    folder = prepared(tmp_path_factory.mktemp("undisturbed"), tiny_model, *HF)
    assert worker.main(folder) == 0
    for number, handler in handlers.items():
        signal.signal(number, handler)
    return left(folder)


@pytest.mark.parametrize(
    ("number", "phase"),
    [
        (signal.SIGKILL, "rollout"),
        pytest.param(signal.SIGKILL, "sync", marks=pytest.mark.slow),
        pytest.param(signal.SIGSTOP, "rollout", marks=pytest.mark.slow),
        pytest.param(signal.SIGSTOP, "sync", marks=pytest.mark.slow),
    ],
)
def test_f09_an_engine_that_dies_in_the_second_step_changes_no_number(
    tmp_path, tiny_model, monkeypatch, undisturbed, number, phase
):
    monkeypatch.setattr(engine_connection, "SILENT_SECONDS", 3.0)
    folder, engines, killed = prepared(tmp_path, tiny_model, *HF), [], []

    class Kept(EngineProcess):
        def __init__(self, *told):
            super().__init__(*told)
            engines.append(self)

    class KillsOnce(StopFlag):
        def check(self):
            # Asked while an answer is awaited: in the middle of a wave, or of a load.
            now = {"step": 2, "phase": phase}
            if not killed and any(now.items() <= event.items() for event in events(folder, "phase")):
                process = engines[0]._connection.link.process
                killed.append(process.pid)
                os.kill(process.pid, number)
            super().check()

    monkeypatch.setattr(assembly, "EngineProcess", Kept)
    monkeypatch.setattr(worker, "StopFlag", KillsOnce)
    assert worker.main(folder) == 0, events(folder, "error")
    assert killed and left(folder) == undisturbed
    (warning,) = events(folder, "warning")
    assert "the engine process" in warning["text"] and "started again" in warning["text"]
    with pytest.raises(ChildProcessError):
        os.waitpid(killed[0], os.WNOHANG)


@pytest.fixture
def bad_in(monkeypatch):
    """Make the loss of a policy no number in some of its updates."""

    def use(policy, *updates):
        class Bad(loop.Update):
            count = 0

            def run(self):
                if self._policy == policy:
                    Bad.count += 1
                return super().run()

            def _accumulate(self, *arguments):
                loss, sums = super()._accumulate(*arguments)
                return (math.nan if self._policy == policy and Bad.count in updates else loss), sums

        monkeypatch.setattr(loop, "Update", Bad)

    return use


def test_f07_a_policy_without_numbers_in_one_step_leaves_the_other_as_it_was(tmp_path, tiny_model, bad_in):
    # Replies of the scripted engine depend on no weights: both runs play the same.
    words = ["training.total_training_steps=3", "training.train_batch_size=8"]
    clean, bad = (prepared(tmp_path, tiny_model, *words, name=name) for name in ("clean", "bad"))
    assert worker.main(clean) == 0
    bad_in("reason/policy", 2)
    assert worker.main(bad) == 0
    for step in (2, 3):
        same, other = (f"checkpoints/step_{step:06d}/policies/{n}/adapter_model.safetensors" for n in (0, 1))
        assert (bad / same).read_bytes() == (clean / same).read_bytes()
        assert (bad / other).read_bytes() != (clean / other).read_bytes()
    record = lines(bad / "metrics.jsonl")[2]
    assert record["train/dropped_steps/reason/policy"] == 1
    assert "is no number" in events(bad, "warning")[0]["text"]


@pytest.mark.slow
def test_f07_three_steps_in_a_row_stop_the_run(tmp_path, tiny_model, bad_in):
    folder = prepared(tmp_path, tiny_model, "training.total_training_steps=9", "training.train_batch_size=8")
    bad_in("reason/policy", 1, 3, 4, 5)
    assert worker.main(folder) == 3
    (error,) = events(folder, "error")
    assert "policy 'reason/policy' is no number in step 5" in error["text"]
    assert "train/grad_norm/reason/policy" in error["text"] and "\n" not in error["text"]


@pytest.mark.parametrize(("share", "status"), [(0.5, 3), (1.0, 0)])
def test_f06_more_failures_than_are_allowed_stop_the_run(tmp_path, tiny_model, monkeypatch, share, status):
    def rewarded(self):
        # Seven of ten states, whichever those are.
        if zlib.crc32(f"{self.task.id}/{self.program}/{self.answer}".encode()) % 10 < 7:
            raise ZeroDivisionError("no reward")
        return 0.0

    monkeypatch.setattr(MathEnv, "team_reward", rewarded)
    words = [f"+training.max_failed_share={share}", "training.train_batch_size=8", "training.val_freq=2"]
    words += ["training.total_training_steps=1", "env.options.validation_size=16", "env.options.test_size=0"]
    folder = prepared(tmp_path, tiny_model, *words)
    assert worker.main(folder) == status
    if status:
        (error,) = events(folder, "error")
        assert "max_failed_share = 0.5: ZeroDivisionError: no reward (test_worker_guards.py:" in error["text"]
    else:
        assert all(record["train/failed_actions"] > 0 for record in lines(folder / "metrics.jsonl")[1:])
