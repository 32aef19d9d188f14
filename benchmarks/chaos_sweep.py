"""Kills workers of a study at random, and counts what was lost: `just chaos-sweep`.

A study of 40 cells, four workers, on each storage: the study's folder, and PostgreSQL on the loopback
interface, which is started here. Three workers are killed with SIGKILL at random moments; a new one takes the
place of each. The trials of 37 cells run inside the workers, six steps of a tenth of a second; one of them
has NaN as its objective, one crashes, one hangs; a pruner stops some. Three cells are real ones: `accelerate
launch`, a tiny model, the scripted engine.

What happened is read from a file that the launchers write, to which each word is appended by itself and
which the ledger knows nothing of, with the moments of the kills. Printed for each storage:

  lost     cells that did not end, or ended without a reason, or that nobody ran, or of which Optuna has
           another end than the ledger
  doubled  trials of a cell that ran while another of it ran, or after one that had ended, unless its worker
           was killed with the result in its hands

and how often a log says "database is locked". Ends with status 1 where one of them is not 0.
"""

import argparse
import collections
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from benchmarks.one_agent import write_study
from benchmarks.tally import build_model
from pettingllms.sweep.launcher import ProcessLauncher
from pettingllms.sweep.runner import TrialResult
from pettingllms.sweep.start import Asked
from pettingllms.sweep.start_sweep import SweepOptions, start_sweep
from pettingllms.sweep.trial import Trial

STEPS, STEP_SECONDS = 6, 0.1
NAN, CRASH, HANG = 11, 17, 23
REAL = (2, 14, 29)
LEASE = 30.0
HANGING = 300.0
"""How much longer the silence of the trial that hangs seems: a study waits five minutes for a word."""
METRIC = "val/success_rate"

SWEEP = """
pruner = { kind = "median", startup_trials = 4, warmup_steps = 3 }
stall_minutes = 5.0
"""


class Evidence:
    """A file to which each word is appended by itself, from any process."""

    def __init__(self, path):
        self.path = path
        self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def say(self, event, **fields):
        record = {"time": time.monotonic(), "pid": os.getpid(), "event": event, **fields}
        os.write(self._handle, json.dumps(record).encode() + b"\n")

    def read(self):
        return [json.loads(line) for line in self.path.read_bytes().splitlines()]


class InsideTrial:
    """A trial without a process: a step whenever its time has come."""

    def __init__(self, cell, folder, title, view, evidence):
        self._cell, self._folder, self._view, self._evidence = cell.number, folder, view, evidence
        self._begin, self._step, self._ends = time.monotonic(), 0, None
        self._metrics = {}
        view.begin(Trial(cell.number, folder, cell.values, cell.config, title))

    @property
    def silent_seconds(self):
        hangs = self._cell == HANG and self._step >= 2
        return (time.monotonic() - self._begin) * HANGING if hangs else 0.0

    def poll(self):
        if self._ends is None:
            self._go_on()
        if self._ends is None:
            return None
        status, reason = self._ends
        self._evidence.say("end", cell=self._cell, status=status)
        return TrialResult(status, 0, self._metrics, reason, self._folder / "log.txt", None, 0.0)

    def stop(self, number, within=None):  # noqa: ARG002 - it stops at once
        self._ends = self._ends or ("interrupted", f"signal {number}")

    def kill(self):
        self.stop(9)

    def _go_on(self):
        while self._ends is None and time.monotonic() > self._begin + STEP_SECONDS * (self._step + 1):
            if self._cell == HANG and self._step >= 2:
                return
            if self._cell == CRASH and self._step >= 2:
                self._ends = ("failed", "ValueError: it crashed")
                return
            self._step += 1
            value = math.nan if self._cell == NAN else score(self._cell, self._step)
            self._metrics = {METRIC: value}
            self._view.metrics({"step": self._step, **self._metrics})
            if self._step == STEPS:
                self._ends = ("complete", None)


class RealTrial:
    """A trial of the real launcher, with its end in evidence."""

    def __init__(self, running, cell, evidence):
        self._running, self._cell, self._evidence = running, cell, evidence

    def __getattr__(self, name):
        return getattr(self._running, name)

    def poll(self):
        result = self._running.poll()
        if result is not None:
            self._evidence.say("end", cell=self._cell, status=result.status)
        return result


