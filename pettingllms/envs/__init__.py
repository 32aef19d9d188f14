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
        "search_env": "pettingllms.envs.search:SearchEnv",
        "stateful_env": "pettingllms.envs.stateful:StatefulEnv",
        "mixed_env": "pettingllms.envs.mixed:MixedEnv",
    },
    announced=("stateful_vision_env", "pychecker_env"),
    group="pettingllms.environments",
    check="pettingllms.envs.base:fault_of",
)

DATASETS: "Registry[Any]" = Registry(
    "dataset",
    {
        "builtin:arithmetic": "pettingllms.envs.arithmetic:generate",
        "builtin:linear_systems": "pettingllms.envs.math_problems:linear_systems",
        "builtin:modular": "pettingllms.envs.math_problems:modular",
        "builtin:combinatorics": "pettingllms.envs.math_problems:combinatorics",
        "builtin:code": "pettingllms.envs.code_problems:generate",
        "builtin:parts": "pettingllms.envs.mixed:generate",
        "builtin:wiki": "pettingllms.envs.wiki:generate",
        **{f"builtin:{game}": f"pettingllms.envs.stateful_tasks:{game}" for game in GAMES},
    },
    group="pettingllms.datasets",
)
"""Built-in sets of tasks: functions of (split, options, seed)."""
