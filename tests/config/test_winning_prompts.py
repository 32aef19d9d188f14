"""The winner's experiment file: prompts in place, all else as written, and the same meaning."""

import pytest

from pettingllms.config.load import choose, draft_experiment
from pettingllms.config.trial_file import trial_toml
from pettingllms.config.typed import type_cell
from pettingllms.config.winning_prompts import resolved_with_prompts, with_prompts
from pettingllms.documents.convert import convert
from pettingllms.documents.read import parse_document, read_document
from pettingllms.lint.engine import check_experiment

TEXT = r"""# A team that adds.
format = 1
specialization = "prompt" # weights stay

[resource]
n_gpus_per_node = 0

[env]
name = "math_env"
dataset = "builtin:arithmetic"
max_turns = 2
options = { digits = 2 }

[base_models.policy_0]
path = "builtin:smollm2-135m-instruct"
name = "shared"

[agent_policy_configs]
num_agents = 2

# Writes programs.
[agent_policy_configs.agent_configs.agent_0]
name = "tool_generator" # the first
policy_name = "shared"
system_prompt = "Write a program." # short
examples = [{ user = "What is 2 + 5?", assistant = "print(7)" }]

[agent_policy_configs.agent_configs.agent_1]
name = "reporter"
agent = "reasoning_generator"
policy_name = "shared"

[multi_agent_interaction]
turn_order = ["tool_generator", "reporter"]

[training]
device = "cpu"
total_training_steps = 20
validate_sample_num = { sweep = "choice", values = [1, 2, 4], default = 1 } # how often

[training.prompt]
minibatch_size = 8
"""
TEXTS = {
    "tool_generator": {
        "system_prompt": 'Write "one" program:\n${env.name} is \\no reference — é',
        "examples": [{"user": "What is 1 + 1?", "assistant": "```python\nprint(1 + 1)\n```"}],
    },
    "reporter": {"system_prompt": "Report it."},
}


def run(folder, text, *overrides, values=(), suffix=".toml"):
    """What `with_prompts` makes of an experiment that ran with overrides and swept values."""
    source = folder / f"experiment{suffix}"
    source.write_text(text, encoding="utf-8")
    draft = draft_experiment(source, overrides)
    assert not draft.findings
    chosen = {axis.path: axis.default for axis in draft.axes} | dict(values)
    typed = type_cell(choose(draft, chosen))
    (folder / "resolved.toml").write_text(trial_toml(typed.stored), encoding="utf-8")
    resolved = read_document(folder / "resolved.toml")
    return read_document(source), resolved, typed.config


def config_of(path, text):
    report = check_experiment(path, text=text)
    assert report.diagnostics == (), report.diagnostics
    return report.experiment.config


def expected(config):
    agents = config.agent_policy_configs.model_dump()
    for agent in agents["agent_configs"].values():
        agent.update(TEXTS[agent["name"]])
    return config.model_dump(exclude={"sweep"}) | {"agent_policy_configs": agents}


@pytest.mark.parametrize("suffix", [".toml", ".yaml"])
def test_prompts_are_in_place_and_nothing_else_changes(tmp_path, suffix):
    text = TEXT
    if suffix == ".yaml":
        text = convert(parse_document(TEXT, tmp_path / "a.toml"), "yaml").text
    source, resolved, config = run(tmp_path, text, suffix=suffix)
    written = with_prompts(source, resolved, config, TEXTS)
    assert config_of(source.path, written).model_dump(exclude={"sweep"}) == expected(config)
    kept = [line for line in text.splitlines() if not any(word in line for word in ("system_prompt", "user"))]
    assert [line for line in kept if line not in written.splitlines() and "assistant" not in line] == []
    for comment in ("A team that adds.", "weights stay", "Writes programs.", "the first", "how often"):
        assert f"# {comment}" in written


def test_what_overrides_and_a_sweep_set_is_in_place_too(tmp_path):
    overrides = ["training.seed=7", "+training.logger=[]", "env.options.digits=3", "~training.prompt"]
    values = {("training", "validate_sample_num"): 4}
    source, resolved, config = run(tmp_path, TEXT, *overrides, values=values.items())
    written = with_prompts(source, resolved, config, TEXTS)
    assert config_of(source.path, written).model_dump(exclude={"sweep"}) == expected(config)
    assert (config.training.seed, config.training.validate_sample_num) == (7, 4)
    # An axis stays one, with the value that won as its default.
    assert "values = [1, 2, 4], default = 4 } # how often" in written


def test_a_value_beside_the_axis_takes_its_place(tmp_path):
    source, resolved, config = run(tmp_path, TEXT, "training.validate_sample_num=3")
    written = with_prompts(source, resolved, config, TEXTS)
    assert config_of(source.path, written).training.validate_sample_num == 3


def test_values_of_the_environment_stay_references(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_RUN", "a-secret-name")
    override = "training.project_name='${oc.env:MY_RUN}'"
    source, resolved, config = run(tmp_path, TEXT, override)
    written = with_prompts(source, resolved, config, TEXTS)
    assert "a-secret-name" not in written and "${oc.env:MY_RUN}" in written


def test_a_file_that_builds_on_others_elsewhere_is_written_whole(tmp_path):
    home, folder = tmp_path / "home", tmp_path / "run"
    home.mkdir()
    folder.mkdir()
    (home / "base.toml").write_text(TEXT)
    (home / "main.toml").write_text('defaults = ["base", "_self_"]\ntraining.seed = 3\n')
    draft = draft_experiment(home / "main.toml")
    typed = type_cell(choose(draft, {axis.path: axis.default for axis in draft.axes}))
    (folder / "experiment.toml").write_text((home / "main.toml").read_text())
    (folder / "resolved.toml").write_text(trial_toml(typed.stored))
    source, resolved = read_document(folder / "experiment.toml"), read_document(folder / "resolved.toml")
    assert with_prompts(source, resolved, typed.config, TEXTS) is None
    written = resolved_with_prompts(resolved, typed.config, TEXTS)
    found = config_of(folder / "best.toml", written)
    assert found.model_dump(exclude={"sweep", "defaults"}) == {
        key: value for key, value in expected(typed.config).items() if key != "defaults"
    }
