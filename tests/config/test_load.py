"""Loading, and the border of the trial's process."""

import datetime
from pathlib import Path

import pytest

from pettingllms.config.axes import Axis
from pettingllms.config.trial_file import read_trial, trial_toml
from pettingllms.documents.source import DocumentError
from pettingllms.errors import RefusedError
from pettingllms.lint.engine import check_experiment

TWO_AGENTS = Path(__file__).parents[1] / "cases/valid/two_agents.toml"
LR = "models.model_0.ppo_trainer_config.actor_rollout_ref.actor.optim.lr"
AGENT_0 = "agent_policy_configs.agent_configs.agent_0"
SWEPT = LR + '={sweep = "choice", values = [1e-4, 1e-5], default = 1e-4}'


def lr_of(experiment):
    return experiment.config.models["model_0"].ppo_trainer_config.actor_rollout_ref.actor.optim.lr


def test_references_and_whole_numbers_become_typed_values():
    experiment = check_experiment(TWO_AGENTS).experiment
    rollout = experiment.config.models["model_0"].ppo_trainer_config.actor_rollout_ref.rollout
    assert rollout.temperature == 1.0
    assert experiment.stored["models"]["model_0"]["path"] == "builtin:smollm2-135m-instruct"
    assert experiment.axes == ()


def test_an_axis_is_found_and_a_plain_run_uses_its_default():
    experiment = check_experiment(TWO_AGENTS, [SWEPT]).experiment
    assert experiment.axes == (Axis(tuple(LR.split(".")), (1e-4, 1e-5), 1e-4),)
    assert lr_of(experiment) == 1e-4
    assert experiment.overrides == (SWEPT,)


def test_an_override_on_an_axis_leaves_no_axis():
    experiment = check_experiment(TWO_AGENTS, [SWEPT, f"{LR}=2e-4"]).experiment
    assert experiment.axes == ()
    assert lr_of(experiment) == 2e-4


def test_a_null_is_none():
    experiment = check_experiment(TWO_AGENTS, ["training.epoch_size=null"]).experiment
    assert experiment.config.training.epoch_size is None
    assert experiment.stored["training"]["epoch_size"] is None


def test_a_trial_survives_the_border_of_its_process(tmp_path):
    overrides = [
        "training.epoch_size=null",
        "training.logger=[]",
        AGENT_0 + '.examples=[{user = "a\\nb", assistant = "```\\n\\"x\\"```"}]',
        "training.project_name=\\${not.a.reference}",
    ]
    experiment = check_experiment(TWO_AGENTS, [*overrides, SWEPT]).experiment
    path = tmp_path / "trial.toml"
    path.write_text(trial_toml(experiment.stored), encoding="utf-8")
    assert read_trial(path) == experiment.config
    assert read_trial(path).training.project_name == "${not.a.reference}"


def test_every_kind_of_value_is_written_and_read_back():
    import tomllib

    tree = {
        "none": None,
        "list": [None, 1, [2, []], {"a": None, "b": [{"c": 1}]}],
        "table": {"quoted key": -0.5, "empty": {}, "text": 'a"\\\n\t\x7f', "day": datetime.date(2024, 1, 2)},
    }
    read = tomllib.loads(trial_toml(tree))
    null = {"null": True}
    assert read["none"] == null
    assert read["list"] == [null, 1, [2, []], {"a": null, "b": [{"c": 1}]}]
    assert read["table"] == tree["table"]


def test_a_trial_with_a_fault_is_refused(tmp_path):
    path = tmp_path / "trial.toml"
    path.write_text("lora_rank = 0\n")
    with pytest.raises(RefusedError, match=r"trial\.toml:1: "):
        read_trial(path)
    path.write_text('lora_rank = { sweep = "choice", values = [1], default = 1 }\n')
    with pytest.raises(RefusedError, match="no swept value"):
        read_trial(path)
    with pytest.raises(DocumentError, match="no such file"):
        read_trial(tmp_path / "none.toml")
