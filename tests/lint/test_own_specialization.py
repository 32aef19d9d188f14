"""Rules where policies differ in what they train: each is judged by its own `specialization`."""

import copy
import tomllib
from pathlib import Path

import pytest

import pettingllms.lint.rules  # noqa: F401 - fills RULES
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import engine_groups, plan_policies
from pettingllms.lint.facts import Facts
from pettingllms.lint.policies import engines
from pettingllms.lint.rule import RULES, Context

ONE_POLICY = tomllib.loads((Path(__file__).parents[1] / "cases/shared/one_policy.toml").read_text())
OURS = "models.model_{}.ppo_trainer_config.actor_rollout_ref"
FULL = {OURS.format(1) + ".model.specialization": "full"}
GIB = 2**30


def put(data, path, value):
    for key in path[:-1]:
        data = data.setdefault(key, {})
    data[path[-1]] = value


def context(changes=(), facts=None):
    """Two policies on one base model, each with an entry in `models` and an agent."""
    data = copy.deepcopy(ONE_POLICY)
    base = data["base_models"]["policy_0"]
    data["base_models"]["policy_1"] = base | {"name": "other"}
    data["agent_policy_configs"]["agent_configs"]["agent_1"]["policy_name"] = "other"
    for number, name in enumerate((base["name"], "other")):
        put(data, ("models", f"model_{number}", "name"), name)
    for path, value in dict(changes).items():
        put(data, path.split("."), value)
    return Context(ExperimentConfig.model_validate(data), data, facts, frozenset())


def found(code, changes=(), facts=None):
    return [finding.message for finding in RULES[code].check(context(changes, facts))]


def test_a_policy_says_for_itself_what_it_trains():
    plans = list(plan_policies(context(FULL).config).values())
    assert [plan.specialization for plan in plans] == ["lora", "full"]
    everything = {"specialization": "full", OURS.format(0) + ".model.specialization": "lora"}
    plans = list(plan_policies(context(everything).config).values())
    assert [plan.specialization for plan in plans] == ["lora", "full"]


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        # Weights are merged one after the other on the CPU, whatever is trained.
        ({"training.device": "cpu", **FULL}, 1),
        ({"training.device": "cpu", "specialization": "full"}, 1),
        ({"training.device": "cpu", "base_models.policy_1.path": "a/b"}, 2),
        ({"training.device": "cpu", "models.model_1.path": "a/b"}, 2),
        # An engine of adapters cannot take full weights.
        ({"training.device": "cuda", **FULL}, 2),
        ({"training.device": "cuda", "specialization": "full"}, 1),
        ({"training.device": "cuda", "resource.n_gpus_per_node": 2, "specialization": "full"}, 2),
        ({"training.device": "cuda", "resource.n_gpus_per_node": 2}, 1),
        ({"training.device": "cpu", OURS.format(1) + ".rollout.lora_serving": "adapter"}, 2),
    ],
)
def test_the_linter_counts_the_engines_that_the_run_starts(changes, count):
    config = context(changes).config
    groups = [[policy.name for policy in group] for group in engines(config)]
    assert groups == [[plan.name for plan in group] for group in engine_groups(config, plan_policies(config))]
    assert len(groups) == count


def test_a_rank_has_no_effect_where_its_own_policy_has_no_adapter():
    rank = {OURS.format(number) + ".model.lora_rank": 8 for number in (0, 1)}
    assert found("PLM905", rank) == []
    (message,) = found("PLM905", rank | FULL)
    assert message.startswith(OURS.format(1)) and 'no effect with specialization = "full"' in message
    # That of the root is read as long as one policy has an adapter.
    assert found("PLM905", {"lora_rank": 8, **FULL}) == []
    both = {OURS.format(0) + ".model.specialization": "full", **FULL}
    assert any(one.startswith("lora_rank") for one in found("PLM905", {"lora_rank": 8, **both}))


def test_settings_of_adapters_are_judged_by_their_policy():
    targets = {OURS.format(number) + ".model.target_modules": ["q_proj"] for number in (0, 1)}
    serving = {OURS.format(number) + ".rollout.lora_serving": "merged" for number in (0, 1)}
    messages = found("PLM906", targets | serving | FULL)
    assert [one.split(" ")[0] for one in messages] == [
        OURS.format(1) + ".model.target_modules",
        OURS.format(1) + ".rollout.lora_serving",
    ]


def test_only_policies_that_share_base_weights_have_one_number_format():
    rough = {OURS.format(1) + ".actor.fsdp_config.model_dtype": "bf16"}
    (message,) = found("PLM308", rough)
    assert "model_dtype differs between policies on one base model" in message
    assert found("PLM308", rough | FULL) == []


@pytest.mark.parametrize(
    ("changes", "faults"),
    [({}, 0), ({"training.alternate_every": 2}, 0), ({"training.alternate_every": 2, "one": True}, 1)],
)
def test_taking_turns_takes_two(changes, faults):
    changes = dict(changes)
    if changes.pop("one", False):
        changes["agent_policy_configs.agent_configs.agent_1.trained"] = False
    messages = [one for one in found("PLM906", changes) if "alternate_every" in one]
    assert len(messages) == faults


def test_memory_counts_what_each_policy_keeps():
    gpu = {"training.device": "cuda", "resource.n_gpus_per_node": 1}
    facts = Facts(gpus=1, gpu_memory=6 * GIB)
    # 134.5 million weights: 0.25 GiB frozen, or 1.5 GiB with two moments; half the GPU is the engine's.
    tokens = {OURS.format(number) + ".actor.ppo_max_token_len_per_gpu": 64 for number in (0, 1)}
    assert found("PLM315", gpu | tokens, facts) == []
    both = {"specialization": "full"}
    (message,) = found("PLM315", gpu | tokens | both, facts)
    assert "weights 3.0 GiB" in message
