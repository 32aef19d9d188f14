"""`pettingllms doctor`: what it finds, as text and as JSON."""

import json
import subprocess
import sys

import pytest

from pettingllms.cli import doctor
from pettingllms.cli.app import run
from pettingllms.lint.facts import Facts


@pytest.fixture
def machine(monkeypatch):
    """A machine with these GPUs and without these modules."""

    def make(gpus=0, absent=()):
        monkeypatch.setattr(Facts, "here", classmethod(lambda cls: cls(gpus)))
        monkeypatch.setattr(
            "pettingllms.sweep.packages.missing", lambda modules: [name for name in modules if name in absent]
        )

    return make


def test_json_says_what_is_here(machine, capsys):
    machine()
    assert run(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["packages"]["pydantic"]
    assert found["cores"]["usable"] >= 1
    assert found["embedded_model"]["name"] == "builtin:smollm2-135m-instruct"
    assert found["sandbox"]["strength"] in ("strong", "medium", "none")
    assert found["sandbox"]["attacks"]["reads a file"] in (True, False)
    assert found["trials"] == {"cpu": [], "cuda": ["no NVIDIA GPU is visible"]}


def test_text_says_the_same(machine, capsys):
    machine(gpus=2)
    assert run(["doctor"]) == 0
    text = capsys.readouterr().out
    assert 'device = "cuda"   a trial can run here' in text
    (line,) = [line for line in text.splitlines() if line.startswith("sandbox")]
    assert line.split()[1] in ("strong", "medium", "none")
    assert "namespaces (bubblewrap)" in text
    assert "gpus        2" in text


def test_what_is_missing_comes_with_its_install_line(machine):
    machine(absent={"torch", "vllm"})
    assert doctor.obstacles("cpu", 0) == ["torch, vllm not installed; install with: uv sync --extra cpu"]


@pytest.mark.parametrize(
    ("absent", "converted", "said"),
    [
        ({"gguf"}, False, "not installed (gguf missing)"),
        (set(), False, "installed, converted at its first use"),
        (set(), True, ": converted"),
    ],
)
def test_state_of_the_embedded_model(machine, monkeypatch, absent, converted, said):
    machine(absent=absent)
    monkeypatch.setattr("pettingllms.models.embedded.is_converted", lambda: converted)
    (line,) = [line for line in doctor.as_text(doctor.examine()) if line.startswith("model")]
    assert said in line


@pytest.mark.parametrize("module", ["cli.doctor", "cli.train", "cli.sweep", "sweep.start", "loggers"])
def test_the_commands_load_no_machine_learning_stack(module):
    heavy = "{'torch', 'vllm', 'transformers', 'accelerate', 'peft', 'optuna', 'wandb', 'tensorboard'}"
    code = f"import sys, pettingllms.{module}; print({heavy} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
