"""The main job from start to end: `python -m benchmarks.quickstart`.

Runs `pettingllms sweep run experiments/quickstart.toml`, as a person would, into a folder of its own, and
compares the second trial, on the engine that was kept, with the first. Its notes are the whole time (checking
and reporting included) and how many held-out sums each trial solves. With `--tree PATH` the code of that
checkout runs the same file afterwards, and the whole times are compared, here / there. One run each: it is
no sample, and on 2 cores each takes minutes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import command_line, record

ROOT = Path(__file__).resolve().parent.parent
EXPERIMENT = ROOT / "experiments" / "quickstart.toml"


def quickstart(tree):
    """Seconds of the whole command with the code of `tree`, and its trials as it reports them."""
    with tempfile.TemporaryDirectory() as output:
        command = [sys.executable, "-m", "pettingllms", "sweep", "run", str(EXPERIMENT)]
        begin = time.perf_counter()
        done = subprocess.run(
            [*command, "--output", output, "--json"],
            stdout=subprocess.PIPE,
            text=True,
            # Elsewhere the folder of this checkout would come first.
            cwd=tree,
            env=os.environ | {"PYTHONPATH": str(tree)},
            check=False,
        )
        seconds = time.perf_counter() - begin
    if done.returncode != 0:
        sys.exit(f"the quickstart failed in {tree}: status {done.returncode}")
    return seconds, json.loads(done.stdout)["trials"]


def notes(seconds, trials):
    """What a run took and reached, in words."""
    solved = ", ".join(f"{trial['metrics']['test/success_rate']:.3f}" for trial in trials)
    each = ", ".join(f"{trial['seconds']:.0f} s" for trial in trials)
    return {"whole": f"{seconds:.0f} s", "trials": each, "test success": solved}


def main(arguments=None):
    parser = command_line(__doc__, runs=1)
    parser.add_argument("--tree", type=Path, metavar="PATH", help="a checkout to compare this one with")
    options = parser.parse_args(arguments)
    for _ in range(options.runs):
        seconds, trials = quickstart(ROOT)
        record(
            "quickstart",
            "the quickstart: its second trial / its first",
            numerator=("second trial", trials[1]["seconds"]),
            denominator=("first trial", trials[0]["seconds"]),
            unit="s",
            notes=notes(seconds, trials),
            save=options.save,
        )
        if options.tree is None:
            continue
        before, others = quickstart(options.tree.resolve())
        record(
            "quickstart-trees",
            "the whole quickstart: this tree / the other",
            numerator=("this tree", seconds),
            denominator=("other tree", before),
            unit="s",
            notes={"here": str(notes(seconds, trials)), "there": str(notes(before, others))},
            save=options.save,
        )


if __name__ == "__main__":
    main()
