"""What a study adds to its trials: `python -m benchmarks.launch_overhead`.

The launcher: `trial` is the launcher of a study, from the call that starts a trial to the poll that brings
its result, with a worker that says that it has started and has finished; the run folder is made meanwhile.
`bare` is `accelerate launch` with the same flags, of an empty script. Both import accelerate, and nothing
else; they run in turn. What a pair differs by is the figure, in seconds.

The books: a study of 40 trials over three axes, tpe with a median pruner. What a worker says to ledger and
Optuna about a trial of one minute: a claim with a proposal, two renewals (leases of 120 s are renewed every
30 s), six values of the objective, and the end. Their seconds are held to one per cent of a minute; in the
study's folder, and in PostgreSQL on the loopback interface.
"""

import contextlib
import dataclasses
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Side, command_line, measure
from pettingllms.config.sweep import SweepConfig
from pettingllms.lint.engine import check_experiment, checked_cells
from pettingllms.sweep import launcher as launcher_module
from pettingllms.sweep.books import Books
from pettingllms.sweep.launch import launch_argv
from pettingllms.sweep.launcher import ProcessLauncher
from pettingllms.sweep.progress import SilentView
from pettingllms.sweep.slots import WHOLE_MACHINE
from pettingllms.sweep.stopping import StopRequest
from pettingllms.sweep.study.cells import StudyCells
from pettingllms.sweep.study.named import open_or_create
from pettingllms.sweep.study.opening import advised
from pettingllms.sweep.worker import LEASE_SECONDS, POLL_SECONDS, RENEWALS

MINUTE = 60.0
REPORTS = 6
TRIALS = 40
TARGET_SECONDS, TARGET_SHARE = 0.5, 0.01

EXPERIMENT = """
format = 1
specialization = "lora"
lora_rank = {{ sweep = "choice", values = [8, 16, 32], default = 16 }}

[resource]
n_gpus_per_node = 0

[env]
name = "math_env"
dataset = "builtin:arithmetic"
max_turns = 1

[base_models.policy_0]
path = "{model}"
name = "first"

[agent_policy_configs]
num_agents = 1
agent_configs.agent_0 = {{ name = "reasoning_generator", policy_name = "first" }}

[multi_agent_interaction]
turn_order = ["reasoning_generator"]

[training]
device = "cpu"
total_training_steps = 100
logger = []
max_prompt_length = 96
max_response_length = 16
seed = {{ sweep = "int", low = 0, high = 1000, default = 0 }}

[models.model_0.ppo_trainer_config.actor_rollout_ref]
rollout.name = "scripted"
rollout.engine_kwargs.scripted.replies = ["1"]
actor.optim.lr = {{ sweep = "float", low = 1e-6, high = 1e-3, log = true, default = 1e-4 }}

[sweep]
sampler = "tpe"
trials = 40
pruner = {{ kind = "median" }}
"""

WORKER = """
import json, os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
with (folder / "events.jsonl").open("a") as file:
    for event in ({"event": "started", "pid": os.getpid(), "total_steps": 1}, {"event": "finished"}):
        file.write(json.dumps({"time": time.time(), **event}) + "\\n")
"""


class WithoutEngine:
    """In the place of the keeper of engines: the figure is the launcher's alone."""

    def __init__(self, *_):
        pass

    def prepare(self, *_):
        return {}

    def end(self):
        pass


def launched(argv, script):
    """The command of a trial with `script` in the place of the worker."""
    place = argv.index("-m", argv.index("--main_process_port"))
    return [*argv[:place], str(script), argv[-1]]


