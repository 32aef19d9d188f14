"""One engine for several trials: when it is kept, when it is not, and that no process is left."""

import os
import pickle
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from pettingllms.config.homes import engine_groups, plan_policies
from pettingllms.errors import LauncherError, RolloutError
from pettingllms.process import ENGINE_HOST
from pettingllms.rollout import engine_connection
from pettingllms.rollout.engine import generate
from pettingllms.rollout.engine_host import KEPT
from pettingllms.rollout.engine_link import Host
from pettingllms.rollout.engine_process import EngineProcess
from pettingllms.rollout.engine_settings import engine_settings
from pettingllms.sweep import engine_keeper
from pettingllms.sweep.engine_keeper import EngineKeeper
from pettingllms.sweep.progress import SilentView
from pettingllms.sweep.runner import run_trial
from pettingllms.sweep.stopping import StopRequest
from pettingllms.sweep.trial import create_trial
from pettingllms.types import Request, TokenSampling


@pytest.fixture(autouse=True)
def stub_host(monkeypatch):
    """Real processes and sockets, and an engine that needs no model."""
    monkeypatch.setattr(engine_keeper, "HOST", "stub_host")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def start(make_experiment, model, tmp_path):
    """A trial with some sections changed, in a run folder of its own."""

    def trial(rank=8, **changes):
        base = {"base_models__policy_0": {"path": str(model), "name": "shared"}}
        experiment, cells = make_experiment((rank,), **base | changes)
        number = len(list(tmp_path.glob("trial_*")))
        return create_trial(experiment, cells[0], tmp_path / f"trial_{number}", "a trial")

    return trial


@pytest.fixture
def keeper():
    with EngineKeeper() as kept:
        yield kept


@pytest.fixture
def engine_of(keeper, monkeypatch):
    """What a trial's worker talks to once the trial was prepared."""

    def connect(trial):
        for name, value in keeper.prepare(trial, StopRequest()).items():
            monkeypatch.setenv(name, value)
        return EngineProcess(settings_of(trial), trial.folder / "engine.log", lambda: None)

    return connect


def settings_of(trial):
    (asked,) = engine_groups(trial.config, plan_policies(trial.config))
    return engine_settings(trial.config, asked, Path(asked[0].path))


def ask(*seeds):
    return [Request("shared", (1, 2), TokenSampling(1.0, 32), seed) for seed in seeds]


def process_of(keeper):
    return keeper._host._group._leader.pid


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def ended(pid, seconds=60):
    deadline = time.monotonic() + seconds
    while runs(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not runs(pid)


def test_the_next_trial_gets_the_same_engine_as_new(start, keeper, engine_of, tmp_path):
    first, second = start(), start(16, training__seed=7)
    with closing(engine_of(first)) as engine:
        engine.wait_ready()
        engine.load_policy("shared", 3, tmp_path)
        before = generate(engine, ask(0, 1))
    process = process_of(keeper)
    with closing(engine_of(second)) as engine:
        engine.wait_ready()
        after = generate(engine, ask(0, 1))
    assert process_of(keeper) == process
    assert [answer.version for answer in before] == [3, 3]
    assert [answer.version for answer in after] == [0, 0]
    assert [answer.token_ids for answer in after] == [(0,), (1,)]
    assert KEPT in (second.folder / "engine.log").read_text()
    assert KEPT not in (first.folder / "engine.log").read_text()


def test_other_settings_need_an_engine_of_their_own(start, keeper, engine_of):
    first, second = start(), start(training__max_response_length=24)
    with closing(engine_of(first)) as engine:
        engine.wait_ready()
    process = process_of(keeper)
    with closing(engine_of(second)) as engine:
        engine.wait_ready()
        assert len(generate(engine, ask(0))) == 1
    assert ended(process)
    log = (second.folder / "engine.log").read_text()
    assert "it needs other settings: max_model_len" in log and KEPT not in log


def test_another_model_is_not_fetched_while_the_next_trial_waits(start, keeper, engine_of, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    first = start()
    second = start(base_models__policy_0={"path": "nobody/no-such-model", "name": "shared"})
    with closing(engine_of(first)) as engine:
        engine.wait_ready()
    keeper.prepare(second, StopRequest())
    assert "it needs other settings: model_folder" in (second.folder / "engine.log").read_text()
    assert "fetching" not in (first.folder / "engine.log").read_text()


def test_an_engine_with_requests_left_is_not_kept(start, keeper, engine_of):
    first, second = start(), start()
    with closing(engine_of(first)) as engine:
        engine.wait_ready()
        engine.submit(list(enumerate(ask(0, 1, 2))))
    process = process_of(keeper)
    with closing(engine_of(second)) as engine:
        engine.wait_ready()
        assert engine.collect() == []
    assert ended(process)
    assert "3 requests are pending" in (second.folder / "engine.log").read_text()


def test_an_engine_that_died_before_the_worker_came_is_told_with_its_log(start, keeper, monkeypatch):
    trial = start()
    address = keeper.prepare(trial, StopRequest())[ENGINE_HOST]
    process = process_of(keeper)
    os.kill(process, signal.SIGKILL)
    assert ended(process)
    (trial.folder / "engine.log").write_text("out of memory\n")
    monkeypatch.setenv(ENGINE_HOST, address)
    with pytest.raises(RolloutError, match="is not there: Connection refused; its last lines:\n  out of mem"):
        EngineProcess(settings_of(trial), trial.folder / "engine.log", lambda: None)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_gives_up_an_engine_that_dies_or_hangs(start, keeper, engine_of, monkeypatch, number):
    monkeypatch.setattr(engine_connection, "SILENT_SECONDS", 3.0)
    monkeypatch.setattr("pettingllms.rollout.engine_link.CHILD", "stub_engine")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "rollout"), prepend=os.pathsep)
    trial = start()
    with closing(engine_of(trial)) as engine:
        engine.wait_ready()
        process = process_of(keeper)
        os.kill(process, number)
        answers = generate(engine, ask(3))
        # The stub of a child tells the batch, too.
        assert [answer.token_ids for answer in answers] == [(3, 3)]
        assert ended(process), "it would keep the memory that the other needs"
    with closing(engine_of(start())) as engine:
        engine.wait_ready()
        assert [answer.token_ids for answer in generate(engine, ask(3))] == [(3,)]
        assert process_of(keeper) != process
    assert not Path(f"/proc/{process}").exists(), "it was waited for"


