"""A sound plug-in for files of invalid/ and passing/: an environment and one class of agents."""

from pydantic import Field

from pettingllms.agents.base import Agent
from pettingllms.config.model import ConfigModel
from pettingllms.envs.base import Env, Outcome
from pettingllms.trainer.multiagentssys_register import AGENT_CLASS_MAPPING, ENV_CLASS_MAPPING


class LettersOptions(ConfigModel):
    length: int = Field(3, ge=1, le=5)


class LettersEnv(Env):
    Options = LettersOptions

    @classmethod
    def tasks(cls, dataset, split, options, seed):
        return []

    def success(self):
        return False


class Speller(Agent):
    environment = "letters_env"
    system_prompt = ""

    def observe(self, env):
        return "?"

    def act(self, env, text):
        return Outcome(None, "none")


ENV_CLASS_MAPPING["letters_env"] = LettersEnv
AGENT_CLASS_MAPPING["speller"] = Speller
