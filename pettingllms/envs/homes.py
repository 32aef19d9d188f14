"""Which environment a dataset holds tasks of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pettingllms.config.agents import EnvConfig
from pettingllms.data.presets import PRESETS
from pettingllms.data.sources import preset_of
from pettingllms.envs import DATASETS, ENVS
from pettingllms.envs.reasoning import PREFIX
from pettingllms.games import GAMES

BUILT_IN = {
    **dict.fromkeys(("builtin:arithmetic", "builtin:linear_systems", "builtin:modular"), "math_env"),
    "builtin:combinatorics": "math_env",
    "builtin:code": "code_env",
    "builtin:wiki": "search_env",
    "builtin:parts": "mixed_env",
    **{f"builtin:{game}": "stateful_env" for game in GAMES},
}
"""Of the sets of this package; an environment of somebody else's may use any."""


def played_in(env: EnvConfig) -> list[str]:
    """The environments that tasks of an experiment are played in: its own, and those of its parts."""
    return [env.name, *dict.fromkeys(name for _, name, _ in parts_named(env) if name in ENVS)]


def sets_named(env: EnvConfig) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Keys of datasets, the environments that shall play them, and their names: of the run and of its parts.

    None for an environment of one's own, which may mean something else by a name.
    """
    for place, name, written in played_at(env):
        if name in ENVS.announced or (name in ENVS and ENVS[name].startswith("pettingllms.")):
            for key in ("dataset", "benchmark"):
                if isinstance(found := written.get(key), str):
                    yield (*place, key), name, found


def played_at(env: EnvConfig) -> Iterator[tuple[tuple[str, ...], str, Mapping[str, Any]]]:
    """What is played: the run's environment and the parts of a mixture. Place, environment, and its keys."""
    yield ("env",), env.name, {"dataset": env.dataset, "benchmark": env.benchmark, "options": env.options}
    yield from parts_named(env)


def parts_named(env: EnvConfig) -> Iterator[tuple[tuple[str, ...], str, dict[str, Any]]]:
    """The parts of a mixture, as they are written: place, environment, and all keys."""
    parts = env.options.get("parts") if env.name == "mixed_env" else None
    for name, part in parts.items() if isinstance(parts, dict) else ():
        if isinstance(part, dict) and isinstance(kind := part.get("env", f"{name}_env"), str):
            yield ("env", "options", "parts", name), kind, part


def home_of(source: str) -> str | None:
    """The environment whose tasks a preset or a set of this package holds; None for any other source."""
    if source.startswith(PREFIX):
        return "math_env"
    preset = preset_of(source)
    return BUILT_IN.get(source) if preset is None else PRESETS[preset].env


def sets_of(env: str) -> list[str]:
    """The presets and sets of this package with tasks of `env`."""
    return [name for name in (*PRESETS, *DATASETS) if home_of(name) == env]
