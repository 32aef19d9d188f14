"""`builtin:plan_path` and the other games: instances from seeds, in splits that share none."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Hashable, Mapping, Sequence
from functools import partial
from typing import Any

from pettingllms.errors import RefusedError
from pettingllms.games import GAMES
from pettingllms.games.base import AnyGame, Draw, Instance
from pettingllms.types import Split, Task

PATIENCE = 500
"""Draws in a row without a new instance after which there are taken to be no more, however few there are."""


def game_of(name: str, options: Any) -> AnyGame:
    """The game called `name` with its section of `options`."""
    return GAMES.load(name)(getattr(options, name))


def size_of(game: AnyGame, options: Any) -> int:
    """`map_size`, or the game's own."""
    size: int | None = options.map_size
    return game.default_size if size is None else size


def generate(name: str, split: Split, options: Any, seed: int) -> Sequence[Task]:
    """Tasks of `split` of one game; see `generate_splits`."""
    return generate_splits(name, [split], options, seed)[split]


def generate_splits(
    name: str, splits: Collection[Split], options: Any, seed: int
) -> Mapping[Split, Sequence[Task]]:
    """Tasks of `splits` of one game.

    All splits come from one seeded draw of instances, of which no two have the same canonical form, test
    first. Where there are fewer than asked for, the training split is the one that shrinks. Raises
    RefusedError where nothing is left for it, and for options that do not fit.
    """
    game = game_of(name, options)
    size = size_of(game, options)
    if fault := game.fault(size):
        raise RefusedError(f"{name} cannot be played with these options: {fault.message}", help=fault.help)
    held_out = options.test_size + options.validation_size
    ends = {"test": options.test_size, "val": held_out, "train": held_out + options.train_size}
    starts = {"test": 0, "val": options.test_size, "train": held_out}
    # To learn that training would have none takes one more than are held out.
    most = max(*(ends[split] for split in splits), held_out + 1)
    found = _distinct(game, f"{name}/{size}/{seed}", size, most)
    if len(found) <= held_out:
        raise RefusedError(
            f"builtin:{name} has only {len(found)} instances that differ by more than a symmetry with these "
            f"options, too few beside {held_out} held-out ones",
            help="lower env.options.test_size or validation_size, or ask for less: another "
            f"env.options.map_size, or wider bounds in env.options.{name}",
        )
    return {
        split: [_task(name, game, split, one) for one in found[starts[split] : ends[split]]]
        for split in splits
    }


def _distinct(game: AnyGame, seed: str, size: int, count: int) -> list[Instance]:
    """Up to `count` starts in random order."""
    found: dict[Hashable, Instance] = {}
    number = last = 0
    while len(found) < count and number - last <= PATIENCE + 2 * len(found):
        number += 1
        one = game.instance(Draw(f"{seed}/{number}"), size)
        if one is not None and (form := game.canonical(one.state)) not in found:
            found[form] = one
            last = number
    return list(found.values())


def _task(name: str, game: AnyGame, split: Split, instance: Instance) -> Task:
    state = instance.state
    digest = hashlib.sha256(repr(state).encode()).hexdigest()[:16]
    actions = instance.solution or game.solve(state) or []
    data = {
        "game": name,
        "state": state,
        "solution": game.write(state, actions),
        "optimal": len(actions),
    }
    return Task(f"{split}/{name}-{digest}", split, data)


plan_path, sokoban, sudoku = (partial(generate, name) for name in ("plan_path", "sokoban", "sudoku"))
blocksworld, n_queens = partial(generate, "blocksworld"), partial(generate, "n_queens")
frozen_lake, tower_of_hanoi = partial(generate, "frozen_lake"), partial(generate, "tower_of_hanoi")
