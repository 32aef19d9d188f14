"""How fast the linter is: one file against a schema validator, 500 files, and a proof of 1,000 cells.

`one`, `many` and their denominators are whole processes, `cells` runs in one.
Usage: python -m benchmarks.lint_speed [one] [many] [cells] [--runs N]
"""

import os
import shutil
import sys
import sysconfig
import tempfile
from importlib.metadata import version
from pathlib import Path

from benchmarks.harness import Side, command, command_line, measure, timed

ROOT = Path(__file__).resolve().parent.parent
PRESETS = ROOT / "pettingllms" / "config"
PRESET = PRESETS / "math" / "math_L3_model.toml"
SCHEMA = ROOT / "schemas" / "experiment.schema.json"
LINT = [sys.executable, "-m", "pettingllms", "lint", "--exit-zero"]
FILES = 500

ACTOR = "models.model_0.ppo_trainer_config.actor_rollout_ref.actor"
AXES = {
    "training.train_batch_size": [8 * n for n in range(1, 11)],
    "training.sample_temperature": [0.5 + 0.05 * n for n in range(10)],
    f"{ACTOR}.optim.lr": [1e-6 * (n + 1) for n in range(10)],
}


def one_file(**options):
    """A cold lint of one preset, without cache, against a cold check-jsonschema of the same file."""
    validator = Path(sysconfig.get_path("scripts")) / "check-jsonschema"
    measure(
        "lint_speed-one",
        f"cold lint / cold check-jsonschema, {PRESET.name}",
        Side("lint", timed(command([*LINT, "--no-cache", str(PRESET)]))),
        Side("check-jsonschema", timed(command([str(validator), "--schemafile", str(SCHEMA), str(PRESET)]))),
        unit="s",
        notes={"check-jsonschema": version("check-jsonschema"), "pydantic": version("pydantic")},
        **options,
    )


def many_files(**options):
    """A file of a folder of 500, without and with the cache, against a cold lint of one file."""
    with tempfile.TemporaryDirectory() as folder:
        experiments, cache = Path(folder) / "experiments", Path(folder) / "cache"
        copy_presets(experiments, FILES)
        environment = {**os.environ, "PETTINGLLMS_CACHE_DIR": str(cache)}
        single = timed(command([*LINT, "--no-cache", str(PRESET)], environment))
        for kind, name, flags in (("many", "no cache", ["--no-cache"]), ("cached", "warm cache", [])):
            whole = timed(command([*LINT, *flags, "--statistics", str(experiments)], environment))
            measure(
                f"lint_speed-{kind}",
                f"one of {FILES} files, {name} / one cold file",
                Side("one of many", lambda whole=whole: whole() / FILES),
                Side("one file", single),
                unit="s",
                **options,
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


def cells(**options):
    """One more cell of a sweep in the same process, against a whole lint of the preset."""
    from pettingllms.lint.engine import check_experiment

    swept = [
        f'{key}={{sweep="choice", values={values}, default={values[0]}}}' for key, values in AXES.items()
    ]
    plain = [f"{key}={values[0]}" for key, values in AXES.items()]
    count = 1
    for values in AXES.values():
        count *= len(values)

    def lint(overrides):
        return timed(lambda: check_experiment(PRESET, overrides))

    with_cells, without, whole = lint(swept), lint(plain), lint(())
    measure(
        "lint_speed-cells",
        f"one more of {count:,} cells / a whole lint, {PRESET.name}",
        Side("one more cell", lambda: (with_cells() - without()) / (count - 1)),
        Side("a whole lint", whole),
        unit="s",
        **options,
    )


PARTS = {"one": one_file, "many": many_files, "cells": cells}


def main(arguments=None):
    parser = command_line(__doc__, runs=10)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all by default")
    options = parser.parse_args(arguments)
    for part in options.parts or PARTS:
        PARTS[part](runs=options.runs, save=options.save)


if __name__ == "__main__":
    main()
