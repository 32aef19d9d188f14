"""The world of `builtin:wiki`: people, towns, rivers, companies, books, and facts about them.

Nothing of it exists or can be known by heart, so that whoever answers has to look it up. It is drawn with
`Random.random()` alone, whose numbers are the same in every version of Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import NamedTuple, TypeVar

from pettingllms.retrieval.passages import Passage
from pettingllms.types import Split

T = TypeVar("T")

SHARES: dict[Split, float] = {"test": 0.2, "val": 0.2, "train": 0.6}
"""The share of the entities in the region of each split; no fact leads out of its region."""
KINDS = {"person": 0.34, "town": 0.19, "river": 0.1, "company": 0.17, "book": 0.2}
"""The share of each kind of entity in a region."""
_BEGINS = [
    "b",
    "br",
    "d",
    "dr",
    "f",
    "g",
    "gr",
    "h",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "st",
    "t",
    "tr",
    "v",
    "w",
]
_VOWELS = ["a", "e", "i", "o", "u"]
_MIDDLES = ["b", "d", "l", "lm", "m", "n", "nd", "r", "rn", "s", "t", "v"]
_LAST = {
    "person": ("rman", "ley", "sen", "vik"),
    "town": ("holt", "wick", "ford", "mere"),
    "river": ("nel", "dane", "ver"),
    "company": ("lex", "tine", "kor"),
    "book": ("rion", "leth", "nard"),
    "lake": ("soon", "math"),
}
_PROFESSIONS = (
    *("painter", "surveyor", "clockmaker", "geologist"),
    *("violinist", "gardener", "printer", "botanist"),
)
_MAKES = ("lamps", "bicycles", "barometers", "carpets", "bells", "pianos", "tiles", "kites")
_BOOKS = ("The Garden of {}", "Letters from {}", "A Winter in {}", "The House of {}")


class Relation(NamedTuple):
    """One fact about entities of a kind. `target`: the kind of what it leads to; None for a value.

    `statement`: with `s` and `o`, as the passage says it. `question`: asks for `o`. `phrase`: stands for `o`
    in the question of another relation.
    """

    kind: str
    name: str
    target: str | None
    statement: str
    question: str
    phrase: str = ""


RELATIONS = (
    Relation(
        *("person", "birthplace", "town", "{s} was born in {o}."),
        *("In which town was {s} born?", "the town in which {s} was born"),
    ),
    Relation(
        *("person", "employer", "company", "{s} works for {o}."),
        *("Which company does {s} work for?", "the company that {s} works for"),
    ),
    Relation(
        *("person", "teacher", "person", "{s} was taught by {o}."),
        *("Who taught {s}?", "the teacher of {s}"),
    ),
    Relation(
        *("town", "river", "river", "{s} lies on {o}."),
        *("On which river does {s} lie?", "the river on which {s} lies"),
    ),
    Relation(
        *("town", "mayor", "person", "The mayor of {s} is {o}."),
        *("Who is the mayor of {s}?", "the mayor of {s}"),
    ),
    Relation("river", "mouth", None, "{s} flows into {o}.", "Into which lake does {s} flow?"),
    Relation(
        *("company", "seat", "town", "{s} has its seat in {o}."),
        *("In which town does {s} have its seat?", "the town in which {s} has its seat"),
    ),
    Relation(
        *("company", "founder", "person", "{s} was founded by {o}."),
        *("Who founded {s}?", "the founder of {s}"),
    ),
    Relation("company", "year", None, "{s} was founded in the year {o}.", "In which year was {s} founded?"),
    Relation(
        *("book", "author", "person", "{s} was written by {o}."),
        *("Who wrote {s}?", "the author of {s}"),
    ),
    Relation(
        *("book", "publisher", "company", "{s} was published by {o}."),
        *("Which company published {s}?", "the company that published {s}"),
    ),
)


class Entity(NamedTuple):
    """`name`: also the title of its passage; `facts`: what each of its kind's relations leads to, by name."""

    kind: str
    name: str
    facts: dict[str, str]

    @property
    def said(self) -> str:
        """The name as it stands in a sentence."""
        return f"the {self.name}" if self.kind == "river" else self.name


