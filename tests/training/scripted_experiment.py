"""An experiment on the tiny model and the scripted engine, as TOML text."""

TEXT = r"""
format = 1
specialization = "lora"
lora_rank = 4

[resource]
n_gpus_per_node = 0

[env]
name = "math_env"
dataset = "builtin:arithmetic"
max_turns = 2
options = { digits = 1, validation_size = 4, test_size = 4 }

[base_models.policy_0]
path = "@MODEL@"
name = "tool policy"

[base_models.policy_1]
path = "@MODEL@"
name = "reason/policy"

[agent_policy_configs]
num_agents = 2
agent_configs.agent_0 = { name = "tool_generator", policy_name = "tool policy", system_prompt = "" }
agent_configs.agent_1 = { name = "reasoning_generator", policy_name = "reason/policy", system_prompt = "" }

[multi_agent_interaction]
turn_order = ["tool_generator", "reasoning_generator"]

[training]
device = "cpu"
total_training_steps = 2
logger = []
train_batch_size = 2
train_sample_num = 4
val_freq = 1
save_freq = 1
max_prompt_length = 96
max_response_length = 40

[models.model_0.ppo_trainer_config.actor_rollout_ref]
rollout.name = "scripted"
rollout.engine_kwargs.scripted.replies = [
    "```\nprint({1} + {0})\n```", "```\nprint(1)\n```", "\\boxed{{0}}", "\\boxed{1}", "?"
]
actor.optim.lr = 0.001

[models.model_1.ppo_trainer_config.actor_rollout_ref]
rollout = "${models.model_0.ppo_trainer_config.actor_rollout_ref.rollout}"
"""


def write_experiment(folder, model, name="scripted.toml"):
    path = folder / name
    path.write_text(TEXT.replace("@MODEL@", str(model)))
    return path
