"""The file with the winning prompts in the run folder, and where the results name it."""

import io
import json

import pytest

from pettingllms.config.sweep import ObjectiveConfig
from pettingllms.config.trial_file import trial_toml
from pettingllms.lint.engine import check_experiment
from pettingllms.sweep import report
from pettingllms.sweep.best_prompts import best_of, write_best
from pettingllms.sweep.ledger.rows import Row
from pettingllms.sweep.packages import needed_modules
from pettingllms.sweep.runner import TrialResult
from pettingllms.sweep.study.outcome import StudyOutcome
from pettingllms.sweep.trial import Trial

TEXT = """\
format: 1
specialization: prompt
resource: {n_gpus_per_node: 0}
env: {name: math_env, dataset: "builtin:arithmetic", max_turns: 1}
base_models:
  policy_0: {path: "builtin:smollm2-135m-instruct", name: shared}
agent_policy_configs:
  num_agents: 1
  agent_configs:
    agent_0:
      name: reasoning_generator  # it answers
      policy_name: shared
multi_agent_interaction: {turn_order: [reasoning_generator]}
training:
  device: cpu
"""
EXAMPLES = [{"user": "1 + 1?", "assistant": "\\boxed{2}"}]


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_text(TEXT)
    experiment = check_experiment(path).experiment
    (tmp_path / "resolved.toml").write_text(trial_toml(experiment.stored))
    agents = {"reasoning_generator": {"system_prompt": "Box it.", "examples": json.dumps(EXAMPLES)}}
    candidates = [{"number": 0, "agents": {}}, {"number": 1, "agents": agents}]
    (tmp_path / "prompts.json").write_text(json.dumps({"best": 1, "candidates": candidates}))
    return tmp_path, experiment.config


def test_the_winner_is_written_beside_its_source_in_its_format(folder):
    path, config = folder
    assert best_of(path) is None
    assert write_best(path, config) == path / "best.yaml" == best_of(path)
    checked = check_experiment(path / "best.yaml")
    assert checked.diagnostics == ()
    (agent,) = checked.experiment.config.agent_policy_configs.agent_configs.values()
    assert agent.system_prompt == "Box it."
    assert [example.model_dump() for example in agent.examples] == EXAMPLES
    assert "# it answers" in (path / "best.yaml").read_text()


def test_without_a_winner_nothing_is_written(folder):
    path, config = folder
    (path / "prompts.json").unlink()
    assert write_best(path, config) is None and best_of(path) is None


def test_results_name_the_file(folder):
    path, config = folder
    write_best(path, config)
    trial = Trial(0, path, {}, config, "demo")
    result = TrialResult("complete", 0, {"val/success_rate": 0.5}, None, path / "log.txt", None, 1.0)
    stream = io.StringIO()
    report.show_trial(trial, result, stream)
    assert f"best prompts      {path / 'best.yaml'}\n" in stream.getvalue()
    assert report.trial_json(trial, result)["best_prompts"] == str(path / "best.yaml")
    row = Row(0, {}, state="complete", attempt=1, folder=str(path), objectives=(0.5,))
    outcome = StudyOutcome("s", path, (ObjectiveConfig(metric="val/success_rate"),), (), 1, (row,))
    assert report.study_json(outcome)["trials"][0]["best_prompts"] == str(path / "best.yaml")


def test_a_search_for_prompts_needs_gepa(folder):
    _, config = folder
    assert "gepa" in needed_modules(config, study=False)
    trained = config.model_copy(update={"specialization": "lora"})
    assert "gepa" not in needed_modules(trained, study=False)
    # Its winner is played as any other experiment.
    assert "gepa" not in needed_modules(config, study=False, playing=True)
