"""A cold `show --resolved` of a composed preset against cold Hydra, and conversion time against file size.

`show` and Hydra are whole processes that print the same tree; conversions run in one process, and of three
the fastest counts.
Usage: python -m benchmarks.documents [PYTHON_OF_A_BASE_INSTALL] [--runs N] [--preset NAME]
"""

import contextlib
import io
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.harness import Side, command, command_line, measure, timed
from pettingllms.cli.app import run
from pettingllms.compose.names import SHIPPED, find_file

REAL = Path(__file__).resolve().parent.parent / "tests/data/upstream-configs/ppo_trainer/eval.yaml"
SIZES = (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
TARGET = 0.8
KINDS = {"yaml": "the same YAML file", "toml": "the TOML that ships"}

# The resolvers of ours that Hydra lacks are one line each; the presets use no other.
HYDRA = """
import json, sys
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
OmegaConf.register_new_resolver("mul", lambda a, b: a * b)
OmegaConf.register_new_resolver("div", lambda a, b: a // b if a % b == 0 else a / b)
with initialize_config_dir(sys.argv[1], version_base=None):
    print(json.dumps(OmegaConf.to_container(compose(sys.argv[2]), resolve=True)))
"""


def quietly(arguments):
    """Run one command line in-process; it must succeed."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as talk:
        code = run([str(argument) for argument in arguments])
    if code != 0:
        raise SystemExit(f"{arguments} ended with exit code {code}\n{talk.getvalue()}")


def without_format(tree):
    return {key: value for key, value in tree.items() if key != "format"}


def show_against_hydra(python, preset, **options):
    """Both whole processes, once they are seen to print the same tree."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in sorted(path for path in SHIPPED.iterdir() if any(path.glob("*.toml"))):
            quietly(["convert", part, folder / part.name, "--to", "yaml"])
        script = folder / "compose.py"
        script.write_text(HYDRA)
        hydra = [sys.executable, str(script), str(folder / find_file(preset, None).parent.name), preset]
        same_file = str(folder / find_file(preset, None).parent.name / f"{preset}.yaml")
        for kind, file in (("yaml", same_file), ("toml", preset)):
            show = [python, "-m", "pettingllms", "show", file, "--resolved", "--json"]
            outputs = [subprocess.run(one, check=True, capture_output=True).stdout for one in (show, hydra)]
            ours, theirs = (without_format(json.loads(output)) for output in outputs)
            if ours != theirs:
                raise SystemExit(f"{kind}: the trees differ")
            measure(
                f"documents-show_{kind}",
                f"cold show --resolved of {KINDS[kind]} / cold Hydra compose and resolve",
                Side("show", timed(command(show))),
                Side("Hydra", timed(command(hydra))),
                unit="s",
                at_most=TARGET,
                notes={"preset": preset, "omegaconf": version("omegaconf"), "trees": "equal"},
                **options,
            )


def real_lines(count):
    """A YAML text of `count` lines: a real file again and again, each time below a section of its own."""
    block = ["  " + line for line in REAL.read_text(encoding="utf-8").splitlines()]
    lines = []
    while len(lines) < count:
        lines += [f"part_{len(lines)}:", *block]
    return "\n".join(lines[:count]) + "\n"


def conversion_times(runs):
    """Seconds of the fastest of `runs` conversions, by size and direction."""
    times = {"YAML to TOML": [], "TOML to YAML": []}
    with tempfile.TemporaryDirectory() as name:
        yaml, toml = Path(name) / "a.yaml", Path(name) / "a.toml"
        back = Path(name) / "b.yaml"
        for size in SIZES:
            yaml.write_text(real_lines(size), encoding="utf-8")
            for direction, source, target in (("YAML to TOML", yaml, toml), ("TOML to YAML", toml, back)):
                spent = []
                for _ in range(runs):
                    begin = time.perf_counter()
                    quietly(["convert", source, target, "--force"])
                    spent.append(time.perf_counter() - begin)
                lines = source.read_text(encoding="utf-8").count("\n")
                times[direction].append((lines, min(spent)))
    return times


def print_fit(direction, points):
    """Times, the straight line through them, and the slope of their logarithms (1 is linear)."""
    print(f"{direction}: " + ", ".join(f"{lines} lines {seconds:.3f} s" for lines, seconds in points))
    sizes, seconds = zip(*points, strict=True)
    fit = statistics.linear_regression(sizes, seconds)
    share = statistics.correlation(sizes, seconds) ** 2
    large = [(math.log(lines), math.log(spent)) for lines, spent in points if lines >= 900]
    slope = statistics.linear_regression(*zip(*large, strict=True)).slope
    print(f"  fit {1e6 * fit.slope:.1f} us a line + {1e3 * fit.intercept:.1f} ms, R2 {share:.5f}")
    print(f"  log-log slope from 1,000 lines on: {slope:.3f}")


def main(arguments=None):
    parser = command_line(__doc__, runs=15)
    parser.add_argument("python", nargs="?", default=sys.executable)
    parser.add_argument("--preset", default="math_L1_prompt")
    options = parser.parse_args(arguments)
    show_against_hydra(options.python, options.preset, runs=options.runs, save=options.save)
    for direction, points in conversion_times(3).items():
        print_fit(direction, points)


if __name__ == "__main__":
    main()
