"""What the worker tells: each event is a sign of life, so a phase in which nothing moves is told once."""

import json

from pettingllms.training.events import EventStream


def test_a_phase_in_which_nothing_moves_is_told_once(tmp_path):
    events = EventStream(tmp_path / "events.jsonl")
    for done in (0, 0, 0, 1, 1):
        events.write("phase", step=1, phase="rollout", done=done, total=2)
    events.status("loading")
    events.status("loading")
    events.write("phase", step=1, phase="rollout", done=1, total=2)
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [(line["event"], line.get("done")) for line in lines] == [
        ("phase", 0),
        ("phase", 1),
        ("status", None),
        ("status", None),
        ("phase", 1),
    ]
