"""What a sweep saves by its engine: `python -m benchmarks.warm_sweep`.

The main job, experiments/quickstart.toml, made small: its two cells with one step of 2 tasks of 4
candidates, 4 held-out tasks to validate and 4 to test, answers of at most 16 tokens, on the embedded model.
A run is

  own     the first cell, whose engine the worker starts for itself after the launcher has started it
  first   the same cell, whose engine starts beside the launcher
  second  the second cell, on the engine that was kept

Start-up is from the call of `run_trial` until the first phase begins: engine, model, tokenizer and tasks are
there. Whole is until `run_trial` returns. The notes have the time to the first record of metrics, which comes
after the validation and the test before the first step; it is seen to 0.2 s, as the runner looks that often.
Left out: reading and checking the experiment, and creating the run folder. What is imported is read once
before, so that no run pays for a cold disk.
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Side, command_line, measure
from pettingllms.lint.engine import check_experiment, checked_cells
from pettingllms.sweep.engine_keeper import EngineKeeper
from pettingllms.sweep.progress import SilentView
from pettingllms.sweep.runner import run_trial
from pettingllms.sweep.stopping import StopRequest
from pettingllms.sweep.trial import create_trial

QUICKSTART = Path(__file__).resolve().parent.parent / "experiments" / "quickstart.toml"
SMALL = (
    "training.total_training_steps=1",
    "training.train_batch_size=2",
    "training.train_sample_num=4",
    "training.max_response_length=16",
    "env.options.validation_size=4",
    "env.options.test_size=4",
)


class Watch(SilentView):
    """Remembers when the first phase began and when the first metrics were seen, in Unix seconds."""

    ready = measured = None

    def event(self, record):
        if record["event"] == "phase":
            self.ready = self.ready or record["time"]

    def metrics(self, record):  # noqa: ARG002 - when it came is all that counts
        self.measured = self.measured or time.time()


def seconds_of(experiment, cell, folder, engine):
    """Seconds to the first phase, to the first metrics and to the end of a trial, which must complete."""
    trial = create_trial(experiment, cell, folder, folder.name)
    watch, begin = Watch(), time.time()
    with StopRequest() as stop:
        result = run_trial(trial, watch, stop, engine=engine)
    if result.status != "complete":
        sys.exit(f"{folder}: {result.reason}")
    return {
        "start-up": watch.ready - begin,
        "first metrics": watch.measured - begin,
        "whole trial": time.time() - begin,
    }


def one_run(experiment, cells, folder):
    """What each kind of trial took."""
    times = {"own": seconds_of(experiment, cells[0], folder / "own", None)}
    with EngineKeeper() as engine:
        for kind, cell in zip(("first", "second"), cells, strict=True):
            times[kind] = seconds_of(experiment, cell, folder / kind, engine)
    return times


def main(arguments=None):
    """Measure, and replay what was measured for each figure."""
    options = command_line(__doc__, runs=2).parse_args(arguments)
    checked = check_experiment(QUICKSTART, SMALL)
    cells = checked_cells(checked)
    subprocess.run(
        [sys.executable, "-c", "import peft, vllm.entrypoints.llm"], check=True, stderr=subprocess.DEVNULL
    )
    with tempfile.TemporaryDirectory() as scratch:
        runs = [one_run(checked.experiment, cells, Path(scratch) / str(run)) for run in range(options.runs)]

    def side(kind, what):
        return Side(kind, iter([times[kind][what] for times in runs]).__next__)

    def middle(kind):
        return f"{statistics.median(times[kind]['first metrics'] for times in runs):.1f} s"

    for what in ("start-up", "whole trial"):
        for figure, words, above, below in (
            ("kept", "second trial of a sweep / the first", "second", "first"),
            ("beside", "engine started beside the launcher / by the worker", "first", "own"),
        ):
            measure(
                f"warm_sweep-{figure}_{re.sub('[ -]', '_', what)}",
                f"{what}: {words}",
                side(above, what),
                side(below, what),
                unit="s",
                runs=options.runs,
                warmups=0,
                notes={
                    "first metrics": f"{above} {middle(above)}, {below} {middle(below)}",
                    "changed": " ".join(SMALL),
                },
                save=options.save,
            )


if __name__ == "__main__":
    main()
