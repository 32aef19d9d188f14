"""Which environment a dataset holds tasks of."""

from __future__ import annotations

from pettingllms.config.agents import EnvConfig
from pettingllms.data.presets import PRESETS
from pettingllms.data.sources import preset_of
from pettingllms.envs import DATASETS, ENVS
from pettingllms.envs.reasoning import PREFIX

BUILT_IN = {
    **dict.fromkeys(("builtin:arithmetic", "builtin:linear_systems", "builtin:modular"), "math_env"),
    "builtin:combinatorics": "math_env",
    "builtin:code": "code_env",
    "builtin:parts": "mixed_env",
}
"""Of the sets of this package; an environment of somebody else's may use any."""


def played_in(env: EnvConfig) -> list[str]:
    """The environments that tasks of an experiment are played in: its own, and those of its parts."""
    parts = env.options.get("parts") if env.name == "mixed_env" else None
    named = parts.items() if isinstance(parts, dict) else ()
    found = [part.get("env", f"{name}_env") for name, part in named if isinstance(part, dict)]
    return [env.name, *dict.fromkeys(name for name in found if isinstance(name, str) and name in ENVS)]


def home_of(source: str) -> str | None:
    """The environment whose tasks a preset or a set of this package holds; None for any other source."""
    if source.startswith(PREFIX):
        return "math_env"
    preset = preset_of(source)
    return BUILT_IN.get(source) if preset is None else PRESETS[preset].env


def sets_of(env: str) -> list[str]:
    """The presets and sets of this package with tasks of `env`."""
    return [name for name in (*PRESETS, *DATASETS) if home_of(name) == env]
