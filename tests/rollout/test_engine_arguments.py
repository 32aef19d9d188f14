"""What the engine is told: the keys of the experiment, as vLLM's own arguments."""

import tomllib
from pathlib import Path

import pytest
from served_engines import settings

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import engine_groups, plan_policies
from pettingllms.rollout.engine_settings import engine_settings
from pettingllms.rollout.vllm import _engine_arguments

ONE_POLICY = Path(__file__).parents[1] / "cases/shared/one_policy.toml"


def arguments(**rollout):
    data = tomllib.loads(ONE_POLICY.read_text())
    data["models"]["model_0"]["ppo_trainer_config"]["actor_rollout_ref"]["rollout"] |= rollout
    config = ExperimentConfig.model_validate(data)
    return _engine_arguments(
        engine_settings(config, *engine_groups(config, plan_policies(config)), Path("model"))
    )


def test_what_is_not_set_follows_from_lengths_and_ranks():
    given = arguments(lora_serving="adapter")
    assert given["max_model_len"] == 512 + 256
    assert given["max_lora_rank"] == 16
    # On the CPU all prompts fit in one step, and how they are worked off is left to vLLM.
    assert given["max_num_batched_tokens"] == 64 * 768
    assert "enable_chunked_prefill" not in given


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_model_len", 4096),
        ("max_num_batched_tokens", 99_999),
        ("enable_chunked_prefill", False),
        ("enable_chunked_prefill", True),
        ("max_lora_rank", 64),
        ("max_lora_rank", 512),
        ("max_num_seqs", 3),
    ],
)
def test_what_is_set_reaches_the_engine(key, value):
    assert arguments(lora_serving="adapter", **{key: value})[key] == value


def test_a_gpu_is_left_to_choose_its_batch(tmp_path):
    assert "max_num_batched_tokens" not in _engine_arguments(settings(tmp_path, device="cuda"))
    told = _engine_arguments(settings(tmp_path, device="cuda", max_num_batched_tokens=7))
    assert told["max_num_batched_tokens"] == 7


@pytest.mark.parametrize(("rank", "limit"), [(1, 1), (2, 8), (8, 8), (33, 64), (257, 320), (512, 512)])
def test_largest_rank_is_one_that_vllm_offers(tmp_path, rank, limit):
    assert (
        _engine_arguments(settings(tmp_path, serving="adapter", max_lora_rank=rank))["max_lora_rank"] == limit
    )


def test_a_policy_that_no_agent_uses_tells_the_engine_nothing():
    data = tomllib.loads(ONE_POLICY.read_text())
    data["base_models"] = {
        "policy_0": {"path": "builtin:smollm2-135m-instruct", "name": "idle"},
        "policy_1": data["base_models"]["policy_0"],
    }
    rollout = {"max_num_seqs": 5, "lora_serving": "adapter", "prompt_length": 9999}
    data["models"] = {
        "model_0": {
            "ppo_trainer_config": {"actor_rollout_ref": {"rollout": rollout, "model": {"lora_rank": 600}}}
        }
    }
    config = ExperimentConfig.model_validate(data)
    told = engine_settings(config, *engine_groups(config, plan_policies(config)), Path("model"))
    assert (told.max_num_seqs, told.serving, told.max_model_len, told.max_lora_rank) == (
        64,
        "merged",
        768,
        16,
    )
    assert told.policies == ("shared_model",)


@pytest.mark.parametrize("eager", [True, False])
def test_graphs_are_compiled_unless_eager(tmp_path, eager):
    assert _engine_arguments(settings(tmp_path, enforce_eager=eager))["enforce_eager"] is eager


def test_only_an_engine_on_a_shared_gpu_can_sleep(tmp_path):
    assert "enable_sleep_mode" not in _engine_arguments(settings(tmp_path))
    for shared in (True, False):
        told = _engine_arguments(settings(tmp_path, device="cuda", may_sleep=shared))
        assert told["enable_sleep_mode"] is shared
