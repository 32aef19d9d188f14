"""A small experiment, its trials, and a worker made of a few lines of Python."""

import copy
import json
import os
import sys
import textwrap

import pytest

from pettingllms.config.axes import Axis
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.load import LoadedExperiment
from pettingllms.lint.engine import CheckedCell
from pettingllms.sweep.trial import create_trial

RESOLVED = {
    "env": {"name": "math_env", "dataset": "builtin:arithmetic"},
    "base_models": {"policy_0": {"path": "builtin:smollm2-135m-instruct", "name": "shared"}},
    "agent_policy_configs": {
        "num_agents": 1,
        "agent_configs": {"agent_0": {"name": "tool_generator", "policy_name": "shared"}},
    },
    "multi_agent_interaction": {"turn_order": ["tool_generator"]},
    "training": {"device": "cpu", "seed": 5, "total_training_steps": 2, "experiment_name": "demo"},
    "launch": {"num_cpu_threads_per_process": 3},
    "lora_rank": 8,
}

WORKER = """
import json, os, pathlib, signal, subprocess, sys, time
folder = pathlib.Path(sys.argv[1])
def write(name, **record):
    with (folder / name).open("a") as file:
        file.write(json.dumps(record) + "\\n")
def event(kind, **fields):
    write("events.jsonl", time=time.time(), event=kind, **fields)
def metrics(step, **values):
    write("metrics.jsonl", step=step, **values)
"""


@pytest.fixture
def resolved():
    return copy.deepcopy(RESOLVED)


@pytest.fixture
def config(resolved):
    return ExperimentConfig.model_validate(resolved)


@pytest.fixture
def make_experiment(tmp_path):
    """An experiment with an axis `lora_rank`, and its cells."""

    def make(ranks=(8, 16), **changes):
        resolved = copy.deepcopy(RESOLVED)
        for path, value in changes.items():
            section, _, key = path.partition("__")
            resolved[section] = {**resolved.get(section, {}), key: value}
        config = ExperimentConfig.model_validate(resolved)
        axis = Axis(("lora_rank",), tuple(ranks), ranks[0])
        source = tmp_path / "source.toml"
        experiment = LoadedExperiment(
            source, "# as written\n", ("training.seed=5",), (axis,), resolved, config
        )
        cells = []
        for number, rank in enumerate(ranks):
            tree = {**resolved, "lora_rank": rank}
            typed = ExperimentConfig.model_validate(tree)
            cells.append(CheckedCell(number, {("lora_rank",): rank}, typed, tree))
        return experiment, cells

    return make


@pytest.fixture
def trial(make_experiment, tmp_path):
    experiment, cells = make_experiment()
    return create_trial(experiment, cells[0], tmp_path / "run", "trial 0 (1 of 2)")


@pytest.fixture
def worker(tmp_path):
    """The command of a worker whose body is `source`; `folder`, `event` and `metrics` are at hand."""

    def command(source, folder):
        script = tmp_path / f"worker-{os.urandom(4).hex()}.py"
        script.write_text(WORKER + textwrap.dedent(source))
        return [sys.executable, "-S", str(script), str(folder)]

    return command


@pytest.fixture
def read_json():
    return lambda path: json.loads(path.read_text())
