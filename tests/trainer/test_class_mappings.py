"""`ENV_CLASS_MAPPING` and `AGENT_CLASS_MAPPING`: mappings over the registries."""

import subprocess
import sys

import pytest

from pettingllms.agents import AGENTS
from pettingllms.agents.base import Agent
from pettingllms.config.model import ConfigModel
from pettingllms.envs import DATASETS, ENVS
from pettingllms.envs.base import Env, Outcome
from pettingllms.errors import RefusedError
from pettingllms.trainer.multiagentssys_register import AGENT_CLASS_MAPPING, ENV_CLASS_MAPPING


class WholeEnv(Env):
    Options = ConfigModel

    @classmethod
    def tasks(cls, dataset, split, options, seed):
        return []

    def success(self):
        return False


class WholeAgent(Agent):
    system_prompt = ""

    def observe(self, env):
        return ""

    def act(self, env, text):
        return Outcome(None, "none")


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch):
    for registry in (ENVS, AGENTS, DATASETS):
        monkeypatch.setattr(registry, "_own", dict(registry._own))


def test_the_mappings_are_those_of_the_registries():
    from pettingllms.agents.math import Verifier
    from pettingllms.envs.math import MathEnv

    assert ENV_CLASS_MAPPING["math_env"] is MathEnv and AGENT_CLASS_MAPPING["verifier"] is Verifier
    assert set(ENV_CLASS_MAPPING) == set(ENVS) and len(AGENT_CLASS_MAPPING) == len(AGENTS)
    assert "math_env" in ENV_CLASS_MAPPING and "nowhere" not in ENV_CLASS_MAPPING
    assert ENV_CLASS_MAPPING.get("nowhere") is None


def test_to_know_a_name_imports_nothing():
    code = (
        "import sys; from pettingllms.trainer.multiagentssys_register import ENV_CLASS_MAPPING as envs;"
        "assert 'math_env' in envs and list(envs);"
        "print('pettingllms.envs.math' in sys.modules, 'pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_class_that_is_assigned_is_registered():
    ENV_CLASS_MAPPING["whole_env"] = WholeEnv
    AGENT_CLASS_MAPPING.update({"whole_agent": WholeAgent})
    assert ENVS.load("whole_env") is ENV_CLASS_MAPPING["whole_env"] is WholeEnv
    assert AGENTS.load("whole_agent") is WholeAgent
    assert ENVS["whole_env"] == f"{__name__}:WholeEnv"
    del ENV_CLASS_MAPPING["whole_env"]
    assert "whole_env" not in ENVS
    with pytest.raises(KeyError):
        del ENV_CLASS_MAPPING["math_env"]


def test_an_unknown_name_is_the_documented_key_error():
    with pytest.raises(KeyError, match="'my_env' not in ENV_CLASS_MAPPING"):
        ENV_CLASS_MAPPING["my_env"]
    with pytest.raises(KeyError, match="did you mean 'math_env'"):
        ENV_CLASS_MAPPING["mathenv"]


@pytest.mark.parametrize(
    ("mapping", "name", "value", "words"),
    [
        (
            ENV_CLASS_MAPPING,
            "math_env",
            WholeEnv,
            "'math_env' is there already: pettingllms.envs.math:MathEnv",
        ),
        (ENV_CLASS_MAPPING, "a_env", WholeAgent, "is no class that derives from pettingllms.envs.base.Env"),
        (ENV_CLASS_MAPPING, "a_env", "module:Name", "is no class"),
        (ENV_CLASS_MAPPING, "a_env", Env, "lacks success, tasks"),
        (ENV_CLASS_MAPPING, "a_env", type("A", (WholeEnv,), {"Options": dict}), "has no Options"),
        (ENV_CLASS_MAPPING, "two words", WholeEnv, "cannot name the environment"),
        (ENV_CLASS_MAPPING, 3, WholeEnv, "cannot name the environment"),
        (AGENT_CLASS_MAPPING, "a", WholeEnv, "is no class that derives from pettingllms.agents.base.Agent"),
        (AGENT_CLASS_MAPPING, "a", type("A", (WholeAgent,), {"system_prompt": None}), "has no system_prompt"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(mapping, name, value, words):
    with pytest.raises(RefusedError, match=words):
        mapping[name] = value
    assert name == "math_env" or name not in mapping


def test_a_documented_name_may_be_taken_where_nothing_stands_behind_it():
    assert "pychecker_env" in ENVS.announced
    ENV_CLASS_MAPPING["pychecker_env"] = WholeEnv
    assert "pychecker_env" not in ENVS.announced and ENVS.load("pychecker_env") is WholeEnv


def test_a_set_of_tasks_can_be_registered():
    def generate(split, options, seed):
        return [split]

    DATASETS.register("builtin:mine", generate)
    assert DATASETS.load("builtin:mine") is generate
