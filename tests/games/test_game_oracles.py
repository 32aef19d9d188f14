"""Games against judges of others: reasoning-gym scores our solutions, gymnasium knows our frozen lakes."""

import warnings

import pytest

from pettingllms.games import GAMES
from pettingllms.games.base import Draw
from pettingllms.games.frozen_lake import LakeState
from pettingllms.games.grid import distances
from pettingllms.games.n_queens import QueensState
from pettingllms.games.plan_path import PathState
from pettingllms.games.sudoku import SudokuState
from pettingllms.games.tower_of_hanoi import HanoiState

INSTANCES = 200


@pytest.fixture(scope="module")
def dataset():
    """Instances of one of reasoning-gym's generators, which score answers."""
    with warnings.catch_warnings():
        # It and what it imports write strings with escapes that Python does not know.
        warnings.simplefilter("ignore")
        reasoning_gym = pytest.importorskip("reasoning_gym")
    return lambda name, **options: reasoning_gym.create_dataset(name, size=INSTANCES, seed=7, **options)


def solved(name, state):
    """A game, our solution of a state, and where that leads."""
    kind = GAMES.load(name)
    one = kind(kind.Options())
    actions = one.solve(state)
    for action in actions:
        state = one.step(state, action)
    assert one.solved(state)
    return one, actions, state


def judged(found, entry, right, wrong):
    """The right answer is worth all, and the wrong one less."""
    assert found.score_answer(right, entry) == 1.0
    assert found.score_answer(wrong, entry) < 1.0


@pytest.mark.parametrize(
    ("name", "size"), [("mini_sudoku", 4), pytest.param("sudoku", 9, marks=pytest.mark.slow)]
)
def test_sudoku(dataset, name, size):
    found = dataset(name)
    for entry in found:
        grid = tuple(number for row in entry["metadata"]["puzzle"] for number in row)
        one, _, end = solved("sudoku", SudokuState(grid, grid))
        place = grid.index(0)
        wrong = (*end.grid[:place], end.grid[place] % size + 1, *end.grid[place + 1 :])
        judged(found, entry, *(one.show(SudokuState(each, each)) for each in (end.grid, wrong)))


def test_n_queens(dataset):
    found = dataset("n_queens")
    for entry in found:
        columns = tuple(row.index("Q") if "Q" in row else -1 for row in entry["metadata"]["puzzle"])
        state = QueensState(columns, tuple(column >= 0 for column in columns))
        one, actions, end = solved("n_queens", state)
        row, column = actions[0]
        moved = one.step(end, (row, (column + 1) % len(columns)))
        judged(found, entry, *(one.show(each).replace(".", "_") for each in (end, moved)))


def test_tower_of_hanoi(dataset):
    found = dataset("tower_of_hanoi", min_pegs=3, max_pegs=3)
    for entry in found:
        data = entry["metadata"]
        state = HanoiState((data["start_peg"] - 1,) * data["num_disks"], data["target_peg"] - 1)
        one, actions, _ = solved("tower_of_hanoi", state)
        lines = []
        for source, target in actions:
            disk = state.pegs.index(source)
            lines.append(f"Move disk {disk + 1} from Peg {source + 1} to Peg {target + 1}")
            state = one.step(state, (source, target))
        judged(found, entry, "\n".join(lines), "\n".join(lines[:-1]))


def test_shortest_path(dataset):
    words = {"U": "up", "D": "down", "L": "left", "R": "right"}
    found, feasible = dataset("shortest_path", p_blocked=0.3), 0
    for entry in found:
        matrix = entry["metadata"]["matrix"]
        rows = tuple("".join("#" if cell == "X" else "." for cell in row) for row in matrix)
        places = {cell: (r, c) for r, row in enumerate(matrix) for c, cell in enumerate(row)}
        state = PathState(rows, places["*"], places["#"])
        if entry["answer"] == "infeasible":
            assert GAMES.load("plan_path")(None).solve(state) is None
            continue
        feasible += 1
        _, actions, _ = solved("plan_path", state)
        answer = [words[action] for action in actions]
        judged(found, entry, " ".join(answer), " ".join(answer[:-1]))
    assert feasible > 100


@pytest.fixture(scope="module")
def lakes():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("gymnasium.envs.toy_text.frozen_lake")


def test_gymnasium_takes_our_lakes(lakes):
    kind = GAMES.load("frozen_lake")
    one = kind(kind.Options())
    states = [one.generate(Draw(str(number)), size) for size in (4, 8) for number in range(200)]
    played = [state for state in states if state is not None]
    assert len(played) > 100
    for state in played:
        rows = [list(row) for row in one.show(state).splitlines()[:-1]]
        assert (rows[0][0], rows[-1][-1]) == ("S", "G")
        assert lakes.is_valid(rows, len(rows))


def test_we_cross_the_lakes_of_gymnasium(lakes):
    for seed in range(200):
        text = lakes.generate_random_map(4 if seed % 2 else 8, 0.7, seed)
        rows = tuple(row.replace("S", "F").replace("G", "F") for row in text)
        last = len(rows) - 1
        state = LakeState(rows, (0, 0), (last, last))
        solved("frozen_lake", state)
        assert (last, last) in distances(rows, (0, 0), "H")
