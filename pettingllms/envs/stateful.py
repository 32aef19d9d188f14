"""`stateful_env`: a puzzle whose state stays from turn to turn; one agent proposes actions, one decides."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import Field

from pettingllms.config.model import ConfigModel
from pettingllms.envs import DATASETS
from pettingllms.envs.base import Env, Misfit, Outcome
from pettingllms.envs.stateful_plans import Plan, plan_in
from pettingllms.envs.stateful_tasks import game_of, generate_splits, size_of
from pettingllms.games import DRAWN, GAMES
from pettingllms.games.base import Draw
from pettingllms.games.blocksworld import BlocksworldOptions
from pettingllms.games.frozen_lake import FrozenLakeOptions
from pettingllms.games.n_queens import NQueensOptions
from pettingllms.games.pictures import LARGEST_SIDE, png
from pettingllms.games.plan_path import PlanPathOptions
from pettingllms.games.sokoban import SokobanOptions
from pettingllms.games.sudoku import SudokuOptions
from pettingllms.games.tower_of_hanoi import TowerOfHanoiOptions
from pettingllms.sandbox.pool import run_programs
from pettingllms.sandbox.programs import MAX_MEMORY_MIB, MAX_SECONDS, Program, ProgramLimits, ProgramStatus
from pettingllms.types import Split, Task


class StatefulOptions(ConfigModel):
    """`env.options` of `stateful_env`. Each game reads the section that is named after it."""

    map_size: int | None = Field(None, ge=1)
    """Cells of a side, blocks, or most disks. Default: the game's own (plan_path 10, sokoban 6, sudoku 4,
    blocksworld 5, n_queens 8, frozen_lake 4, tower_of_hanoi 6)."""
    train_size: int = Field(1024, ge=1)
    """Training tasks; fewer where the game has fewer."""
    validation_size: int = Field(64, ge=1)
    """Validation tasks."""
    test_size: int = Field(128, ge=0)
    """Test tasks, measured before the first and after the last step and never used to choose anything."""
    max_actions: int = Field(200, ge=1, le=10_000)
    """Actions of one list; a longer list is none."""
    invalid_action_reward: float = Field(-0.1, ge=-0.5, le=0)
    """Local reward of each action that is not allowed in its state. Nothing happens then."""
    invalid_actions_floor: float = Field(-0.5, ge=-0.5, le=0)
    """Least that all such actions of one list come to."""
    unparsable_reward: float = Field(-0.5, ge=-1, le=0)
    """Local reward of an answer without a list of actions: none, too long, of another game; a program that is
    missing or fails. An empty list is one only where the puzzle is solved already."""
    shaping: float = Field(0.0, ge=0, le=0.5)
    """Share of the local reward for coming nearer: the change of a potential, which is 0 at the goal and at
    least -1, from before the list to after it. What a play earns by it depends on its two ends only."""
    optimal_bonus: float = Field(0.0, ge=0, le=0.5)
    """Share of the local reward for solving that only a play with as few actions as can be gets."""
    tool_seconds: float = Field(5.0, gt=0, le=MAX_SECONDS)
    """Wall-clock limit of one program, at most an hour."""
    tool_memory_mib: int = Field(256, ge=64, le=MAX_MEMORY_MIB)
    """Address-space limit of one program, at most 1 TiB."""
    cell_pixels: int = Field(16, ge=4, le=64)
    """With `env.multi_modal`: side of a cell of the image, in pixels; that of the image is at most 1024."""
    plan_path: PlanPathOptions = PlanPathOptions()
    """Difficulty of `builtin:plan_path`."""
    sokoban: SokobanOptions = SokobanOptions()
    """Difficulty of `builtin:sokoban`."""
    sudoku: SudokuOptions = SudokuOptions()
    """Difficulty of `builtin:sudoku`."""
    blocksworld: BlocksworldOptions = BlocksworldOptions()
    """Difficulty of `builtin:blocksworld`."""
    n_queens: NQueensOptions = NQueensOptions()
    """Difficulty of `builtin:n_queens`."""
    frozen_lake: FrozenLakeOptions = FrozenLakeOptions()
    """Difficulty of `builtin:frozen_lake`."""
    tower_of_hanoi: TowerOfHanoiOptions = TowerOfHanoiOptions()
    """Difficulty of `builtin:tower_of_hanoi`."""


class Played(NamedTuple):
    """Where a list of actions leads. `refused`: how many of its `actions` were not allowed."""

    state: Any
    actions: int
    refused: int
    lost: bool


class StatefulEnv(Env):
    """One puzzle; solved when the state after the last list of actions is the goal, exactly.

    `Task.data`: `game`; `state`, its start; hidden: `solution`, a shortest one as a JSON list, and `optimal`,
    how many actions that has.
    """

    Options = StatefulOptions
    draws = tuple(f"builtin:{name}" for name in DRAWN)
    hidden = ("solution", "optimal")
    only_for: ClassVar = {game: (f"builtin:{game}",) for game in GAMES}

    def __init__(self, task: Task, options: StatefulOptions) -> None:
        super().__init__(task, options)
        self.game = game_of(task.data["game"], options)
        self.state: Any = task.data["state"]
        self.actions = self.refused = 0
        self.lost = False
        self.ran = False
        self.printed: str | None = None
        self.proposal: tuple[Any, ...] | None = None
        self.last: Played | None = None

    @classmethod
    def tasks(cls, dataset: str, split: Split, options: StatefulOptions, seed: int) -> Sequence[Task]:
        """All tasks of `split` of a game; the names of these are in `DATASETS`."""
        tasks: Sequence[Task] = DATASETS.load(dataset)(split, options, seed)
        return tasks

    @classmethod
    def split_tasks(
        cls, dataset: str, splits: Collection[Split], options: StatefulOptions, seed: int
    ) -> Mapping[Split, Sequence[Task]]:
        """The same for several splits; the instances of a game are made once for all of them."""
        name = dataset.removeprefix("builtin:")
        if name in GAMES and dataset in DATASETS:
            return generate_splits(name, splits, options, seed)
        return super().split_tasks(dataset, splits, options, seed)

    @classmethod
    def misfits(cls, dataset: str, options: StatefulOptions) -> Iterator[Misfit]:
        """Sizes that the game does not have, and bounds that leave no instance."""
        name = dataset.removeprefix("builtin:")
        if name in GAMES and dataset in DATASETS:
            game = game_of(name, options)
            size = size_of(game, options)
            if fault := game.fault(size):
                yield Misfit(fault.path, f"{name} cannot be played: {fault.message}", fault.help)
            side = size * options.cell_pixels
            if dataset in cls.draws and side > LARGEST_SIDE:
                most = LARGEST_SIDE // size
                yield Misfit(
                    ("cell_pixels",),
                    f"images of {name} would be {side} pixels wide, and {LARGEST_SIDE} is the most",
                    f"set it to at most {most}",
                )

    def copy(self) -> Self:
        """A copy; every attribute is immutable, so sharing them is safe."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    @property
    def state_hash(self) -> str:
        """The same for the same state of the puzzle."""
        return hashlib.sha256(repr(self.state).encode()).hexdigest()

    def image(self) -> bytes:
        """The state as a PNG file. Raises RefusedError where Pillow is not installed."""
        return png(self.game.tiled(self.state), self.game.tiles, self.options.cell_pixels)

    def run(self, program: str | None, missing: str = "no_program") -> Outcome:
        """Run the tool agent's program and keep the list that it prints as a proposal.

        Local reward: that of the list on a copy of the state. `missing`: the reason code where there is no
        program. Raises InfrastructureError.
        """
        self.ran, self.printed, self.proposal = True, None, None
        if program is None:
            return Outcome(self.options.unparsable_reward, missing)
        limits = ProgramLimits(seconds=self.options.tool_seconds, memory_mib=self.options.tool_memory_mib)
        (result,) = run_programs([Program(program)], limits)
        if result.status is not ProgramStatus.OK:
            return Outcome(self.options.unparsable_reward, f"program_{result.status}")
        self.printed = result.stdout
        plan = plan_in(result.stdout, self.options.max_actions)
        actions, fault = self._read(plan)
        if actions is None:
            return Outcome(self.options.unparsable_reward, fault)
        self.proposal = tuple(plan.items or ())
        return self._outcome(self._played(actions))

    def decide(self, text: str) -> Outcome:
        """Carry out the list of actions in `text`. Local reward: what it comes to."""
        actions, fault = self._read(plan_in(text, self.options.max_actions))
        if actions is None:
            return Outcome(self.options.unparsable_reward, fault)
        played = self._played(actions)
        outcome = self._outcome(played)
        self.state, self.lost, self.last = played.state, played.lost, played
        self.actions, self.refused = self.actions + played.actions, self.refused + played.refused
        # They were of the state before.
        self.ran, self.printed, self.proposal = False, None, None
        return outcome

    def success(self) -> bool:
        """Whether the goal is reached."""
        return self.game.solved(self.state)

    def solved(self) -> bool:
        """The goal is reached, or out of reach: all can see that nothing is left to do."""
        return self.lost or self.success()

    def metrics(self) -> Mapping[str, float]:
        """`optimality`: of plays that solve it, fewest actions / actions. `lost`: whether the goal is out of
        reach. `refused_actions`: how many were not allowed. `best_chance`: in games of chance, the
        probability that the best player succeeds.
        """
        found = {"lost": float(self.lost), "refused_actions": float(self.refused)}
        if self.success() and self.actions:
            found["optimality"] = min(1.0, self.task.data["optimal"] / self.actions)
        chance = self.game.chance(self.task.data["state"])
        return found if chance is None else {**found, "best_chance": chance}

    def _read(self, plan: Plan) -> tuple[list[Any] | None, str]:
        """The actions of a plan, or None and the reason code why there are none."""
        if plan.items is None:
            return None, plan.missing
        if not plan.items and not self.game.solved(self.state):
            return None, "no_actions"
        if not plan.items:
            return [], ""
        actions = self.game.read(self.state, plan.items)
        return actions, "bad_action"

    def _played(self, actions: Sequence[Any]) -> Played:
        """Where `actions` lead from here; changes nothing."""
        state, refused = self.state, 0
        for number, action in enumerate(actions, self.actions):
            # The same luck for all who try from here.
            made = self.game.slip(state, action, Draw(f"{self.task.id}/{number}"))
            after = self.game.step(state, made)
            # Who slips against an edge stays where he is.
            refused += after is None and made == action
            state = state if after is None else after
        lost = not self.game.solved(state) and self.game.lost(state)
        return Played(state, len(actions), refused, lost)

    def _outcome(self, played: Played) -> Outcome:
        """What a list earns that leads to `played`."""
        options = self.options
        solved = self.game.solved(played.state)
        worth = 0.0
        if solved:
            fewest = self.actions + played.actions <= self.task.data["optimal"] and not played.refused
            worth = 1 - options.shaping - (0 if fewest else options.optimal_bonus)
        nearer = self._potential(played.state, lost=played.lost) - self._potential(self.state, lost=self.lost)
        penalty = max(options.invalid_actions_floor, options.invalid_action_reward * played.refused)
        local = worth + options.shaping * nearer + penalty
        if solved:
            reason = "solved" if played.actions else "already_solved"
        else:
            reason = "lost" if played.lost else "refused_actions" if played.refused else "unsolved"
        return Outcome(min(1.0, max(-1.0, local)), reason)

    def _potential(self, state: Any, *, lost: bool) -> float:
        """0 at the goal, -1 at the start and everywhere that is as far or farther, or lost."""
        if not self.options.shaping:
            return 0.0
        left = None if lost else self.game.remaining(state)
        first = self.game.remaining(self.task.data["state"]) or 1.0
        return -1.0 if left is None else -min(1.0, left / first)


def shown_list(items: Sequence[Any]) -> str:
    """A list of actions as agents shall write it."""
    return json.dumps(list(items))
