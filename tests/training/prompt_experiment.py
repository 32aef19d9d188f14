"""Searches for prompts with the scripted engine: a team says the number that stands in its system prompt.

The replies `\\boxed{{2}}` hold the third last number of a prompt: behind it stand the two of a question. How
good a system prompt is can therefore be counted from the tasks.
"""

from pettingllms.config.trial_file import trial_toml
from pettingllms.envs.arithmetic import generate
from pettingllms.envs.math import MathOptions
from pettingllms.lint.engine import check_experiment

TEXT = r"""
# The team says a number.
format = 1
specialization = "prompt"

[resource]
n_gpus_per_node = 0

[env]
name = "math_env"
dataset = "builtin:arithmetic"
max_turns = 1
options = { digits = 1, validation_size = 12, test_size = 12, train_size = 30 } # one digit

[base_models.policy_0]
path = "@MODEL@"
name = "shared"

[agent_policy_configs]
num_agents = 1

[agent_policy_configs.agent_configs.agent_0]
name = "reasoning_generator" # says it
policy_name = "shared"
system_prompt = "Say 100." # never right

[multi_agent_interaction]
turn_order = ["reasoning_generator"]

[training]
device = "cpu"
total_training_steps = 3
logger = []
max_prompt_length = 160
max_response_length = 16
prompt = { minibatch_size = 30, reflection_model = "writer", reflection_url = "@URL@" }

[models.model_0.ppo_trainer_config.actor_rollout_ref]
rollout.name = "scripted"
rollout.engine_kwargs.scripted.replies = ["\\boxed{{2}}"]
"""
OPTIONS = MathOptions(digits=1, validation_size=12, test_size=12, train_size=30)


def share(split, number):
    """The share of the tasks of a split whose answer is `number`."""
    tasks = generate(split, OPTIONS, 0)
    return sum(task.data["answer"] == str(number) for task in tasks) / len(tasks)


def prepared_search(tmp_path, model, url, *overrides, name="run", text=TEXT):
    """A run folder with the experiment as it was written and as the worker reads it."""
    path = tmp_path / "prompt.toml"
    path.write_text(text.replace("@MODEL@", str(model)).replace("@URL@", url))
    report = check_experiment(path, overrides)
    assert report.experiment is not None, report.diagnostics
    folder = tmp_path / name
    folder.mkdir()
    (folder / "trial.toml").write_text(trial_toml(report.experiment.stored))
    (folder / "resolved.toml").write_text(trial_toml(report.experiment.stored))
    (folder / "experiment.toml").write_text(path.read_text())
    return folder