class World(NamedTuple):
    """`regions`: the entities of each split by name. `passages`: one for each entity of all regions."""

    regions: dict[Split, dict[str, Entity]]
    passages: tuple[Passage, ...]


def corpus_name(entities: int, seed: int) -> str:
    """What a task says of the world that it is of."""
    return f"builtin:wiki/{entities}/{seed}"


def world_named(name: str) -> World:
    """The world with this corpus name."""
    entities, seed = name.split("/")[1:]
    return world(int(entities), int(seed))


@lru_cache(maxsize=8)
def world(entities: int, seed: int) -> World:
    """About `entities` entities; the same for the same numbers, to the byte."""
    source = Random(f"builtin:wiki/{entities}/{seed}")
    names = _Names(source)
    regions = {split: _region(source, names, entities * share) for split, share in SHARES.items()}
    everyone = [entity for region in regions.values() for entity in region.values()]
    return World(regions, tuple(_passage(source, entity) for entity in shuffled(source, everyone)))


def pick(source: Random, items: Sequence[T]) -> T:
    """One of `items`."""
    return items[int(source.random() * len(items))]


def shuffled(source: Random, items: Sequence[T]) -> list[T]:
    """`items` in random order."""
    drawn = [(source.random(), place) for place in range(len(items))]
    return [items[place] for _, place in sorted(drawn)]


class _Names:
    """Names that nobody has yet: none is part of another one."""

    def __init__(self, source: Random) -> None:
        self._source = source
        self._taken: list[str] = []

    def stem(self, kind: str) -> str:
        while True:
            parts = (_BEGINS, _VOWELS, _MIDDLES, _VOWELS, _LAST[kind])
            name = "".join(pick(self._source, part) for part in parts).capitalize()
            plain = name.lower()
            if not any(plain in other or other in plain for other in self._taken):
                self._taken.append(plain)
                return name

    def full(self, kind: str) -> str:
        stem = self.stem(kind)
        if kind == "person":
            parts = (_BEGINS, _VOWELS, _MIDDLES, ("a", "o", "en", "is"))
            given = "".join(pick(self._source, part) for part in parts)
            return f"{given.capitalize()} {stem}"
        forms = {"river": "River {}", "company": "{} Works", "book": pick(self._source, _BOOKS)}
        return forms.get(kind, "{}").format(stem)


def _region(source: Random, names: _Names, size: float) -> dict[str, Entity]:
    own = {
        kind: [names.full(kind) for _ in range(max(2, round(size * share)))] for kind, share in KINDS.items()
    }
    found = {}
    for kind, own_names in own.items():
        for name in own_names:
            facts = {
                one.name: _target(source, names, own, one, name) for one in RELATIONS if one.kind == kind
            }
            found[name] = Entity(kind, name, facts)
    return found


def _target(source: Random, names: _Names, own: dict[str, list[str]], relation: Relation, name: str) -> str:
    if relation.name == "year":
        return str(1700 + int(source.random() * 300))
    if relation.target is None:
        return f"Lake {names.stem('lake')}"
    return pick(source, [one for one in own[relation.target] if one != name])


def _passage(source: Random, entity: Entity) -> Passage:
    facts = [one for one in RELATIONS if one.kind == entity.kind]
    said = [_sentence(one, entity) for one in shuffled(source, facts)]
    if entity.kind == "person":
        said.insert(0, f"{entity.name} is a {pick(source, _PROFESSIONS)}.")
    elif entity.kind == "company":
        said.insert(0, f"{entity.name} makes {pick(source, _MAKES)}.")
    return Passage(entity.name, " ".join(said))


def _sentence(relation: Relation, entity: Entity) -> str:
    target = entity.facts[relation.name]
    text = relation.statement.format(
        s=entity.said, o=f"the {target}" if relation.target == "river" else target
    )
    return text[0].upper() + text[1:]
