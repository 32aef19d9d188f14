"""Experiments that run programs: which do, what they require, and that reports say where they got less."""

import io
import json
from pathlib import Path

import pytest

from pettingllms.agents import sandboxed
from pettingllms.cli.app import run
from pettingllms.evaluation import report as evaluation_report
from pettingllms.lint.engine import check_experiment
from pettingllms.sandbox import probes, strength
from pettingllms.sandbox.probes import Probe, Strength
from pettingllms.sweep import report, start
from pettingllms.sweep.trial import manifest

EXPERIMENT = Path(__file__).resolve().parents[1] / "cases/valid/two_agents.toml"
WEAK = Probe(Strength.MEDIUM, {}, {}, ("reading files: there is no Landlock; install bubblewrap",))
ALONE = ("agent_policy_configs.agent_configs.agent_0.agent=verifier",)


def experiment(*overrides):
    checked = check_experiment(EXPERIMENT, overrides)
    assert not checked.refused
    return checked.experiment.config


@pytest.fixture
def weak(monkeypatch):
    for module in (probes, strength):
        monkeypatch.setattr(module, "probed", lambda: WEAK)


def test_a_tool_agent_runs_programs_and_others_do_not():
    assert sandboxed.runs_programs(experiment())
    assert not sandboxed.runs_programs(experiment(*ALONE))


def test_an_environment_that_runs_programs_is_enough(monkeypatch):
    from pettingllms.envs.math import MathEnv

    monkeypatch.setattr(MathEnv, "runs_programs", True)
    assert sandboxed.runs_programs(experiment(*ALONE))


def test_nothing_is_tried_where_nothing_runs(monkeypatch):
    monkeypatch.setattr(probes, "probed", None)
    config = experiment(*ALONE)
    assert sandboxed.require_sandbox([config]) is None
    assert sandboxed.sandbox_record(config) is None


def test_train_refuses_before_anything_starts(weak, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(start, "require_packages", lambda *_, **__: None)
    assert run(["train", str(EXPERIMENT), "--output", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "the sandbox here is medium, not strong" in said
    assert "install bubblewrap" in said
    assert "sandbox.allow_weak = true" in said
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_allows_it_says_so_everywhere(weak):
    config = experiment("sandbox.allow_weak=true")
    said = sandboxed.require_sandbox([config])
    assert said.startswith("medium, not strong (sandbox.allow_weak): reading files: ")
    assert manifest(config, {})["sandbox"] == {"strength": "medium", "missing": list(WEAK.missing)}
    stream = io.StringIO()
    report.show_sandbox(said, stream)
    assert stream.getvalue() == f"sandbox: {said}\n"
    assert report.sandbox_json(said) == {"sandbox": said}
    assert report.sandbox_json(None) == {}
    json.dumps(manifest(config, {})["sandbox"])


def test_an_evaluation_begins_with_it(capsys):
    stream = io.StringIO()
    with pytest.raises(IndexError):
        # A result with nothing in it: the first line comes before what is missing.
        evaluation_report.show({"tasks": 1, "split": "test", "samples": 1, "sandbox": "medium, …"}, stream)
    assert stream.getvalue() == "sandbox: medium, …\n"


def test_a_lower_requirement_is_met(weak):
    assert sandboxed.require_sandbox([experiment("sandbox.require=medium")]) is None
