"""Reading streams that grow, and the end of a log."""

import math

from pettingllms.sweep.follow import JsonLines, cause_of_death, log_tail, lost_process, numbers


def test_lines_come_when_they_are_whole(tmp_path):
    file = tmp_path / "metrics.jsonl"
    stream = JsonLines(file)
    assert stream.read() == []
    file.write_text('{"step": 1}\n{"st')
    assert stream.read() == [{"step": 1}]
    assert stream.read() == []
    with file.open("a") as more:
        more.write('ep": 2}\n')
    assert stream.read() == [{"step": 2}]


def test_what_is_no_object_is_skipped(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(b'garbage\n[1]\n\xff\xfe\n\n{"a": NaN}\n')
    (record,) = JsonLines(file).read()
    assert math.isnan(record["a"])


def test_numbers_are_kept_and_the_rest_is_not():
    assert numbers({"a": 1, "b": 0.5, "c": True, "d": None, "e": "x"}) == {"a": 1, "b": 0.5}


def test_tail_has_the_last_lines(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("".join(f"line {n}\n\n" for n in range(40)))
    assert log_tail(log) == [f"line {n}" for n in range(25, 40)]
    assert cause_of_death(log) == "the worker ended: line 39"


def test_the_launchers_own_traceback_is_left_out(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text(
        "Traceback (most recent call last):\n  worker line\nValueError: bad\n"
        'Traceback (most recent call last):\n  File "launch.py", line 1, in simple_launcher\n'
        "subprocess.CalledProcessError: Command '['python']' returned non-zero exit status 3.\n"
    )
    assert log_tail(log) == ["Traceback (most recent call last):", "  worker line", "ValueError: bad"]
    assert cause_of_death(log) == "the worker ended: ValueError: bad"


def test_a_killed_worker_is_called_killed(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("subprocess.CalledProcessError: Command '['x']' died with <Signals.SIGKILL: 9>.\n")
    assert cause_of_death(log) == "the worker was ended by SIGKILL (out of memory?)"


def test_a_log_that_is_missing_or_empty(tmp_path):
    assert log_tail(tmp_path / "log.txt") == []
    assert cause_of_death(tmp_path / "log.txt") == "the worker ended without a word"


def launched(*lines):
    """What a launcher of two processes says after `lines` of theirs."""
    return "".join(f"{line}\n" for line in lines) + (
        "W1130 09:59:37.930000 1 torch/distributed/elastic/multiprocessing/api.py:1028] Sending process "
        "18425 closing signal SIGTERM\n"
        "E1130 09:59:37.932000 1 torch/distributed/elastic/multiprocessing/api.py:1002] failed (exitcode: "
        "@STATUS@) local_rank: 1 (pid: 18426) of binary: python\n"
        "Traceback (most recent call last):\n"
        '  File "torch/distributed/launcher/api.py", line 383, in launch_agent\n'
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError:\n"
        "=======================================================\n"
        "pettingllms.training.worker FAILED\n"
        "=======================================================\n"
    )


def test_which_process_of_a_run_was_killed_and_by_what(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text(launched("process 0: another process of the run ended").replace("@STATUS@", "-9"))
    assert lost_process(log) == "process 1 of the run was ended by SIGKILL (out of memory?)"
    log.write_text(launched("boom").replace("@STATUS@", "7"))
    assert lost_process(log) == "process 1 of the run ended with status 7"
    assert log_tail(log)[0] == "boom" and "Traceback (most recent call last):" not in log_tail(log)


def test_a_process_that_was_asked_to_stop_has_not_failed(tmp_path):
    log = tmp_path / "log.txt"
    for status in ("130", "143"):
        log.write_text(launched("stopping").replace("@STATUS@", status))
        assert lost_process(log) is None
    assert lost_process(tmp_path / "none") is None
