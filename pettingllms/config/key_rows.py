"""Which keys of a tree the tables of accepted keys know, and on what else it depends what is said of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from pettingllms.compose.referred import absolute
from pettingllms.compose.tree import get
from pettingllms.config.key_meanings import (
    BelongsTo,
    DoneOnlyAs,
    Meaning,
    NoEffect,
    OldName,
    OldWord,
    SaysSo,
    Table,
    Unset,
    Untrained,
    same,
)
from pettingllms.config.original_keys import ENV, GAMES, KEYS, MIXED_ENV
from pettingllms.documents.source import KeyPath

AGENTS: KeyPath = ("agent_policy_configs", "agent_configs")
WEIGHTS: KeyPath = ("ppo_trainer_config", "actor_rollout_ref", "model")
RANK_HOMES: tuple[KeyPath, ...] = (("lora_rank",), ("training", "lora_rank"))
JUDGED = (DoneOnlyAs, BelongsTo, Unset)
"""Meanings by which it depends on the value whether a key has no effect."""
GAME_HOMES: tuple[KeyPath, ...] = (("env", "dataset"), ("env", "benchmark"))
NO_ADAPTER = NoEffect("lora_rank = 0 sets no adapter here")
WITHOUT_ADAPTERS = ("prompt", "full", "model")


class Row(NamedTuple):
    """A key that is set, and what it means."""

    path: KeyPath
    value: Any
    meaning: Meaning


def rows_of(data: dict[str, Any]) -> list[Row]:
    """Every key of `data` that a table knows, in order."""
    return [*_rows(data, _keys(data), ()), *_ranks_of_zero(data), *_games(data)]


def _keys(data: dict[str, Any]) -> Table:
    """The keys that an experiment with this environment may have."""
    if get(data, ("env", "name")) != "mixed_env":
        return KEYS
    return {**KEYS, "env": {**ENV, **MIXED_ENV}}


def section(data: Any, path: KeyPath) -> dict[str, Any]:
    """The section at `path`; an empty one where there is none."""
    found = get(data, path)
    return found if isinstance(found, dict) else {}


def told_with(path: KeyPath) -> KeyPath:
    """The section whose keys without effect are told of together."""
    depth = min(1, len(path) - 1)
    if path[0] == "models":
        depth = 2 if len(path) < 4 else 5 if path[3] == "actor_rollout_ref" else 4
    return path[:depth]


def reading_depends_on(data: dict[str, Any], swept: Collection[KeyPath]) -> dict[KeyPath, set[KeyPath]]:
    """Keys of which it depends on other keys what is found: path → those other keys.

    Holds for every value that the references in `data` and the swept values at `swept` may take.
    """
    found: dict[KeyPath, set[KeyPath]] = {}
    sections: dict[KeyPath, list[Row]] = {}
    for row in _rows(data, _keys(data), ()):
        sections.setdefault(told_with(row.path), []).append(row)
        for path, others in _others(row, data):
            found.setdefault(path, set()).update(others)
        if row.path[0] == "env" and row.path[-1] in MIXED_ENV:
            found.setdefault(row.path, set()).add(("env", "name"))
    for rows in sections.values():
        judged = {row.path for row in rows if isinstance(row.meaning, JUDGED) and _varies(row, swept)}
        for row in rows if judged else ():
            found.setdefault(row.path, set()).update(judged - {row.path})
    for path in GAME_HOMES:
        found.setdefault(path, set()).add(("env", "name"))
    for home in RANK_HOMES:
        # A rank of 0 takes the alpha beside it along.
        found.setdefault(home, set()).add(("specialization",))
        found.setdefault((*home[:-1], "lora_alpha"), set()).update({("specialization",), home})
    for home, _ in _weights(data):
        found.setdefault((*home[:-1], "lora_alpha"), set()).add(home)
    return found


def _others(row: Row, data: dict[str, Any]) -> Iterator[tuple[KeyPath, set[KeyPath]]]:
    if isinstance(row.meaning, BelongsTo):
        yield row.path, {absolute(row.meaning.to, row.path)}
    elif isinstance(row.meaning, OldName):
        new = absolute(row.meaning.to, row.path)
        yield row.path, {new}
        yield new, {row.path}
    elif isinstance(row.meaning, Untrained):
        yield row.path, {AGENTS}
        for key in section(data, AGENTS):
            yield (*AGENTS, key, "trained"), {row.path}


def _varies(row: Row, swept: Collection[KeyPath]) -> bool:
    """True where the value of a key is not known from the text alone."""
    texts = [row.value] if isinstance(row.value, str) else []
    return any("${" in text for text in texts) or any(row.path[: len(axis)] == axis for axis in swept)


def _rows(node: Mapping[str, Any], table: Table, path: KeyPath) -> Iterator[Row]:
    other = table.get("*")
    for key, value in node.items():
        row = table.get(key, other)
        if row is None:
            continue
        if not isinstance(row, dict):
            yield Row((*path, key), value, row)
        elif isinstance(value, dict) and value:
            yield from _rows(value, row, (*path, key))
        elif "*" in row and not isinstance(row["*"], dict):
            yield Row((*path, key), value, row["*"])


def _games(data: dict[str, Any]) -> Iterator[Row]:
    """The original's names of games; other environments may mean something else by them."""
    if get(data, ("env", "name")) == "stateful_env":
        for path in GAME_HOMES:
            name = get(data, path)
            if isinstance(name, str) and name in GAMES:
                yield Row(path, name, OldWord(GAMES))


def _weights(data: dict[str, Any]) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """The `lora_rank` of every model, and the section that it stands in."""
    for key, model in section(data, ("models",)).items():
        weights = section(model, WEIGHTS)
        if "lora_rank" in weights:
            yield ("models", key, *WEIGHTS, "lora_rank"), weights


def _ranks_of_zero(data: dict[str, Any]) -> Iterator[Row]:
    """Ranks of 0 that say what is so anyway, and those of trainer files, which leave the rank to the run.

    Trainer files of verl say by `lora_rank = 0` that there is no adapter, and set some `lora_alpha`.
    """
    kind = data.get("specialization")
    if isinstance(kind, str) and kind in WITHOUT_ADAPTERS:
        for home in RANK_HOMES:
            if same(get(data, home), (0,)):
                yield Row(home, 0, SaysSo())
                yield Row((*home[:-1], "lora_alpha"), None, SaysSo())
    for path, weights in _weights(data):
        if same(weights["lora_rank"], (0,)):
            for key in ("lora_rank", "lora_alpha"):
                if key in weights:
                    yield Row((*path[:-1], key), weights[key], NO_ADAPTER)
