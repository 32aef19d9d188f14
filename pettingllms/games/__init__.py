"""Puzzles that are played by lists of actions: a table of names; each game is one module."""

from typing import TYPE_CHECKING

from pettingllms.registry import Registry

if TYPE_CHECKING:
    from pettingllms.games.base import AnyGame

GAMES: "Registry[type[AnyGame]]" = Registry(
    "game",
    {
        "plan_path": "pettingllms.games.plan_path:PlanPath",
        "sokoban": "pettingllms.games.sokoban:Sokoban",
        "sudoku": "pettingllms.games.sudoku:Sudoku",
        "blocksworld": "pettingllms.games.blocksworld:Blocksworld",
        "n_queens": "pettingllms.games.n_queens:NQueens",
        "frozen_lake": "pettingllms.games.frozen_lake:FrozenLake",
        "tower_of_hanoi": "pettingllms.games.tower_of_hanoi:TowerOfHanoi",
    },
)

DRAWN = ("plan_path", "sokoban")
"""Games whose states can be drawn as images."""