class ChaosLauncher:
    """Starts three cells as processes and the others inside."""

    def __init__(self, loaded, stop, evidence):
        self._real, self._evidence = ProcessLauncher(loaded, stop), evidence

    def start(self, cell, folder, title, view, slot, while_waiting):
        if cell.number in REAL:
            # The lock of the folder is taken first: a trial that it keeps from starting was not started.
            running = self._real.start(cell, folder, title, view, slot, while_waiting)
            self._evidence.say("start", cell=cell.number, real=True)
            return RealTrial(running, cell.number, self._evidence)
        self._evidence.say("start", cell=cell.number)
        return InsideTrial(cell, folder, title, view, self._evidence)

    def close(self):
        self._real.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def score(cell, step):
    """The objective of a cell at a step: better cells are better from the second step on."""
    quality = random.Random(cell).random()
    return quality * step / STEPS + 0.05 * random.Random(100 * cell + step).random()


def work(options):
    """What a worker does; returns its exit status."""
    evidence = Evidence(options.evidence)

    def launcher(loaded, stop):
        return ChaosLauncher(loaded, stop, evidence)

    settings = SweepOptions(options.output, options.storage, 1, LEASE)
    return start_sweep(Asked(options.file), settings, as_json=False, launcher=launcher)


class Workers:
    """Processes at work on a study, some of which are killed."""

    def __init__(self, file, folder, storage, evidence):
        self._words = [sys.executable, "-m", "benchmarks.chaos_sweep", "--work", str(file)]
        self._words += ["--output", str(folder / "outputs"), "--evidence", str(evidence.path)]
        self._words += ["--storage", storage] if storage else []
        self._folder, self._evidence = folder, evidence
        self.running, self.logs = {}, []

    def start(self):
        log = self._folder / f"worker-{len(self.logs)}.log"
        self.logs.append(log)
        with log.open("wb") as stream:
            process = subprocess.Popen(self._words, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL)
        self.running[process.pid] = process

    def kill(self, pid):
        process = self.running.pop(pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self._evidence.say("killed", worker=pid)

    def wait(self, seconds):
        """The exit statuses of those that were not killed."""
        return [process.wait(timeout=seconds) for process in self.running.values()]


def at_work(evidence, workers):
    """Workers that have started a trial which has not ended."""
    open_trials = {}
    for record in evidence.read():
        if record["event"] == "start":
            open_trials[record["pid"]] = record["cell"]
        elif record["event"] == "end":
            open_trials.pop(record["pid"], None)
    return [pid for pid in open_trials if pid in workers.running]


def chaos(file, folder, storage, options, chance):
    """Run the study with kills; returns the evidence, the logs of the workers and their statuses."""
    evidence = Evidence(folder / "evidence.jsonl")
    workers = Workers(file, folder, storage, evidence)
    for _ in range(options.workers):
        workers.start()
    moments = sorted(chance.sample(range(2, options.cells - 6), options.kills))
    while moments:
        ended = sum(record["event"] == "end" for record in evidence.read())
        busy = at_work(evidence, workers)
        if ended >= moments[0] and busy:
            time.sleep(chance.random() * STEPS * STEP_SECONDS)
            workers.kill(chance.choice(sorted(busy)))
            workers.start()
            moments.pop(0)
        if all(process.poll() is not None for process in workers.running.values()):
            break
        time.sleep(0.02)
    statuses = workers.wait(600)
    return evidence.read(), workers.logs, statuses


def doubled(evidence):
    """Trials that ran beside or after another of their cell."""
    killed = {record["worker"]: record["time"] for record in evidence if record["event"] == "killed"}
    found, trials = [], collections.defaultdict(list)
    for record in evidence:
        if record["event"] == "start":
            for other in trials[record["cell"]]:
                end = other.get("end", killed.get(other["pid"], math.inf))
                # A result that was never written down, as the worker was killed, is no result.
                kept = other.get("status") in ("complete", "failed") and other["pid"] not in killed
                if end > record["time"] or kept:
                    found.append((record["cell"], other["pid"], record["pid"]))
            trials[record["cell"]].append({"pid": record["pid"], "begin": record["time"]})
        elif record["event"] == "end":
            own = [trial for trial in trials[record["cell"]] if trial["pid"] == record["pid"]]
            own[-1] |= {"end": record["time"], "status": record["status"]}
    return found


def lost(evidence, rows, trials, cells):
    """What is missing of the cells, in words."""
    started = {record["cell"] for record in evidence if record["event"] == "start"}
    found = []
    for number in range(cells):
        row = rows.get(number)
        if row is None:
            found.append(f"cell {number} is no row")
        elif row.state not in ("complete", "pruned", "failed"):
            found.append(f"cell {number} is {row.state}")
        elif number not in started:
            found.append(f"cell {number} ended, and nobody ran it")
        elif row.state != "complete" and not row.reason:
            found.append(f"cell {number} is {row.state} without a reason")
        else:
            told = trials[row.advice].state.name
            if told != {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}[row.state]:
                found.append(f"cell {number} is {row.state}, and Optuna says {told}")
    return found


def ends(rows):
    """What the cells have come to of which that is known before: state and cause."""
    return {number: (rows[number].state, rows[number].cause) for number in (NAN, CRASH, HANG, *REAL)}


def told_by_optuna(study):
    """Optuna's trials of a study, read by themselves."""
    import optuna

    from pettingllms.sweep.study.opening import optuna_storage

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with optuna_storage(study) as storage:
        return optuna.load_study(study_name=study.advice_name, storage=storage).trials


def judged(name, storage, folder, options, result, log):
    """Print what came of a study; whether all is well."""
    from pettingllms.sweep.study.named import newest_study

    evidence, logs, statuses = result
    study = newest_study("chaos", folder / "outputs", storage)
    rows = study.ledger.read().rows
    missing = lost(evidence, rows, told_by_optuna(study), options.cells)
    twice = doubled(evidence)
    texts = [path.read_text(errors="replace") for path in [*logs, *([log] if log else [])]]
    locked = sum(text.count("database is locked") for text in texts)
    states = collections.Counter(row.state for row in rows.values())
    killed = sum(record["event"] == "killed" for record in evidence)
    again = sum(row.attempt for row in rows.values()) - len(rows)
    print(
        f"{name}: {dict(states)}, killed {killed} workers, {again} cells taken over or tried again, "
        f"exit statuses {statuses}, real launches {len(REAL)}"
    )
    expected = {
        NAN: [("failed", "no_objective")],
        CRASH: [("failed", "error")],
        HANG: [("failed", "stalled")],
        **{number: [("complete", None), ("pruned", None)] for number in REAL},
    }
    wrong = [
        f"cell {number} is {found}, not {expected[number]}: {rows[number].reason}"
        for number, found in ends(rows).items()
        if found not in expected[number]
    ]
    for line in (*missing, *wrong, *(f"cell {c}: workers {a} and {b}" for c, a, b in twice)):
        print(f"  {line}")
    print(f'{name}: lost {len(missing)}, doubled {len(twice)}, "database is locked" {locked}', flush=True)
    well = not (missing or twice or locked or wrong) and killed == options.kills and set(statuses) <= {0, 3}
    if not well:
        for path in logs:
            print(f"--- {path.name}\n{path.read_text(errors='replace')[-1500:]}")
    return well


@contextmanager
def storage_of(name):
    """The value of --storage, and the server's log."""
    if name == "file":
        yield None, None
        return
    from benchmarks.postgres import server

    with server() as (url, log):
        yield url, log


def main(arguments=None):
    """Run the study on each storage; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("storages", nargs="*", default=[], help="file, postgresql (default: both)")
    parser.add_argument("--cells", type=int, default=40)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and of who is killed")
    parser.add_argument("--work", dest="file", type=Path, help=argparse.SUPPRESS)
    for name in ("--output", "--evidence"):
        parser.add_argument(name, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--storage", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.file is not None:
        return work(options)
    chance, well = random.Random(options.seed), True
    with tempfile.TemporaryDirectory() as scratch:
        model = build_model(Path(scratch) / "model")
        for name in options.storages or ("file", "postgresql"):
            folder = Path(scratch) / name
            folder.mkdir()
            begin = time.monotonic()
            with storage_of(name) as (storage, log):
                file = folder / "chaos.toml"
                write_study(file, model, steps=STEPS, cells=options.cells, sweep=SWEEP)
                result = chaos(file, folder, storage, options, chance)
                well &= judged(name, storage, folder, options, result, log)
            print(f"{name}: {time.monotonic() - begin:.0f} s", flush=True)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
