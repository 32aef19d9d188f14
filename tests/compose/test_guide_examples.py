"""Every example of the configuration guide resolves to what the guide says, from YAML and from TOML."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from pettingllms.compose.compose import compose
from pettingllms.compose.references import resolve_references
from pettingllms.compose.special_values import replace_special
from pettingllms.config.fields import ExperimentSchema
from pettingllms.config.presets import find_preset
from pettingllms.config.typed import type_cell
from pettingllms.documents.read import read_document
from pettingllms.documents.source import dotted

GUIDE = Path(__file__).resolve().parents[1] / "data" / "guide"
NAMES = sorted(p.relative_to(GUIDE / "yaml").with_suffix("").as_posix() for p in GUIDE.glob("yaml/**/*.yaml"))
NOT_AVAILABLE = "PLM007"


@pytest.fixture(params=["yaml", "toml"])
def guide(request):
    """The path of an example by name, in one of the two formats."""
    return lambda name: GUIDE / request.param / f"{name}.{request.param}"


def resolution_of(path, overrides=(), overlays=(), environment=None):
    composition = compose(path, overrides, schema=ExperimentSchema(), overlays=overlays)
    data, axes, malformed = replace_special(composition.tree.data)
    # The guide's own relative names lead to the shipped fragments from any folder.
    faults = [finding for finding in composition.findings if finding.code != "PLM215"]
    assert [*faults, *malformed, *axes] == []
    resolution = resolve_references(data, environment)
    assert resolution.findings == []
    return resolution


def leaves(value, path=()):
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    else:
        yield dotted(path), value


def typed(flat):
    return {path: (type(value).__name__, value) for path, value in flat.items()}


def resolved(*args, **kwargs):
    """All leaves by dotted path, each with its type."""
    return typed(dict(leaves(resolution_of(*args, **kwargs).data)))


def below(prefix, flat):
    return {f"{prefix}.{path}": value for path, value in flat.items()}


def changed(before, after):
    """The leaves of `after` that `before` has not, or has otherwise; nothing may be gone."""
    assert set(before) <= set(after)
    return {path: value for path, value in after.items() if before.get(path) != value}


LEAD = {
    "specialization": "lora",
    "lora_rank": 16,
    "lora_alpha": 32,
    "resource.nnodes": 1,
    "resource.n_gpus_per_node": 8,
    "resource.trust_remote_code": True,
    "env.name": "math_env",
    "env.dataset": "polaris",
    "env.benchmark": "AIME24",
    "env.max_turns": 5,
    "env.resolve": False,
    "env.multi_modal": False,
    "env.batched_init": True,
    "base_models.policy_0.path": "your base model path",
    "base_models.policy_0.name": "reasoning_generator_model",
    "base_models.policy_1.path": "your base model path",
    "base_models.policy_1.name": "tool_generator_model",
    "agent_policy_configs.num_agents": 2,
    "agent_policy_configs.policy_list": ["reasoning_generator", "tool_generator"],
    "agent_policy_configs.agent_configs.agent_0.name": "reasoning_generator",
    "agent_policy_configs.agent_configs.agent_0.policy_name": "reasoning_generator_model",
    "agent_policy_configs.agent_configs.agent_1.name": "tool_generator",
    "agent_policy_configs.agent_configs.agent_1.policy_name": "reasoning_generator_model",
    "multi_agent_interaction.turn_order": ["tool_generator", "reasoning_generator"],
    "multi_agent_interaction.num_interacting_agents": 2,
    "training.device": "cuda",
    "training.total_training_steps": 200,
    "training.project_name": "pettingllms",
    "training.experiment_name": "math_eval_single_policy",
    "training.logger": ["console", "wandb"],
    "models.model_0.path": "your base model path",
    "models.model_0.name": "reasoning_generator_model",
    "models.model_1.path": "your base model path",
    "models.model_1.name": "tool_generator_model",
}
# Section 7 of the guide, and for each model section 8.
TRAINING = {
    "model_checkpoints_dir": "checkpoints",
    "ray_wait_register_center_timeout": 300,
    "train_batch_size": 32,
    "train_sample_num": 8,
    "validate_sample_num": 1,
    "sample_temperature": 1,
    "val_freq": 10,
    "resample_freq": 3,
    "epoch_size": 20,
    "max_prompt_length": 4096,
    "max_response_length": 2048,
    "lora_rank": 16,
    "lora_alpha": 32,
}
MODEL = {
    "filter_method": "mean",
    "filter_ratio": 0.5,
    "data.max_prompt_length": 4096,
    "data.max_response_length": 2048,
    "actor_rollout_ref.model.path": "your base model path",
    "actor_rollout_ref.rollout.temperature": 1,
    "actor_rollout_ref.rollout.prompt_length": 4096,
    "actor_rollout_ref.rollout.response_length": 2048,
    "actor_rollout_ref.rollout.tensor_model_parallel_size": 8,
    "actor_rollout_ref.trainer.n_gpus_per_node": 8,
    "actor_rollout_ref.trainer.n_training_gpus_per_node": 8,
}
# What the mounted fragment `ppo_trainer/eval` gives beside the keys of MODEL.
EVAL = {
    "algorithm.adv_estimator": "grpo",
    "algorithm.norm_adv_by_std_in_grpo": True,
    "algorithm.use_kl_in_reward": False,
    "algorithm.mask_truncated_samples": False,
    "actor_rollout_ref.model.enable_gradient_checkpointing": True,
    "actor_rollout_ref.actor.grad_clip": 1.0,
    "actor_rollout_ref.actor.clip_ratio": 0.2,
    "actor_rollout_ref.actor.clip_ratio_low": 0.2,
    "actor_rollout_ref.actor.clip_ratio_high": 0.2,
    "actor_rollout_ref.actor.clip_ratio_c": 3.0,
    "actor_rollout_ref.actor.loss_agg_mode": "token-mean",
    "actor_rollout_ref.actor.entropy_coeff": 0,
    "actor_rollout_ref.actor.use_kl_loss": False,
    "actor_rollout_ref.actor.ppo_epochs": 1,
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu": 16384,
    "actor_rollout_ref.actor.optim.lr": 5e-6,
    "actor_rollout_ref.actor.optim.weight_decay": 0.01,
    "actor_rollout_ref.actor.optim.lr_warmup_steps": 10,
    "actor_rollout_ref.actor.optim.warmup_style": "cosine",
    "actor_rollout_ref.actor.optim.min_lr_ratio": 0.3,
    "actor_rollout_ref.rollout.name": "vllm",
    "actor_rollout_ref.rollout.top_p": 1,
    "actor_rollout_ref.rollout.top_k": -1,
    "actor_rollout_ref.rollout.gpu_memory_utilization": 0.8,
    "actor_rollout_ref.rollout.max_num_seqs": 32,
}
PPO_0, PPO_1 = "models.model_0.ppo_trainer_config", "models.model_1.ppo_trainer_config"


@pytest.mark.parametrize("name", NAMES)
def test_both_formats_hold_the_same_data(name):
    from_toml, axes, malformed = replace_special(read_document(GUIDE / "toml" / f"{name}.toml").data)
    assert (from_toml, axes, malformed) == (read_document(GUIDE / "yaml" / f"{name}.yaml").data, {}, [])


def test_lead_example_as_printed(guide):
    # The guide leaves `ppo_trainer_config` empty there, which is a null and replaces what was mounted.
    empty = {PPO_0: None, PPO_1: None}
    assert resolved(guide("lead/math/math_L3_model")) == typed({**LEAD, **empty})


def test_lead_example_with_its_training_and_models_sections(guide):
    expected = {**LEAD, **below("training", TRAINING)}
    expected |= below(PPO_0, {**EVAL, **MODEL}) | below(PPO_1, MODEL)
    assert resolved(guide("lead/math/math_L3_whole")) == typed(expected)


SCENARIOS = {
    # Changing the base model: all references follow.
    "a": {
        "base_models.policy_0.path": "Qwen/Qwen2.5-7B-Instruct",
        "base_models.policy_0.name": "qwen_model",
        "models.model_0.path": "Qwen/Qwen2.5-7B-Instruct",
        "models.model_0.name": "qwen_model",
        f"{PPO_0}.actor_rollout_ref.model.path": "Qwen/Qwen2.5-7B-Instruct",
    },
    # A third agent with a model of its own.
    "b": {
        "agent_policy_configs.num_agents": 3,
        "agent_policy_configs.policy_list": ["agent1", "agent2", "agent3"],
        "agent_policy_configs.agent_configs.agent_2.name": "agent3",
        "agent_policy_configs.agent_configs.agent_2.policy_name": "model3",
        "multi_agent_interaction.turn_order": ["agent1", "agent2", "agent3"],
        "multi_agent_interaction.num_interacting_agents": 3,
        "base_models.policy_2.path": "path/to/model3",
        "base_models.policy_2.name": "model3",
    },
    # From 8 GPUs to 4: what refers to the count follows.
    "c": {
        "resource.n_gpus_per_node": 4,
        f"{PPO_0}.actor_rollout_ref.rollout.tensor_model_parallel_size": 4,
        f"{PPO_0}.actor_rollout_ref.trainer.n_gpus_per_node": 4,
        f"{PPO_0}.actor_rollout_ref.trainer.n_training_gpus_per_node": 4,
        f"{PPO_1}.actor_rollout_ref.rollout.tensor_model_parallel_size": 4,
    },
    # LoRA instead of full training.
    "d": {
        "specialization": "lora",
        "lora_rank": 16,
        "lora_alpha": 32,
        "training.lora_rank": 16,
        "training.lora_alpha": 32,
    },
    # Training hyperparameters: the models' lengths and temperature follow.
    "e": {
        "training.total_training_steps": 500,
        "training.train_batch_size": 16,
        "training.max_prompt_length": 2048,
        "training.max_response_length": 1024,
        "training.sample_temperature": 1.2,
        "training.train_sample_num": 12,
        "training.val_freq": 5,
        f"{PPO_0}.data.max_prompt_length": 2048,
        f"{PPO_0}.data.max_response_length": 1024,
        f"{PPO_0}.actor_rollout_ref.rollout.temperature": 1.2,
        f"{PPO_0}.actor_rollout_ref.rollout.prompt_length": 2048,
        f"{PPO_0}.actor_rollout_ref.rollout.response_length": 1024,
    },
}


@pytest.mark.parametrize("letter", SCENARIOS)
def test_scenario_changes_exactly_what_the_guide_says(letter, guide):
    before = resolved(guide("scenarios/base"))
    after = resolved(guide("scenarios/base"), overlays=[guide(f"scenarios/scenario_{letter}")])
    assert changed(before, after) == typed(SCENARIOS[letter])


INTERACTIONS = {
    "serial": (["code_generator", "test_generator"], 2),
    "iterative": (["generator", "critic", "generator", "critic"], 2),
    "single": (["single_agent"], 1),
}


@pytest.mark.parametrize("mode", INTERACTIONS)
def test_interaction_mode_replaces_the_speaking_order(mode, guide):
    order, count = INTERACTIONS[mode]
    tree = resolution_of(guide("scenarios/base"), overlays=[guide(f"interaction/{mode}")]).data
    # A list replaces, item by item nothing of the base's two agents is left.
    assert tree["multi_agent_interaction"] == {"turn_order": order, "num_interacting_agents": count}
    assert len(set(order)) == count


def test_modular_files_hold_their_section_and_merge_at_the_root(guide):
    assert resolved(guide("modular/math/math_experiment")) == typed(
        {
            "resource.nnodes": 1,
            "resource.n_gpus_per_node": 8,
            "training.total_training_steps": 200,
            "training.train_batch_size": 32,
            "env.name": "math_env",
        }
    )


MATH_GROUP = {"env.name": "math_env", "env.max_turns": 5}
CODE_GROUP = {
    "env.name": "code_env",
    "env.dataset": "apps",
    "env.benchmark": "LiveCodeBench",
    "env.max_turns": 6,
    "env.resolve": True,
    "env.multi_modal": False,
    "env.batched_init": True,
}
LLAMA = {"base_models.policy_0.path": "meta-llama/Llama-3-8B-Instruct"}
QWEN = {"base_models.policy_0.path": "Qwen/Qwen2-7B-Instruct"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {**MATH_GROUP, **LLAMA}),
        (["env=code"], {**CODE_GROUP, **LLAMA}),
        (["env=code", "model=qwen2_7b"], {**CODE_GROUP, **QWEN}),
        (["model=qwen2_7b", "env.max_turns=7"], {**MATH_GROUP, **QWEN, "env.max_turns": 7}),
    ],
)
def test_groups_are_chosen_at_run_time(words, expected, guide):
    assert resolved(guide("groups/experiment"), words) == typed(expected)


def test_file_that_omegaconf_saved(guide, tmp_path):
    policies = {f"policy_{i}": {"path": f"/models/policy_{i}", "name": f"model_{i}"} for i in range(2)}
    config = {"env": {"name": "math_env", "max_turns": 5}, "base_models": policies}
    OmegaConf.save(config, tmp_path / "saved.yaml")
    stored = GUIDE / "yaml/generated/generated_config.yaml"
    assert (tmp_path / "saved.yaml").read_bytes() == stored.read_bytes()
    assert resolved(guide("generated/generated_config")) == typed(
        {
            "env.name": "math_env",
            "env.max_turns": 5,
            "base_models.policy_0.path": "/models/policy_0",
            "base_models.policy_0.name": "model_0",
            "base_models.policy_1.path": "/models/policy_1",
            "base_models.policy_1.name": "model_1",
        }
    )


COMPLETE = {
    "code_generation": {
        "specialization": "lora",
        "lora_rank": 16,
        "lora_alpha": 32,
        "resource.nnodes": 1,
        "resource.n_gpus_per_node": 8,
        "resource.trust_remote_code": True,
        **CODE_GROUP,
        "base_models.policy_0.path": "meta-llama/Llama-3-8B-Instruct",
        "base_models.policy_0.name": "code_model",
        "base_models.policy_1.path": "meta-llama/Llama-3-8B-Instruct",
        "base_models.policy_1.name": "test_model",
        "agent_policy_configs.num_agents": 2,
        "agent_policy_configs.policy_list": ["code_generator", "test_generator"],
        "agent_policy_configs.agent_configs.agent_0.name": "code_generator",
        "agent_policy_configs.agent_configs.agent_0.policy_name": "code_model",
        "agent_policy_configs.agent_configs.agent_1.name": "test_generator",
        "agent_policy_configs.agent_configs.agent_1.policy_name": "test_model",
        "multi_agent_interaction.turn_order": ["code_generator", "test_generator"],
        "multi_agent_interaction.num_interacting_agents": 2,
        "training.device": "cuda",
        "training.total_training_steps": 300,
        "training.project_name": "pettingllms",
        "training.experiment_name": "code_generation_2agents",
        "training.logger": ["console", "wandb"],
        "training.train_batch_size": 32,
        "training.train_sample_num": 8,
        "training.validate_sample_num": 1,
        "training.sample_temperature": 0.8,
        "training.val_freq": 10,
        "training.max_prompt_length": 2048,
        "training.max_response_length": 4096,
    },
    "single_agent": {
        "specialization": "lora",
        "lora_rank": 16,
        "lora_alpha": 32,
        "resource.nnodes": 1,
        "resource.n_gpus_per_node": 8,
        "env.name": "math_env",
        "env.dataset": "polaris",
        "env.benchmark": "AIME24",
        "env.max_turns": 1,
        "env.batched_init": True,
        "base_models.policy_0.path": "Qwen/Qwen2.5-7B-Instruct",
        "base_models.policy_0.name": "single_agent_model",
        "agent_policy_configs.num_agents": 1,
        "agent_policy_configs.policy_list": ["single_agent"],
        "agent_policy_configs.agent_configs.agent_0.name": "single_agent",
        "agent_policy_configs.agent_configs.agent_0.policy_name": "single_agent_model",
        "multi_agent_interaction.turn_order": ["single_agent"],
        "multi_agent_interaction.num_interacting_agents": 1,
        "training.total_training_steps": 200,
        "training.train_batch_size": 64,
        "training.max_prompt_length": 4096,
        "training.max_response_length": 2048,
    },
}


@pytest.mark.parametrize("name", COMPLETE)
def test_complete_example_resolves_to_itself(name, guide):
    assert resolved(guide(f"complete/{name}")) == typed(COMPLETE[name])


@pytest.mark.parametrize(("name", "policies"), [("code_generation", 2), ("single_agent", 1)])
def test_complete_example_needs_no_models_section(name, policies, guide):
    checked = type_cell(resolution_of(guide(f"complete/{name}")))
    assert {finding.code for finding in checked.findings} <= {NOT_AVAILABLE}
    assert checked.config is not None and checked.config.models == {}
    assert len(checked.config.base_models) == policies


def test_path_from_the_environment(guide):
    path = guide("environment/model_path")
    set_there = {"MODEL_PATH": "/path/to/secure/model"}
    assert resolved(path, environment=set_there) == typed(
        {"base_models.policy_0.path": "/path/to/secure/model"}
    )


PHASES = {1: (10, 4, 2, 2), 2: (50, 16, 4, 3), 3: (500, 32, 8, 5)}
PHASE_KEYS = (
    "training.total_training_steps",
    "training.train_batch_size",
    "training.train_sample_num",
    "env.max_turns",
)


@pytest.mark.parametrize("number", PHASES)
def test_phase_sets_its_four_values_and_nothing_else(number, guide):
    expected = typed(dict(zip(PHASE_KEYS, PHASES[number], strict=True)))
    before = resolved(guide("scenarios/base"))
    after = resolved(guide("scenarios/base"), overlays=[guide(f"phases/phase_{number}")])
    assert after == {**before, **expected}


def test_command_lines_of_the_guide():
    preset = find_preset("math_L3_model")
    before = resolved(preset)
    after = resolved(preset, ["training.total_training_steps=500"])
    assert changed(before, after) == typed({"training.total_training_steps": 500})
    after = resolved(
        preset,
        ["training.total_training_steps=500", "training.train_batch_size=16", "resource.n_gpus_per_node=4"],
    )
    gpus = {"actor_rollout_ref.rollout.tensor_model_parallel_size": 2}
    gpus |= {"trainer.n_gpus_per_node": 4, "trainer.n_training_gpus_per_node": 4}
    assert changed(before, after) == typed(
        {
            "training.total_training_steps": 500,
            "training.train_batch_size": 16,
            "resource.n_gpus_per_node": 4,
            **below(PPO_0, gpus),
            **below(PPO_1, gpus),
        }
    )
    # The shell has taken the quotes of `="/path/to/new/model"` and `="[agent2,agent1]"` away.
    words = [
        "base_models.policy_0.path=/path/to/new/model",
        "multi_agent_interaction.turn_order=[agent2,agent1]",
    ]
    after = resolved(preset, words)
    assert changed(before, after) == typed(
        {
            "base_models.policy_0.path": "/path/to/new/model",
            "models.model_0.path": "/path/to/new/model",
            f"{PPO_0}.actor_rollout_ref.model.path": "/path/to/new/model",
            "multi_agent_interaction.turn_order": ["agent2", "agent1"],
        }
    )
