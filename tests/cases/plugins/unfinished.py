"""A plug-in whose environment is not whole: see PLM506."""

from pettingllms.envs.base import Env
from pettingllms.trainer.multiagentssys_register import ENV_CLASS_MAPPING


class Unfinished(Env):
    pass


ENV_CLASS_MAPPING["unfinished_env"] = Unfinished
