"""A small experiment with two cells, for tests of the commands."""

EXPERIMENT = """\
format = 1
lora_rank = { sweep = "choice", values = [8, 16], default = 16 }

[env]
name = "math_env"
dataset = "builtin:arithmetic"
max_turns = 1

[base_models.policy_0]
path = "builtin:smollm2-135m-instruct"
name = "shared"

[agent_policy_configs]
num_agents = 1

[agent_policy_configs.agent_configs.agent_0]
name = "tool_generator"
policy_name = "shared"

[multi_agent_interaction]
turn_order = ["tool_generator"]

[training]
device = "cpu"
total_training_steps = 2
val_freq = 1
max_prompt_length = 160
max_response_length = 24
experiment_name = "demo"
"""
