"""The documented mappings from names to classes of environments and agents; to assign one registers it."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, TypeVar

from pettingllms.agents import AGENTS
from pettingllms.envs import ENVS
from pettingllms.registry import Registry, closest

if TYPE_CHECKING:
    from pettingllms.agents.base import Agent
    from pettingllms.envs.base import Env

T = TypeVar("T")


class ClassMapping(MutableMapping[str, T]):
    """A registry as a mapping to classes; a class is imported when it is asked for.

    What is assigned has to be such a class, under a name that is free: RefusedError otherwise. Only what the
    running program assigned can be deleted.
    """

    def __init__(self, name: str, registry: Registry[T]) -> None:
        self._name, self._registry = name, registry

    def __getitem__(self, name: str) -> T:
        if name not in self._registry:
            near = closest(name, self._registry)
            raise KeyError(f"{name!r} not in {self._name}" + (f"; did you mean {near!r}?" if near else ""))
        return self._registry.load(name)

    def __setitem__(self, name: str, value: T) -> None:
        self._registry.register(name, value)

    def __delitem__(self, name: str) -> None:
        self._registry.forget(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._registry)

    def __len__(self) -> int:
        return len(self._registry)

    def __contains__(self, name: object) -> bool:
        return name in self._registry


ENV_CLASS_MAPPING: ClassMapping[type[Env]] = ClassMapping("ENV_CLASS_MAPPING", ENVS)
AGENT_CLASS_MAPPING: ClassMapping[type[Agent]] = ClassMapping("AGENT_CLASS_MAPPING", AGENTS)
