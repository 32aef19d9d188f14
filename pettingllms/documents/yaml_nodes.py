"""What a YAML text is made of: nodes that know their stretch of text, and faults and notes at one."""

from __future__ import annotations

from dataclasses import dataclass, field

from pettingllms.documents.yaml_scalars import Scalar

Stretch = tuple[int, int]


class YamlError(Exception):
    """What is wrong at a stretch of the text."""

    def __init__(self, message: str, help_text: str | None, stretch: Stretch) -> None:
        super().__init__(message)
        self.message, self.help, self.stretch = message, help_text, stretch


@dataclass(frozen=True, slots=True)
class Note:
    """What is worth knowing at a stretch of the text.

    `instead`: what would say it plainly there; `safe`: it would be read as the same value.
    """

    code: str
    message: str
    help: str | None
    stretch: Stretch
    instead: str | None = None
    safe: bool = True


@dataclass(slots=True)
class ScalarNode:
    """One value. `kind`: what it was read as; `merge` is the plain word `<<`."""

    stretch: Stretch
    kind: str
    value: Scalar


@dataclass(slots=True)
class SequenceNode:
    """A list."""

    stretch: Stretch
    items: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pair:
    """A key and its value. `via`: the alias that it came through, where it was merged."""

    key: Stretch
    value: Node
    via: Stretch | None = None


@dataclass(slots=True)
class MappingNode:
    """A mapping. `pairs`: those it merges first, then its own; complete when the mapping has ended."""

    stretch: Stretch
    pairs: dict[str, Pair] = field(default_factory=dict)
    merges: list[Pair] = field(default_factory=list)


@dataclass(slots=True)
class AliasNode:
    """Another node, a second time."""

    stretch: Stretch
    name: str
    target: Written


Written = ScalarNode | SequenceNode | MappingNode
Node = ScalarNode | SequenceNode | MappingNode | AliasNode
