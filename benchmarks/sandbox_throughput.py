"""Programs per second in the sandbox / with a bare `python -I -S` started for each, on one thread per core.

The program adds two numbers of its standard input. Every one of ours runs under all layers.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.harness import Side, command_line, measure
from pettingllms.process import usable_cores
from pettingllms.sandbox.pool import run_programs
from pettingllms.sandbox.probes import probed
from pettingllms.sandbox.programs import Program, ProgramLimits, ProgramStatus

SOURCE = "a, b = map(int, input().split())\nprint(a + b)\n"
PROGRAMS = 300
LIMITS = ProgramLimits(seconds=10, memory_mib=256)


def main(arguments=None):
    options = command_line(__doc__).parse_args(arguments)
    python = str(Path(sys.executable).resolve())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "program.py"
        file.write_text(SOURCE)
        times = {"sandbox": [], "bare": []}

        def in_sandbox(number):
            (result,) = run_programs([Program(SOURCE, f"{number} 1\n")], LIMITS)
            assert (result.status, result.stdout) == (ProgramStatus.OK, f"{number + 1}\n")

        def bare(number):
            words = [python, "-I", "-S", str(file)]
            done = subprocess.run(words, input=f"{number} 1\n", capture_output=True, text=True, check=True)
            assert done.stdout == f"{number + 1}\n"

        notes = {"strength": str(probed().strength), "programs": PROGRAMS}
        measure(
            "sandbox_throughput",
            "programs per second in the sandbox / with a bare interpreter for each",
            Side("sandbox", lambda: rate(in_sandbox, times["sandbox"], notes, "sandbox")),
            Side("bare python -I -S", lambda: rate(bare, times["bare"], notes, "bare")),
            unit="programs/s",
            at_least=1.5,
            runs=options.runs,
            notes=notes,
            save=options.save,
        )


def rate(work, times, notes, label):
    """Programs per second; the milliseconds that single ones took are kept in `notes`."""

    def one(number):
        begin = time.perf_counter()
        work(number)
        times.append(1000 * (time.perf_counter() - begin))

    begin = time.perf_counter()
    with ThreadPoolExecutor(usable_cores()) as threads:
        list(threads.map(one, range(PROGRAMS)))
    seconds = time.perf_counter() - begin
    cuts = statistics.quantiles(times, n=100)
    notes[f"{label} p50 ms"], notes[f"{label} p99 ms"] = round(cuts[49], 2), round(cuts[98], 2)
    return PROGRAMS / seconds


if __name__ == "__main__":
    main()
