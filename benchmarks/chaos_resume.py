"""Kills a run anywhere and goes on with it: `python -m benchmarks.chaos_resume 100`, `just chaos-resume 100`.

Each time a small run of six steps (see tally) is killed with SIGKILL at a random moment of one of its phases,
in turn rollout, reward, update, sync and save, in a random step; then it goes on to its end. Its results
(adapters, moments, counters, random states, metrics but for times, sampled texts) must have the hash of a run
that was never stopped. Prints `identical N/N` and the most whole steps that one kill made it do again; ends
with status 1 where a run differs or more than one step was done again.

`--engine vllm` does the same with vLLM's own process beside the worker, which starts anew for each run.

The moments are found from outside: `events.jsonl` says which phase begins, a file grows with each reward, and
a random delay up to the phase's own length follows.
"""

import argparse
import collections
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.tally import Fork, build_model, digest, prepare, records, warm_up

PHASES = ("rollout", "reward", "update", "sync", "save")
EVENT = {"rollout": "rollout", "reward": "rollout", "update": "train", "sync": "sync", "save": "checkpoint"}
"""The event that opens a phase; rewards come during a rollout."""
STEPS = 6
LOOK = 0.002


def lengths(folder):
    """Mean seconds of each phase in a run that has ended."""
    spent, counted = collections.Counter(), collections.Counter()
    events = [one for one in records(folder, "events.jsonl") if one["event"] == "phase"]
    begun = {}
    for one in events:
        key = (one["step"], one["phase"])
        if key not in begun:
            for other in list(begun):
                spent[other[1]] += one["time"] - begun.pop(other)
                counted[other[1]] += 1
            begun[key] = one["time"]
    return {phase: spent[phase] / counted[phase] for phase in counted}


def opened(folder, step, phase):
    """Whether the phase of the step has begun."""
    return any(
        (one.get("step"), one.get("phase")) == (step, EVENT[phase]) for one in records(folder, "events.jsonl")
    )


def rewarded(folder):
    path = folder / "rewarded"
    return path.stat().st_size if path.exists() else 0


def killed(folder, phase, step, delay, rewards):
    """Start a run and kill it there; returns whether it was killed before it ended."""
    worker = Fork(folder)
    before = None
    while not worker.ended():
        if before is None and opened(folder, step, phase):
            before = rewarded(folder)
        if before is not None and (phase != "reward" or rewarded(folder) >= before + rewards):
            time.sleep(delay)
            break
        time.sleep(LOOK)
    if worker.ended():
        return False
    worker.kill()
    return True


def done_again(folder):
    """Whole steps that are done and are after the newest whole checkpoint."""
    done = max((record["step"] for record in records(folder)), default=0)
    saved = (path.name for path in (folder / "checkpoints").glob("step_??????"))
    return done - max((int(name[5:]) for name in saved), default=0)


def main(arguments=None):
    """Kill as often as is asked for; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kills", nargs="?", type=int, default=20, help="how often to kill (default: 20)")
    parser.add_argument("--engine", choices=("hf", "vllm"), default="hf", help="vllm: a process of its own")
    parser.add_argument("--seed", type=int, default=0, help="of steps and delays")
    options = parser.parse_args(arguments)
    chance = random.Random(options.seed)
    begin = time.monotonic()
    warm_up(inside=options.engine == "hf")
    changes = () if options.engine == "hf" else (('name = "hf"', f'name = "{options.engine}"'),)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        model = build_model(root / "model")
        whole = prepare(root / "whole", model, changes)
        assert Fork(whole).wait() == 0, (whole / "log.txt").read_text()
        wanted, seconds = digest(whole), lengths(whole)
        print("seconds of a phase: " + ", ".join(f"{one} {seconds[one]:.3f}" for one in seconds), flush=True)
        identical, again, by_phase = 0, 0, collections.Counter()
        for number in range(options.kills):
            phase, step = PHASES[number % len(PHASES)], chance.randint(1, STEPS)
            # The last save is followed by nothing: a run must not end before it is killed.
            delay = chance.random() * seconds[EVENT[phase]] * (0.1 if phase == "reward" else 1.0)
            folder = root / f"run{number}"
            while not killed(prepare(folder, model, changes), phase, step, delay, chance.randint(1, 12)):
                shutil.rmtree(folder)
                delay /= 2
            lost = done_again(folder)
            worker = Fork(folder)
            same = worker.wait() == 0 and digest(folder) == wanted
            identical, again = identical + same, max(again, lost)
            by_phase[phase] += 1
            if not same or lost > 1:
                print(
                    f"kill {number} in {phase} of step {step} after {delay:.3f} s: {lost} steps done again, "
                    f"{'identical' if same else 'DIFFERENT'}",
                    flush=True,
                )
                print((folder / "log.txt").read_text()[-2000:], flush=True)
            shutil.rmtree(folder)
            if (number + 1) % 10 == 0:
                print(f"so far identical {identical}/{number + 1}", file=sys.stderr, flush=True)
    print(f"kills by phase: {dict(by_phase)}; {time.monotonic() - begin:.0f} s")
    print(f"most whole steps done again: {again}")
    print(f"identical {identical}/{options.kills}")
    return 0 if identical == options.kills and again <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
