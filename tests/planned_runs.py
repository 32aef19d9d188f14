"""Run folders as finished runs leave them, written by hand: what estimates are made by."""

import json

STARTED = 1_796_068_369.0
"""2026-11-30T19:52:49 in Unix seconds."""


def write_run(folder, experiment, *, steps=2, tokens=96.0, rollout=4.0, ended="finished"):
    """A run of `experiment` (TOML text, resolved): all of its steps and held-out plays take equally long.

    It loads for 5 seconds, and each of its two agents answers with 6 tokens to prompts of 20.
    """
    update, rest = 6.0, 0.5
    folder.mkdir(parents=True)
    (folder / "trial.toml").write_text(experiment)
    told = {"source": str(folder.parent / "plan.toml"), "started": "2026-11-30T19:52:49+00:00"}
    told["data"] = {split: {"tasks": count} for split, count in (("train", 100), ("val", 8), ("test", 4))}
    (folder / "manifest.json").write_text(json.dumps(told))
    agents = {f"train/response_length/{name}": 6.0 for name in ("tool_generator", "reasoning_generator")}
    step = {"train/tokens": tokens, "time/rollout": rollout, "time/train": update, **agents}
    records = [{"step": 0, "time/val": 2.0, "time/test": 1.0}]
    records += [{"step": n + 1, **step, "time/step": rollout + update + rest} for n in range(steps)]
    records[-1] |= {"time/val": 2.0, "time/test": 1.0}
    write_lines(folder / "metrics.jsonl", records)
    spent = 5.0 + steps * (rollout + update + rest) + 6.0
    events = [{"time": STARTED + 3.0, "event": "started"}, {"time": STARTED + spent, "event": ended}]
    write_lines(folder / "events.jsonl", events)
    turns = [{"agent": name, "prompt_ids": [0] * 20} for name in ("tool_generator", "reasoning_generator")]
    (folder / "samples").mkdir()
    write_lines(folder / "samples" / "train-000001.jsonl", [{"turns": turns}] * 2)
    return folder


def write_lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