class Trials:
    """Starts the same trial in two ways."""

    def __init__(self, scratch, model):
        file = scratch / "experiment.toml"
        file.write_text(EXPERIMENT.format(model=model))
        checked = check_experiment(file, ("training.seed=0", "lora_rank=8"))
        self.experiment, self.cell = checked.experiment, checked_cells(checked)[0]
        self.scratch, self.number = scratch, 0
        self.worker, self.empty = scratch / "worker.py", scratch / "empty.py"
        self.worker.write_text(WORKER)
        self.empty.write_text("")
        launcher_module.EngineKeeper = WithoutEngine
        launcher_module.launch_argv = self.argv

    def argv(self, *words):
        return launched(launch_argv(*words), self.worker)

    def trial(self):
        """Seconds of a trial by the launcher of a study, seen as a worker sees it."""
        self.number += 1
        folder = self.scratch / f"run{self.number}"
        with StopRequest() as stop, ProcessLauncher(self.experiment, stop) as launcher:
            begin = time.perf_counter()
            running = launcher.start(self.cell, folder, "", SilentView(), WHOLE_MACHINE, lambda: None)
            while (result := running.poll()) is None:
                time.sleep(POLL_SECONDS)
            seconds = time.perf_counter() - begin
        assert result.status == "complete", result.reason
        return seconds

    def bare(self):
        """Seconds of the launcher of accelerate alone."""
        argv = launched(launch_argv(self.cell.config, self.scratch / "run1", 29512), self.empty)
        begin = time.perf_counter()
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True)
        return time.perf_counter() - begin


def books_seconds(scratch, model, storage):
    """Seconds that a worker spends on the books of each trial of a study."""
    file = scratch / "books.toml"
    file.write_text(EXPERIMENT.format(model=model))
    checked = check_experiment(file)
    sweep = checked.experiment.config.sweep or SweepConfig()
    study = open_or_create(checked, output=scratch / "outputs", storage=storage)
    spent = []
    with advised(study, checked.draft, sweep) as opened:
        cells = StudyCells(checked.draft, None)
        books = Books(study, opened.advisor, cells, sweep, name="bench", lease=LEASE_SECONDS)
        for number in range(TRIALS):
            begin = time.perf_counter()
            row = books.claim().row
            books.cell(row)
            for step in range(REPORTS):
                books.report(row, step, number * step / 1000)
            for _ in range(round(MINUTE / (LEASE_SECONDS / RENEWALS))):
                row = books.renew([row])[0][0]
            books.finish(dataclasses.replace(row, state="complete", objectives=(number / 100,)))
            spent.append(time.perf_counter() - begin)
    return spent


@contextlib.contextmanager
def storages():
    """The storages by name, with the value of --storage."""
    from benchmarks.postgres import server

    with server() as (url, _):
        yield {"folder": None, "postgresql": url}


def main(arguments=None):
    """Measure both; the limits are those of the acceptance."""
    options = command_line(__doc__, runs=7).parse_args(arguments)
    from benchmarks.tally import build_model

    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        model = build_model(scratch / "model")
        trials = Trials(scratch, model)
        trials.trial()
        trials.bare()
        pairs = [(trials.trial(), trials.bare()) for _ in range(options.runs)]
        added = [trial - bare for trial, bare in pairs]
        middle = [f"{statistics.median(side):.2f} s" for side in zip(*pairs, strict=True)]
        measure(
            "launch_overhead-trial",
            "what the launcher of a study adds to `accelerate launch` of an empty script / the limit",
            Side("added", iter(added).__next__),
            Side("the limit", lambda: TARGET_SECONDS),
            unit="s",
            runs=options.runs,
            warmups=0,
            at_most=1.0,
            notes={"medians": f"trial {middle[0]}, bare {middle[1]}"},
            save=options.save,
        )
        with storages() as found:
            for kind, storage in found.items():
                below = scratch / kind
                below.mkdir()
                spent = books_seconds(below, model, storage)
                # The first trial imports; the last ones have the longest history.
                measure(
                    f"launch_overhead-books-{kind}",
                    f"books of a trial of one minute, study in {kind} / one per cent of it",
                    Side("books", iter(spent[1:]).__next__),
                    Side("1 % of a minute", lambda: MINUTE * TARGET_SHARE),
                    unit="s",
                    runs=len(spent) - 1,
                    warmups=0,
                    at_most=1.0,
                    notes={"first": f"{spent[0]:.3f} s", "last": f"{spent[-1]:.3f} s"},
                    save=options.save,
                )


if __name__ == "__main__":
    sys.exit(main())
