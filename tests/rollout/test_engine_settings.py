"""When the engine of one trial can serve another."""

import pytest
from served_engines import settings

from pettingllms.config.homes import engine_groups, plan_policies
from pettingllms.lint.engine import check_experiment
from pettingllms.rollout.engine_settings import differences, engine_settings


@pytest.mark.parametrize("serving", ["merged", "adapter"])
@pytest.mark.parametrize("change", [{}, {"seed": 1}, {"policies": ("q",)}])
def test_what_requests_bring_themselves_needs_no_other_engine(tmp_path, serving, change):
    assert (
        differences(settings(tmp_path, serving=serving), settings(tmp_path, serving=serving, **change)) == []
    )


@pytest.mark.parametrize("change", [{"policies": ("p", "q")}, {"max_lora_rank": 16}])
def test_room_for_adapters_counts_where_the_engine_holds_them(tmp_path, change):
    one, other = (settings(tmp_path, serving="adapter", **more) for more in ({}, change))
    assert differences(one, other) == list(change)
    one, other = (settings(tmp_path, serving="merged", **more) for more in ({}, change))
    assert differences(one, other) == []


@pytest.mark.parametrize(
    "change",
    [
        {"name": "hf"},
        {"dtype": "bfloat16"},
        {"serving": "adapter"},
        {"max_model_len": 64},
        {"max_num_seqs": 4},
        {"threads": 2},
        {"replies": ("no",)},
        {"may_sleep": True},
        {"max_num_batched_tokens": 512},
        {"enforce_eager": False},
    ],
)
def test_everything_else_counts(tmp_path, change):
    found = differences(settings(tmp_path), settings(tmp_path, **change))
    assert set(change) <= set(found)


def test_another_model_is_another_engine(tmp_path):
    assert differences(settings(tmp_path), settings(tmp_path / "other")) == ["model_folder"]


SEARCH = """\
specialization = "prompt"
resource.n_gpus_per_node = 0
env = { name = "math_env", dataset = "builtin:arithmetic", max_turns = 2 }
[base_models]
policy_0 = { path = "builtin:smollm2-135m-instruct", name = "one" }
policy_1 = { path = "@OTHER@", name = "two" }
[agent_policy_configs]
num_agents = 2
[agent_policy_configs.agent_configs]
agent_0 = { name = "reasoning_generator", policy_name = "one" }
agent_1 = { name = "tool_generator", policy_name = "two" }
[multi_agent_interaction]
turn_order = ["reasoning_generator", "tool_generator"]
[training]
device = "cpu"
max_prompt_length = 32
max_response_length = 32
prompt = { reflection_model = "two", reflection_prompt_length = 64, reflection_response_length = 32 }
"""


def test_only_the_engine_that_reflects_holds_prompts_of_reflection(tmp_path, tiny_model):
    path = tmp_path / "search.toml"
    path.write_text(SEARCH.replace("@OTHER@", str(tiny_model)))
    experiment = check_experiment(path).experiment
    config = experiment.config
    groups = engine_groups(config, plan_policies(config))
    lengths = {group[0].name: engine_settings(config, group, tmp_path).max_model_len for group in groups}
    assert lengths == {"one": 64, "two": 96}
