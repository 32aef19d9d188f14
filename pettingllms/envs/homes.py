"""Which environment a dataset holds tasks of."""

from __future__ import annotations

from pettingllms.data.presets import PRESETS
from pettingllms.data.sources import preset_of
from pettingllms.envs import DATASETS
from pettingllms.games import GAMES

BUILT_IN = {
    "builtin:arithmetic": "math_env",
    "builtin:code": "code_env",
    **{f"builtin:{game}": "stateful_env" for game in GAMES},
}
"""Of the sets of this package; an environment of somebody else's may use any."""


def home_of(source: str) -> str | None:
    """The environment whose tasks a preset or a set of this package holds; None for any other source."""
    preset = preset_of(source)
    return BUILT_IN.get(source) if preset is None else PRESETS[preset].env


def sets_of(env: str) -> list[str]:
    """The presets and sets of this package with tasks of `env`."""
    return [name for name in (*PRESETS, *DATASETS) if home_of(name) == env]
