"""Games against judges of others: reasoning-gym scores our solutions, gymnasium knows our frozen lakes."""

import warnings

import pytest

from pettingllms.games import GAMES
from pettingllms.games.base import Draw
from pettingllms.games.frozen_lake import LakeState
from pettingllms.games.grid import distances, symmetries
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
    return lambda name, size=INSTANCES, **options: reasoning_gym.create_dataset(
        name, size=size, seed=7, **options
    )


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
    found, feasible = dataset("shortest_path", size=2 * INSTANCES, p_blocked=0.3), 0
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
    assert feasible >= INSTANCES


def test_our_sudokus_have_the_only_solution_that_is_found_by_others(dataset):
    one, theirs = GAMES.load("sudoku")(GAMES.load("sudoku").Options()), dataset("mini_sudoku")
    for state in made(one, 4):
        grid = [list(state.grid[row : row + 4]) for row in range(0, 16, 4)]
        end = state
        for action in one.solve(state):
            end = one.step(end, action)
        answer = [list(end.grid[row : row + 4]) for row in range(0, 16, 4)]
        assert theirs._count_solutions([row[:] for row in grid], limit=2) == 1
        solved_by_them = [row[:] for row in grid]
        assert theirs._solve(solved_by_them) and solved_by_them == answer


def test_our_queens_are_among_all_solutions_that_others_find(dataset):
    one, found = GAMES.load("n_queens")(GAMES.load("n_queens").Options()), dataset("n_queens", n=8)
    boards = [found._board_to_string(board) for board in found._solutions]
    assert len(boards) == 92
    for start in made(one, 8):
        state = start
        for action in one.solve(start):
            state = one.step(state, action)
        row, column = action
        moved = one.step(state, (row, (column + 1) % 8))
        entry = {"metadata": {"valid_answers": boards}}
        judged(found, entry, *(one.show(each).replace(".", "_") for each in (state, moved)))


def test_our_stores_are_solved_in_the_sokoban_of_others(dataset):
    found, seen = dataset("sokoban", size=1), 0
    symbols = str.maketrans({"#": "+", "@": "*", "$": "@", ".": "X", "*": "$", "+": "%", " ": "-"})
    for boxes, size in ((1, 6), (4, 9)):
        one = GAMES.load("sokoban")(GAMES.load("sokoban").Options(boxes=boxes))
        for number in range(2 * INSTANCES):
            if seen == (INSTANCES if boxes == 4 else INSTANCES // 2):
                break
            instance = one.instance(Draw(f"judged/{number}"), size)
            if instance is None:
                continue
            seen += 1
            rows = one.show(instance.state).translate(symbols).splitlines()
            moves = "".join(instance.solution or one.solve(instance.state))
            entry = {"metadata": {"gamestr": "\n".join(" ".join(row) for row in rows)}}
            judged(found, entry, moves, moves[:-1])
    assert seen == INSTANCES


def made(one, size):
    """As many different starts as the others make."""
    found = {}
    for number in range(100 * INSTANCES):
        state = one.generate(Draw(f"judged/{number}"), size)
        if state is not None:
            found[state] = state
        if len(found) == INSTANCES:
            return list(found)
    raise AssertionError("too few")


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
        shown = tuple(one.show(state).splitlines()[:-1])
        # Theirs begin at the top left.
        rows = next(list(map(list, rows)) for rows in symmetries(shown) if rows[0][0] == "S")
        assert rows[-1][-1] == "G"
        assert lakes.is_valid(rows, len(rows))


def test_we_cross_the_lakes_of_gymnasium(lakes):
    for seed in range(200):
        text = lakes.generate_random_map(4 if seed % 2 else 8, 0.7, seed)
        rows = tuple(row.replace("S", "F").replace("G", "F") for row in text)
        last = len(rows) - 1
        state = LakeState(rows, (0, 0), (last, last))
        solved("frozen_lake", state)
        assert (last, last) in distances(rows, (0, 0), "H")
