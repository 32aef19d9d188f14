"""Task environments: a table of names; each environment is one module."""

from typing import TYPE_CHECKING, Any

from pettingllms.games import GAMES
from pettingllms.registry import Registry

if TYPE_CHECKING:
    from pettingllms.envs.base import Env

ENVS: "Registry[type[Env]]" = Registry(
    "environment",
    {
        "math_env": "pettingllms.envs.math:MathEnv",
        "code_env": "pettingllms.envs.code:CodeEnv",
        "stateful_env": "pettingllms.envs.stateful:StatefulEnv",
    },
    announced=("search_env", "mixed_env"),
    group="pettingllms.environments",
    check="pettingllms.envs.base:fault_of",
)

DATASETS: "Registry[Any]" = Registry(
    "dataset",
    {
        "builtin:arithmetic": "pettingllms.envs.arithmetic:generate",
        "builtin:code": "pettingllms.envs.code_problems:generate",
        **{f"builtin:{game}": f"pettingllms.envs.stateful_tasks:{game}" for game in GAMES},
    },
    group="pettingllms.datasets",
)
"""Built-in sets of tasks: functions of (split, options, seed)."""
