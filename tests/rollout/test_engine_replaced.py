"""F9: an engine's process that dies or hangs is replaced, and nothing shows it but a warning."""

import json
import signal
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from served_engines import settings

from pettingllms.errors import Interrupted, RolloutError
from pettingllms.rollout import engine_connection
from pettingllms.rollout.engine_process import EngineProcess
from pettingllms.types import Request, TokenSampling

HERE = Path(__file__).parent
CALLS = 14
"""Calls of one `play`."""


@pytest.fixture(autouse=True)
def stub_child(monkeypatch):
    """Children are stubs; what says nothing for most of a second hangs."""
    monkeypatch.setattr("pettingllms.rollout.engine_link.CHILD", "stub_engine")
    monkeypatch.setattr(engine_connection, "SILENT_SECONDS", 0.8)
    monkeypatch.setenv("PYTHONPATH", f"{HERE}:{HERE.parents[1]}")


class Started:
    """Engines of one folder; `plans` say how each process that is started for them ends."""

    def __init__(self, folder, plans, check=lambda: None):
        self.folder, self.warnings = folder, []
        folder.mkdir(exist_ok=True)
        for number, plan in enumerate(plans):
            (folder / f"{number}.json").write_text(json.dumps(plan))
        told = settings(folder, policies=("a", "b"))
        self.engine = EngineProcess(told, folder / "engine.log", check, self.warnings.append)

    @property
    def processes(self):
        return [int(path.read_text()) for path in sorted(self.folder.glob("*.pid"))]


def dies(call, end="kill", when="asked"):
    return {"call": call, "end": end, "when": when}


def requests(policy, seeds):
    return [Request(policy, (1, 2), TokenSampling(1.0, 8), seed) for seed in seeds]


def play(engine, folder):
    """All kinds of calls; returns every answer in the order in which it came."""
    answers = []
    engine.load_policy("a", 1, folder / "a1")
    engine.submit(list(enumerate([*requests("a", range(3)), *requests("b", range(10, 12))])))
    while sum(map(len, answers)) < 5:
        answers.append(engine.collect())
    engine.sleep()
    engine.wake()
    engine.load_policy("a", 2, folder / "a2")
    # Two portions: the second comes while the first is worked on.
    engine.submit(list(enumerate(requests("a", range(20, 23)))))
    answers.append(engine.collect())
    engine.submit(list(enumerate(requests("a", range(30, 32)), start=5)))
    while sum(map(len, answers)) < 10:
        answers.append(engine.collect())
    answers.append(engine.collect())
    return answers


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pettingllms.rollout.engine_link.CHILD", "stub_engine")
        patch.setenv("PYTHONPATH", f"{HERE}:{HERE.parents[1]}")
        started = Started(tmp_path_factory.mktemp("stub") / "undisturbed", [])
        with closing(started.engine) as engine:
            engine.wait_ready()
            answers = play(engine, started.folder)
        assert len(started.processes) == 1 and not started.warnings
        return answers


def test_a_play_is_the_same_whichever_call_the_process_dies_in(tmp_path, undisturbed):
    before = threading.active_count()
    for call in range(1, CALLS + 1):
        started = Started(tmp_path / str(call), [dies(call, when=("asked", "done")[call % 2])])
        with closing(started.engine) as engine:
            engine.wait_ready()
            assert play(engine, started.folder) == undisturbed, call
        assert len(started.processes) == 2, f"there is no call {call}"
        (warning,) = started.warnings
        assert "ended with status -9" in warning and "started again" in warning
        assert not [number for number in started.processes if Path(f"/proc/{number}").exists()]
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ("stop", "said nothing for 0.8 seconds and was killed"),
        ("exit", "ended with status 7"),
        ("hang up", "was killed"),
        ("garble", "its answer could not be read: UnpicklingError"),
    ],
)
def test_however_it_ends_in_the_middle_of_a_wave(tmp_path, undisturbed, end, why):
    started = Started(tmp_path / "run", [dies(4, end, "done")])
    with closing(started.engine) as engine:
        engine.wait_ready()
        assert play(engine, started.folder) == undisturbed
    assert why in started.warnings[0]
    assert not [number for number in started.processes if Path(f"/proc/{number}").exists()]


