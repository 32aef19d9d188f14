"""`builtin:wiki`: questions of one or two steps about a world that does not exist, in disjoint splits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, NamedTuple

from pettingllms.envs.wiki_world import RELATIONS, Entity, Relation, corpus_name, shuffled, world
from pettingllms.errors import RefusedError
from pettingllms.types import Split, Task


class Chain(NamedTuple):
    """An entity, and one or two relations that lead to the answer. `titles`: of the passages on the way."""

    start: Entity
    relations: tuple[Relation, ...]
    titles: tuple[str, ...]
    answer: str

    @property
    def question(self) -> str:
        """Asks for what the last relation leads to."""
        said = self.start.said
        for relation in self.relations[:-1]:
            said = relation.phrase.format(s=said)
        return self.relations[-1].question.format(s=said)

    @property
    def name(self) -> str:
        """The chain as a word."""
        return ".".join([self.start.name.replace(" ", "-"), *(relation.name for relation in self.relations)])


def generate(split: Split, options: Any, seed: int) -> Sequence[Task]:
    """Questions of `split` with as many steps as `options.hops` allows, in random order.

    Each split has a region of the world for itself, so that no two share a question, an entity or a fact; all
    regions are searched. Training has at most `train_size` questions. Raises RefusedError where the region of
    another split has too few.
    """
    regions = world(options.entities, seed).regions
    chains = [chain for chain in chains_of(regions[split]) if len(chain.relations) in options.hops]
    found = shuffled(Random(f"builtin:wiki/{options.entities}/{seed}/{split}"), chains)
    sizes = {"train": options.train_size, "val": options.validation_size, "test": options.test_size}
    if split != "train" and len(found) < sizes[split]:
        raise RefusedError(
            f"builtin:wiki has {len(found)} questions for the {split} split with entities = "
            f"{options.entities} and hops = {options.hops}, and {sizes[split]} are asked for",
            help="lower env.options.validation_size or test_size, or raise env.options.entities",
        )
    corpus = corpus_name(options.entities, seed)
    return [_task(split, chain, corpus) for chain in found[: sizes[split]]]


def chains_of(region: dict[str, Entity]) -> Iterator[Chain]:
    """Every fact, and every two that follow each other, but those that lead back to where they came from."""
    for start in region.values():
        for first in _relations(start):
            middle = start.facts[first.name]
            yield Chain(start, (first,), (start.name,), middle)
            if first.target is None:
                continue
            for second in _relations(region[middle]):
                answer = region[middle].facts[second.name]
                if answer not in (start.name, middle):
                    yield Chain(start, (first, second), (start.name, middle), answer)


def _relations(entity: Entity) -> list[Relation]:
    return [one for one in RELATIONS if one.kind == entity.kind]


def _task(split: Split, chain: Chain, corpus: str) -> Task:
    short = chain.answer.removeprefix("River ").removeprefix("Lake ")
    data = {
        "question": chain.question,
        "answers": list(dict.fromkeys([chain.answer, short])),
        "supporting": list(chain.titles),
        "corpus": corpus,
    }
    return Task(f"{split}/{chain.name}", split, data)
