"""F16: an experiment that was changed between two starts, key by key."""

from pathlib import Path

import pytest

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.fields import annotation_at
from pettingllms.config.resume import ALLOWED, REFUSED, changes, refuse_changes
from pettingllms.errors import RefusedError

PPO = "models.model_0.ppo_trainer_config"
ROLLOUT = f"{PPO}.actor_rollout_ref.rollout"
ACTOR = f"{PPO}.actor_rollout_ref.actor"

ALLOWED_EDITS = [
    ("training.total_training_steps", 500),
    ("training.val_freq", 3),
    ("training.validate_sample_num", 4),
    ("training.save_freq", 7),
    ("training.keep_checkpoints", 9),
    ("training.keep_best.direction", "minimize"),
    ("training.save_in_background", False),
    ("training.on_save_failure", "continue"),
    ("training.logger", ["console", "tensorboard"]),
    ("training.experiment_name", "again"),
    ("env.benchmark", "builtin:other"),
    ("agent_policy_configs.agent_configs.agent_0.val_llm_config.temperature", 0.5),
    ("sandbox.allow_weak", True),
    ("launch.num_cpu_threads_per_process", 1),
    (f"{ACTOR}.ppo_max_token_len_per_gpu", 1024),
    (f"{ROLLOUT}.gpu_memory_utilization", 0.4),
    (f"{ROLLOUT}.max_num_seqs", 8),
]
REFUSED_EDITS = [
    ("training.seed", 1, "every draw"),
    ("training.device", "cuda", "devices"),
    ("training.train_batch_size", 3, "which tasks"),
    ("training.train_sample_num", 3, "what a step samples"),
    ("training.max_response_length", 3, "what a step samples"),
    ("training.epoch_size", 3, "which tasks"),
    ("training.model_checkpoints_dir", "elsewhere", "lie there"),
    ("training.lora_rank", 2, "of this rank"),
    ("lora_rank", 2, "of this rank"),
    ("lora_alpha", 2.0, "scale"),
    ("specialization", "full", "of this kind"),
    ("base_models.policy_0.path", "other", "these models"),
    ("env.dataset", "builtin:other", "the task"),
    ("env.options.digits", 3, "the task"),
    ("multi_agent_interaction.turn_order", ["b", "a"], "the team"),
    ("agent_policy_configs.agent_configs.agent_0.train_llm_config.top_p", 0.5, "the team"),
    ("launch.num_processes", 2, "random states"),
    (f"{ACTOR}.optim.lr", 1.0, "moments"),
    (f"{ACTOR}.clip_ratio", 0.1, "learns"),
    (f"{PPO}.algorithm.grouping", "trajectory", "learns"),
    (f"{ROLLOUT}.name", "hf", "samples"),
    (f"{PPO}.actor_rollout_ref.model.lora_rank", 3, "this model"),
]


def tree():
    return {
        "env": {"name": "math_env", "dataset": "builtin:arithmetic"},
        "base_models": {"policy_0": {"path": "tiny", "name": "p"}},
        "agent_policy_configs": {
            "num_agents": 2,
            "agent_configs": {
                f"agent_{n}": {"name": name, "policy_name": "p"} for n, name in enumerate("ab")
            },
        },
        "multi_agent_interaction": {"turn_order": ["a", "b"]},
        "training": {"device": "cpu"},
        "models": {"model_0": {"name": "p"}},
    }


def edited(key, value):
    data = tree()
    *sections, last = key.split(".")
    section = data
    for name in sections:
        section = section.setdefault(name, {})
    section[last] = value
    return ExperimentConfig.model_validate(data)


OLD = ExperimentConfig.model_validate(tree())


def test_at_least_fifteen_edits_are_tried():
    assert len(ALLOWED_EDITS) + len(REFUSED_EDITS) >= 15


@pytest.mark.parametrize(("key", "value"), ALLOWED_EDITS, ids=[key for key, _ in ALLOWED_EDITS])
def test_an_allowed_change_is_listed(key, value):
    (change,) = changes(OLD, edited(key, value))
    assert change.allowed and str(change).startswith(f"{key}: ")
    refuse_changes([change], "step_000001")


@pytest.mark.parametrize(("key", "value", "why"), REFUSED_EDITS, ids=[key for key, _, _ in REFUSED_EDITS])
def test_a_refused_change_is_named_with_the_reason(key, value, why):
    found = changes(OLD, edited(key, value))
    with pytest.raises(RefusedError, match=why) as refused:
        refuse_changes(found, "step_000001")
    assert f"\n  {key}: " in str(refused.value)


def test_all_refused_keys_are_named_at_once():
    new = edited("training.seed", 5).model_copy(update={"lora_rank": 3})
    with pytest.raises(RefusedError) as refused:
        refuse_changes(changes(OLD, new), "step_000001")
    assert "training.seed: 0 -> 5 (" in str(refused.value) and "lora_rank: 16 -> 3 (" in str(refused.value)


def test_no_change_is_no_change():
    assert changes(OLD, ExperimentConfig.model_validate(tree())) == []


def test_an_agent_or_a_policy_more_is_a_change():
    data = tree()
    data["base_models"]["policy_1"] = {"path": "tiny", "name": "q"}
    found = changes(OLD, ExperimentConfig.model_validate(data))
    assert found and not any(change.allowed for change in found)


def test_what_no_row_knows_is_refused(monkeypatch):
    monkeypatch.delitem(REFUSED, "env")
    (change,) = changes(OLD, edited("env.max_turns", 5))
    assert not change.allowed and "nobody has said" in change.why


def test_secrets_are_not_shown():
    (change,) = changes(OLD, edited("env.options.api_key", "hunter22"))
    assert "hunter22" not in str(change)


def test_rows_are_keys_of_the_schema():
    for row in [*ALLOWED, *REFUSED]:
        path = tuple(
            row.replace("models.*", "models.model_0").replace("configs.*", "configs.agent_0").split(".")
        )
        assert annotation_at(path) is not None, row


def test_the_page_has_every_row():
    page = (Path(__file__).resolve().parents[2] / "docs" / "checkpoints.md").read_text()
    lines = page.splitlines()
    for table in (ALLOWED, REFUSED):
        for key, why in table.items():
            assert any(f"`{key}`" in line and line.endswith(f"| {why} |") for line in lines), key
