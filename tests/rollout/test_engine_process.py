import signal
import subprocess
import sys
import time

import pytest
from served_engines import settings

from pettingllms.errors import Interrupted, RolloutError
from pettingllms.rollout.engine import generate
from pettingllms.rollout.engine_process import EngineProcess
from pettingllms.types import Request, TokenSampling


@pytest.fixture(scope="module")
def engine(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    process = EngineProcess(settings(tiny_model), folder / "engine.log", lambda: None)
    process.wait_ready()
    yield process
    process.close()


def ask(model, text, seeds):
    from pettingllms.models.tokenizer import ChatTokenizer

    ids = tuple(ChatTokenizer(model, trust_remote_code=False).encode(text))
    return [Request("p", ids, TokenSampling(1.0, 32), seed) for seed in seeds]


def test_replies_come_back_in_order_and_by_seed(engine, tiny_model):
    from pettingllms.models.tokenizer import ChatTokenizer

    tokenizer = ChatTokenizer(tiny_model, trust_remote_code=False)
    answers = generate(engine, ask(tiny_model, "What is 12 + 34?", [0, 1, 2]))
    assert [tokenizer.decode(answer.token_ids) for answer in answers] == ["12 + 34", "no", "12 + 34"]
    assert all(len(answer.logprobs) == len(answer.token_ids) for answer in answers)
    assert answers[0].token_ids[-1] == tokenizer.end_id


def test_error_in_the_engine_is_one_line_and_the_engine_lives(engine, tiny_model, tmp_path):
    with pytest.raises(RolloutError, match="FileNotFoundError"):
        engine.load_policy("p", 1, tmp_path / "nothing")
    assert len(generate(engine, ask(tiny_model, "1", [0]))) == 1


def test_loaded_version_is_answered(engine, tiny_model, tmp_path):
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    engine.load_policy("p", 7, tmp_path)
    assert generate(engine, ask(tiny_model, "1", [0]))[0].version == 7


def test_one_way_call_that_fails_is_the_answer_to_the_next_call(engine, tiny_model):
    engine._connection.send(("submit", ("too", "many", "arguments")))
    engine.submit(list(enumerate(ask(tiny_model, "1", [0]))))
    with pytest.raises(RolloutError, match="TypeError"):
        engine.collect()
    # It is told once; what was sent behind it was not carried out.
    assert engine.collect() == []
    assert len(generate(engine, ask(tiny_model, "1", [0]))) == 1


def test_sleep_and_wake_reach_the_engine(engine, tiny_model):
    engine.sleep()
    engine.wake()
    assert len(generate(engine, ask(tiny_model, "1", [0, 1]))) == 2


@pytest.fixture
def start_as(monkeypatch, tiny_model, tmp_path):
    """Start an engine process whose child runs `source` instead of an engine."""
    real, started = subprocess.Popen, []

    def start(source):
        monkeypatch.setattr(
            subprocess, "Popen", lambda _, **given: real([sys.executable, "-S", "-c", source], **given)
        )
        started.append(EngineProcess(settings(tiny_model), tmp_path / "engine.log", lambda: None))
        return started[0]

    yield start
    for process in started:
        process.close()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        # A name in a module that does not exist, one that its module does not have, no pickle at all.
        ("b'cnowhere\\nthing\\n.'", "ModuleNotFoundError: No module named 'nowhere'"),
        ("b'cos\\nnothing\\n.'", "AttributeError"),
        ("b'nonsense'", "UnpicklingError"),
    ],
)
def test_answer_that_cannot_be_read_ends_the_engine(start_as, answer, why):
    process = start_as(f"import os, time; os.write(1, {answer}); time.sleep(600)")
    with pytest.raises(RolloutError, match=f"was killed; its answer could not be read: {why}"):
        process.wait_ready()
    assert process._connection.link.process.returncode == -signal.SIGKILL
    with pytest.raises(RolloutError, match="was killed"):
        process.sleep()


def test_engine_that_hangs_up_and_does_not_end_is_killed(start_as):
    process = start_as("import os, time; os.write(2, b'so long'); os.close(1); time.sleep(600)")
    with pytest.raises(
        RolloutError, match=r"did not end by itself and was killed; its last lines:\n  so long"
    ):
        process.wait_ready()
    assert process._connection.link.process.returncode == -signal.SIGKILL


def test_engine_that_ends_after_it_hung_up_keeps_its_status(start_as):
    # It leaves when it is asked to, which is when its input ends.
    process = start_as(
        "import os, sys; os.close(1); sys.stdin.buffer.read(); sys.stderr.close(); os._exit(7)"
    )
    with pytest.raises(RolloutError, match="ended with status 7"):
        process.wait_ready()


def test_engine_that_cannot_start_says_why(tiny_model, tmp_path):
    process = EngineProcess(settings(tmp_path / "nowhere"), tmp_path / "engine.log", lambda: None)
    with pytest.raises(RolloutError, match="the engine failed"):
        process.wait_ready()
    process.close()


def test_waiting_can_be_interrupted_and_nothing_is_left(tiny_model, tmp_path):
    asked = []

    def check():
        asked.append(time.monotonic())
        raise Interrupted(signal.SIGINT)

    process = EngineProcess(settings(tiny_model), tmp_path / "engine.log", check)
    with pytest.raises(Interrupted):
        process.wait_ready()
    process.close()
    assert process._connection.link.process.returncode is not None
    assert asked
