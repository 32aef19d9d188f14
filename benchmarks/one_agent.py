"""A study of the smallest real trials: one agent, a tiny model, the scripted engine; the axis is the seed."""

TEXT = r"""
format = 1
specialization = "lora"
lora_rank = 4

[resource]
n_gpus_per_node = 0

[env]
name = "math_env"
dataset = "builtin:arithmetic"
max_turns = 1
options = { digits = 1, validation_size = 4, test_size = 4 }

[base_models.policy_0]
path = "@MODEL@"
name = "first"

[agent_policy_configs]
num_agents = 1
agent_configs.agent_0 = { name = "reasoning_generator", policy_name = "first", system_prompt = "" }

[multi_agent_interaction]
turn_order = ["reasoning_generator"]

[training]
device = "cpu"
total_training_steps = @STEPS@
experiment_name = "@NAME@"
logger = []
train_batch_size = 1
train_sample_num = 2
val_freq = 1
save_freq = 1
max_prompt_length = 96
max_response_length = 24
seed = { sweep = "int", low = 0, high = @LAST@, default = 0 }

[models.model_0.ppo_trainer_config.actor_rollout_ref]
rollout.name = "scripted"
rollout.engine_kwargs.scripted.replies = ["\\boxed{1}", "\\boxed{2}", "?"]
actor.optim.lr = 0.001

[sweep]
"""


def write_study(path, model, *, steps, cells, sweep=""):
    """Write the experiment to `path`: its stem is the study's name, `sweep` what [sweep] has."""
    words = {"@MODEL@": model, "@STEPS@": steps, "@LAST@": cells - 1, "@NAME@": path.stem}
    text = TEXT
    for word, value in words.items():
        text = text.replace(word, str(value))
    path.write_text(text + sweep)
    return path
