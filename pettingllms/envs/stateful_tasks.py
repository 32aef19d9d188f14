"""`builtin:plan_path` and the other games: instances from seeds, in splits that share none."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from functools import partial
from typing import Any

from pettingllms.errors import RefusedError
from pettingllms.games import GAMES
from pettingllms.games.base import AnyGame, Draw
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
    """Tasks of `split` of one game.

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
    states = _distinct(game, f"{name}/{size}/{seed}", size, max(ends[split], held_out + 1))
    if len(states) <= held_out:
        raise RefusedError(
            f"builtin:{name} has only {len(states)} instances that differ by more than a symmetry with these "
            f"options, too few beside {held_out} held-out ones",
            help="lower env.options.test_size or validation_size, or raise env.options.map_size",
        )
    return [_task(name, game, split, state) for state in states[starts[split] : ends[split]]]


def _distinct(game: AnyGame, seed: str, size: int, count: int) -> list[Any]:
    """Up to `count` starts in random order."""
    found: dict[Hashable, Any] = {}
    number = last = 0
    while len(found) < count and number - last <= PATIENCE + 2 * len(found):
        number += 1
        state = game.generate(Draw(f"{seed}/{number}"), size)
        if state is not None and (form := game.canonical(state)) not in found:
            found[form] = state
            last = number
    return list(found.values())


def _task(name: str, game: AnyGame, split: Split, state: Any) -> Task:
    digest = hashlib.sha256(repr(state).encode()).hexdigest()[:16]
    actions = game.solve(state) or []
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