def test_an_engine_that_cannot_be_built_says_why(start, engine_of, model):
    trial = start()
    (model / "broken").touch()
    with closing(engine_of(trial)) as engine, pytest.raises(RolloutError, match="the model is broken"):
        engine.wait_ready()


def test_a_worker_with_other_settings_is_refused(start, keeper, tmp_path, monkeypatch):
    trial, other = start(), start(training__max_response_length=24)
    monkeypatch.setenv(ENGINE_HOST, keeper.prepare(trial, StopRequest())[ENGINE_HOST])
    engine = EngineProcess(settings_of(other), tmp_path / "engine.log", lambda: None)
    with (
        closing(engine),
        pytest.raises(RolloutError, match="of another trial; other settings were asked for: max_model_len"),
    ):
        engine.wait_ready()


def test_who_does_not_know_the_token_is_not_listened_to(start, keeper, tmp_path, monkeypatch):
    trial = start()

    class Harmful:
        def __reduce__(self):
            return Path.touch, (tmp_path / "harm",)

    monkeypatch.setenv(ENGINE_HOST, keeper.prepare(trial, StopRequest())[ENGINE_HOST])
    for token in ("", "f" * len(keeper._host.token)):
        stranger = socket.socket(socket.AF_UNIX)
        with stranger, stranger.makefile("rb") as answers:
            stranger.connect(keeper._host.path)
            with suppress(ConnectionError):
                stranger.sendall(token.encode() + pickle.dumps(Harmful()))
                assert answers.read() == b""
    engine = EngineProcess(settings_of(trial), trial.folder / "engine.log", lambda: None)
    with closing(engine):
        engine.wait_ready()
        assert len(generate(engine, ask(0))) == 1
    assert not (tmp_path / "harm").exists()


def test_a_worker_that_dies_in_the_middle_of_a_call_leaves_the_engine_whole(start, keeper):
    first, second = start(), start()
    worker = Host(keeper.prepare(first, StopRequest())[ENGINE_HOST])
    call = pickle.dumps(("submit", (list(enumerate(ask(0))),)))
    worker.calls.write(pickle.dumps(settings_of(first)) + call[:-10])
    worker.calls.flush()
    worker.end()
    process = process_of(keeper)
    keeper.prepare(second, StopRequest())
    assert process_of(keeper) == process
    assert KEPT in (second.folder / "engine.log").read_text()
    assert "Traceback" not in (first.folder / "engine.log").read_text()


