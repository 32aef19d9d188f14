"""Records of steps that are computed again are taken out; others stay byte for byte."""

import json

import pytest

from pettingllms.runs.records import cut_records, last_event, mend_lines


@pytest.fixture
def run(tmp_path):
    (tmp_path / "samples").mkdir()
    for split, step in (("val", 0), ("train", 1), ("train", 2), ("val", 2), ("train", 3)):
        (tmp_path / "samples" / f"{split}-{step:06d}.jsonl").write_text("{}\n")
    lines = [json.dumps({"step": step, "train/loss": float("nan")}) + "\n" for step in range(4)]
    (tmp_path / "metrics.jsonl").write_text("".join(lines))
    (tmp_path / "events.jsonl").write_text('{"event": "started"}\n{"event": "phase", "step": 3}\n')
    return tmp_path


def names(run):
    return sorted(path.name for path in (run / "samples").iterdir())


def steps(run):
    return [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_later_steps_go(run):
    cut_records(run, 2)
    assert steps(run) == [0, 1, 2]
    assert names(run) == ["train-000001.jsonl", "train-000002.jsonl", "val-000000.jsonl", "val-000002.jsonl"]
    assert len((run / "events.jsonl").read_text().splitlines()) == 2, "what happened has happened"


def test_nothing_goes_twice(run):
    cut_records(run, 1)
    kept = (run / "metrics.jsonl").read_bytes()
    cut_records(run, 1)
    assert (run / "metrics.jsonl").read_bytes() == kept


def test_without_a_checkpoint_everything_goes(run):
    cut_records(run, -1)
    assert steps(run) == [] and names(run) == []


@pytest.mark.parametrize("torn", ['{"step": 4', '{"step": 4, "x": 1}', "\x00\x00\x00"])
def test_half_a_line_goes(run, torn):
    for name in ("metrics.jsonl", "events.jsonl"):
        with (run / name).open("a") as file:
            file.write(torn)
    cut_records(run, 9)
    assert steps(run) == [0, 1, 2, 3]
    mend_lines(run / "events.jsonl")
    assert (run / "events.jsonl").read_text().endswith('"step": 3}\n')
    mend_lines(run / "nothing.jsonl")


def test_a_run_without_records_is_fine(tmp_path):
    cut_records(tmp_path, 3)
    assert list(tmp_path.iterdir()) == []


def test_the_last_event_is_what_it_said_last(run, tmp_path_factory):
    assert last_event(run) == "phase"
    assert last_event(tmp_path_factory.mktemp("empty")) is None
    (run / "events.jsonl").write_text("")
    assert last_event(run) is None