def test_a_process_that_is_stopped_takes_no_calls_and_is_replaced_all_the_same(tmp_path):
    # The requests are more than a pipe holds: nobody reads them, and who submits them does not wait.
    started = Started(tmp_path / "run", [dies(1, "stop", "done")])
    many = [Request("a", tuple(range(5000)), TokenSampling(1.0, 8), seed) for seed in range(200)]
    with closing(started.engine) as engine:
        engine.wait_ready()
        engine.submit(list(enumerate(many[:1])))
        time.sleep(0.3)
        engine.submit(list(enumerate(many[1:], start=1)))
        answers = []
        while len(answers) < len(many):
            answers += engine.collect()
    assert sorted(number for number, _ in answers) == list(range(len(many)))
    assert len(started.processes) == 2


def test_it_is_noticed_while_others_work_too(tmp_path):
    # Nobody waits for the engine when it dies; who does not want to wait either gets nothing, or the answer.
    started = Started(tmp_path / "run", [dies(1, "kill", "done")])
    with closing(started.engine) as engine:
        engine.wait_ready()
        engine.submit(list(enumerate(requests("a", [1]))))
        time.sleep(0.3)
        answers = []
        while not answers:
            answers = engine.collect(wait=False)
        assert [answer.token_ids for _, answer in answers] == [(1, 1)]


def test_deaths_between_answers_are_counted_and_three_are_enough(tmp_path, undisturbed):
    # Calls of a new process: the load, the portion, then the collect in which it dies. The fourth lives.
    started = Started(tmp_path / "three", [dies(3, when="asked")] * 3)
    with closing(started.engine) as engine:
        engine.wait_ready()
        assert play(engine, started.folder) == undisturbed
    assert len(started.processes) == 4 and len(started.warnings) == 3

    started = Started(tmp_path / "four", [dies(3, when="asked")] * 4)
    with closing(started.engine) as engine:
        engine.wait_ready()
        with pytest.raises(RolloutError, match="the engine process ended with status -9; its last lines"):
            play(engine, started.folder)
    assert len(started.processes) == 4


def test_an_answer_that_is_no_news_does_not_count_as_one(tmp_path):
    # The first batch is answered again by each new process, and the second kills each.
    started = Started(tmp_path / "run", [dies(3, when="asked")] + [dies(3, when="asked")] * 9)
    with closing(started.engine) as engine:
        engine.wait_ready()
        engine.submit(list(enumerate(requests("a", range(4)))))
        assert len(engine.collect()) == 2
        with pytest.raises(RolloutError, match="status -9"):
            engine.collect()
    assert len(started.processes) == 4


def test_a_new_process_that_cannot_load_is_tried_again(tmp_path, undisturbed):
    started = Started(tmp_path / "run", [dies(4), dies(0, "exit")])
    with closing(started.engine) as engine:
        engine.wait_ready()
        assert play(engine, started.folder) == undisturbed
    assert [("status -9" in one, "status 7" in one) for one in started.warnings] == [
        (True, False),
        (False, True),
    ]


def test_a_process_that_dies_before_it_was_ready_is_an_error_at_once(tmp_path):
    started = Started(tmp_path / "run", [dies(0, "exit")])
    with closing(started.engine) as engine, pytest.raises(RolloutError, match="ended with status 7"):
        engine.wait_ready()
    assert len(started.processes) == 1


def test_a_stop_request_ends_the_wait_for_a_new_process(tmp_path):
    def check():
        if started.warnings:
            raise Interrupted(signal.SIGTERM)

    started = Started(tmp_path / "run", [dies(2), dies(0, "stop")], check=check)
    with closing(started.engine) as engine:
        engine.wait_ready()
        engine.submit(list(enumerate(requests("a", [1]))))
        with pytest.raises(Interrupted):
            engine.collect()
    assert not [number for number in started.processes if Path(f"/proc/{number}").exists()]


def test_what_was_restored_is_not_loaded_again(tmp_path):
    started = Started(tmp_path / "run", [dies(4)])
    with closing(started.engine) as engine:
        engine.wait_ready()
        engine.load_policy("a", 3, tmp_path)
        engine.restore()
        engine.submit(list(enumerate(requests("a", [1]))))
        ((_, answer),) = engine.collect()
    assert answer.version == 0 and len(started.processes) == 2