def test_an_engine_whose_worker_never_came_ends_by_itself(start, keeper):
    trial = start()
    keeper.prepare(trial, StopRequest())
    process = process_of(keeper)
    keeper._host._owner.close()
    assert ended(process)
    assert (trial.folder / "engine.log").read_text() == "closed\n"


def test_only_this_user_can_reach_the_engine(start, keeper):
    keeper.prepare(start(), StopRequest())
    folder = Path(keeper._host.path).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    process = process_of(keeper)
    keeper.end()
    assert ended(process) and not folder.exists()


def test_processes_of_a_trial_start_their_own(start, keeper, engine_of):
    first, second = start(), start(launch__num_processes=2)
    with closing(engine_of(first)) as engine:
        engine.wait_ready()
    process = process_of(keeper)
    assert keeper.prepare(second, StopRequest()) == {}
    assert ended(process)
    assert not (second.folder / "engine.log").exists()


def test_after_a_stop_no_engine_is_started(start, keeper, monkeypatch):
    keeper.prepare(start(), StopRequest())
    process, stop, second = process_of(keeper), StopRequest(), start()

    def refuses(*_):
        stop.request(signal.SIGINT)
        return "it did not answer"

    monkeypatch.setattr(keeper._host, "refuses", refuses)
    assert keeper.prepare(second, stop) == {}
    assert ended(process) and keeper._host is None
    assert not (second.folder / "engine.log").exists()


def test_a_socket_that_cannot_be_made_is_a_launcher_error(start, keeper, tmp_path, monkeypatch):
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with pytest.raises(LauncherError, match="path"):
        keeper.prepare(start(), StopRequest())


def test_an_engine_that_cannot_be_started_leaves_nothing(start, keeper, monkeypatch):
    made, make = [], tempfile.TemporaryDirectory
    monkeypatch.setattr("tempfile.TemporaryDirectory", lambda **how: made.append(make(**how)) or made[-1])
    trial = start()
    (trial.folder / "engine.log").mkdir()
    with pytest.raises(LauncherError, match="cannot be started") as error:
        keeper.prepare(trial, StopRequest())
    assert not error.value.help
    assert not Path(made[0].name).exists()


def test_an_engine_that_does_not_end_costs_no_result(start, worker, keeper, monkeypatch, caplog):
    trial, folders = start(), []

    class Stubborn(SilentView):
        def begin(self, trial):
            group = keeper._host._group
            end = group.end

            def end_and_complain():
                end()
                raise LauncherError("processes of group 7 cannot be killed")

            monkeypatch.setattr(group, "end", end_and_complain)
            folders.append(Path(keeper._host.path).parent)

    result = run_trial(
        trial, Stubborn(), StopRequest(), engine=keeper, argv=worker("sys.exit(3)", trial.folder)
    )
    assert result.status == "failed"
    assert "the engine did not end: processes of group 7 cannot be killed" in caplog.text
    assert not folders[0].exists()


@pytest.mark.parametrize(("status", "kept"), [(0, True), (3, False)])
def test_it_is_kept_after_a_trial_that_completes_only(start, worker, keeper, status, kept):
    trial = start()
    source = f"""
    print(os.environ["{ENGINE_HOST}"])
    event("started", pid=os.getpid(), total_steps=2)
    sys.exit({status})
    """
    seen = []

    class Looking(SilentView):
        def begin(self, trial):
            seen.append(process_of(keeper))

    run_trial(trial, Looking(), StopRequest(), engine=keeper, argv=worker(source, trial.folder))
    assert runs(seen[0]) is kept
    assert (trial.folder / "log.txt").read_text().strip().endswith("engine")


OWNER = """
import pickle, sys, time
from pettingllms.sweep import engine_keeper
from pettingllms.sweep.stopping import StopRequest
engine_keeper.HOST = "stub_host"
keeper = engine_keeper.EngineKeeper()
keeper.prepare(pickle.load(sys.stdin.buffer), StopRequest())
print(keeper._host._group._leader.pid, keeper._host.path, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent died")
def test_it_ends_when_who_started_it_is_killed(start):
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with owner:
        pickle.dump(start(), owner.stdin)
        owner.stdin.close()
        process, address = owner.stdout.readline().split()
        process = int(process)
        assert runs(process)
        owner.kill()
    assert ended(process)
    # Who is killed cleans nothing up.
    shutil.rmtree(Path(os.fsdecode(address)).parent)
