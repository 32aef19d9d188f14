"""A plug-in that takes a name which is not free: see PLM506."""

from pettingllms.envs.math import MathEnv
from pettingllms.trainer.multiagentssys_register import ENV_CLASS_MAPPING

ENV_CLASS_MAPPING["letters_env"] = MathEnv
