"""The environment of docs/environments.md is real code: it plays."""

import re
import types
from pathlib import Path

from pettingllms.config.agents import AgentConfig

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "environments.md").read_text()


def test_documented_environment_plays():
    module = types.ModuleType("guess")
    blocks = [block for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if "class " in block]
    for block in blocks:
        exec(compile(block, "guess", "exec"), module.__dict__)
    env_type, agent_type = module.GuessEnv, module.Guesser
    options = env_type.Options()
    task = env_type.tasks("builtin:guess", "train", options, 0)[0]
    env, agent = env_type(task, options), agent_type(AgentConfig(name="guesser", policy_name="p"))
    twin = env.copy()
    agent.act(twin, f" {task.data['gold']} ")
    assert twin.success() and twin.team_reward() == 1.0 and not env.solved()
    assert "between 1 and 5" in agent.messages(env)[-1].content
