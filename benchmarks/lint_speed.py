"""How fast the linter is: one file against a schema validator, 500 files, and a proof of 1,000 cells.

Usage: python -m benchmarks.lint_speed [one] [many] [cells]
"""

import os
import platform
import shutil
import statistics
import sys
import sysconfig
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.harness import compare, seconds

ROOT = Path(__file__).resolve().parent.parent
PRESETS = ROOT / "pettingllms" / "config"
PRESET = PRESETS / "math" / "math_L3_model.toml"
SCHEMA = ROOT / "schemas" / "experiment.schema.json"
LINT = [sys.executable, "-m", "pettingllms", "lint", "--exit-zero"]
RUNS = 10
FILES = 500

ACTOR = "models.model_0.ppo_trainer_config.actor_rollout_ref.actor"
AXES = {
    "training.train_batch_size": [8 * n for n in range(1, 11)],
    "training.sample_temperature": [0.5 + 0.05 * n for n in range(10)],
    f"{ACTOR}.optim.lr": [1e-6 * (n + 1) for n in range(10)],
}


def one_file():
    """A cold lint of one preset, without cache, against a cold check-jsonschema of the same file."""
    validator = Path(sysconfig.get_path("scripts")) / "check-jsonschema"
    print("check-jsonschema", version("check-jsonschema"), "| pydantic", version("pydantic"))
    compare(
        f"cold lint / cold check-jsonschema, {PRESET.name}",
        [*LINT, "--no-cache", str(PRESET)],
        [str(validator), "--schemafile", str(SCHEMA), str(PRESET)],
        RUNS,
    )


def many_files():
    """A file of a folder of 500, without and with the cache, against a cold lint of one file."""
    with tempfile.TemporaryDirectory() as folder:
        experiments, cache = Path(folder) / "experiments", Path(folder) / "cache"
        copy_presets(experiments, FILES)
        environment = {**os.environ, "PETTINGLLMS_CACHE_DIR": str(cache)}
        single = [*LINT, "--no-cache", str(PRESET)]
        for name, options in (("no cache", ["--no-cache"]), ("warm cache", [])):
            command = [*LINT, *options, "--statistics", str(experiments)]
            alternate(
                f"one of {FILES} files, {name} / one cold file",
                lambda command=command: seconds(command, environment) / FILES,
                lambda: seconds(single, environment),
            )


def copy_presets(folder, count):
    """Write `count` experiments with the files that they include; each has another seed."""
    shutil.copytree(PRESETS / "ppo_trainer", folder / "ppo_trainer")
    tasks = ("math", "code", "search", "stateful")
    presets = [file for task in tasks for file in sorted((PRESETS / task).glob("*.toml"))]
    for number in range(count):
        preset = presets[number % len(presets)]
        text = preset.read_text(encoding="utf-8")
        changed = text.replace("seed = 0", f"seed = {number}")
        assert changed != text or number == 0
        target = folder / preset.parent.name / f"{preset.stem}_{number:03}.toml"
        target.parent.mkdir(exist_ok=True)
        target.write_text(changed, encoding="utf-8")


def cells():
    """One more cell of a sweep in the same process, against a whole lint of the preset."""
    from pettingllms.lint.engine import check_experiment

    swept = [
        f'{key}={{sweep="choice", values={values}, default={values[0]}}}' for key, values in AXES.items()
    ]
    plain = [f"{key}={values[0]}" for key, values in AXES.items()]
    count = 1
    for values in AXES.values():
        count *= len(values)

    def timed(overrides):
        begin = time.perf_counter()
        check_experiment(PRESET, overrides)
        return time.perf_counter() - begin

    alternate(
        f"one more of {count:,} cells / a whole lint, {PRESET.name}",
        lambda: (timed(swept) - timed(plain)) / (count - 1),
        lambda: timed(()),
    )


def alternate(name, numerator, denominator):
    """Call both in turn, A B A B; print the seconds that they return, and their ratio."""
    numerator(), denominator()
    pairs = [(numerator(), denominator()) for _ in range(RUNS)]
    print(f"{name}: {RUNS} alternating runs, Python {platform.python_version()}, {os.cpu_count()} cores")
    for label, times in zip(("numerator", "denominator"), zip(*pairs, strict=True), strict=True):
        low, middle, high = min(times), statistics.median(times), max(times)
        print(f"  {label:11} min {low * 1000:.3f}  median {middle * 1000:.3f}  max {high * 1000:.3f} ms")
    ratios = [a / b for a, b in pairs]
    print(
        f"  ratio       min {min(ratios):.4f}  median {statistics.median(ratios):.4f}  max {max(ratios):.4f}"
    )


if __name__ == "__main__":
    parts = {"one": one_file, "many": many_files, "cells": cells}
    for part in sys.argv[1:] or parts:
        parts[part]()
