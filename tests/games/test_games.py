"""Every game: what is generated can be solved, in as few actions as claimed, and is the same everywhere."""

import os
import re
import subprocess
import sys
from collections import deque
from itertools import combinations, permutations, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettingllms.games import GAMES
from pettingllms.games.base import Draw
from pettingllms.games.grid import drawn, symmetries
from pettingllms.games.sudoku import SudokuState

SIZES = {"plan_path": 6, "sokoban": 6, "blocksworld": 4, "frozen_lake": 5, "tower_of_hanoi": 4, "n_queens": 6}
NAMES = sorted(GAMES)
PINNED = "b4519d1708b5f826"


def game(name, **options):
    kind = GAMES.load(name)
    return kind(kind.Options(**options))


def starts(one, size, count):
    drawn_states = (one.generate(Draw(f"test/{number}"), size) for number in range(100 * count))
    return [state for state, _ in zip(filter(None, drawn_states), range(count), strict=False)]


def played(one, state, actions):
    for action in actions:
        state = one.step(state, action)
        assert state is not None
    return state


def every_action(name, state):
    if name == "tower_of_hanoi":
        return [pair for pair in product(range(3), repeat=2) if pair[0] != pair[1]]
    if name == "blocksworld":
        blocks = [block for stack in state.stacks for block in stack]
        return [(block, onto) for block in blocks for onto in [*blocks, "table"]]
    return "UDLR"


def fewest(name, one, state):
    """Length of a shortest solution, by breadth-first search over the game's own steps; None without one."""
    seen, queue = {state}, deque([(state, 0)])
    while queue:
        state, steps = queue.popleft()
        if one.solved(state):
            return steps
        for action in every_action(name, state):
            other = one.step(state, action)
            if other is not None and other not in seen:
                seen.add(other)
                queue.append((other, steps + 1))
    return None


@pytest.mark.parametrize("name", NAMES)
def test_solutions_solve_and_are_written_as_they_are_read(name):
    one = game(name)
    for state in starts(one, one.default_size, 60):
        assert not one.solved(state) and not one.lost(state) and one.remaining(state) > 0
        actions = one.solve(state)
        assert one.read(state, one.write(state, actions)) == actions
        end = played(one, state, actions)
        assert one.solved(end) and one.remaining(end) == 0 and not one.lost(end)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"sudoku", "n_queens"}))
def test_solutions_are_as_short_as_breadth_first_search_finds_them(name):
    one = game(name)
    for state in starts(one, SIZES[name], 25):
        actions = one.solve(state)
        assert len(actions) == fewest(name, one, state)
        if name in ("plan_path", "frozen_lake", "tower_of_hanoi"):
            assert one.remaining(state) == len(actions), "these measure the distance exactly"
        assert one.remaining(state) <= len(actions)


def test_two_boxes_need_as_few_moves_as_breadth_first_search_finds():
    one = game("sokoban", boxes=2, least_pushes=3)
    for state in starts(one, 5, 8):
        assert len(one.solve(state)) == fewest("sokoban", one, state)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_draw_gives_the_same_start(name):
    one = game(name)
    assert starts(one, one.default_size, 5) == starts(one, one.default_size, 5)


DIGEST = """
import hashlib
from pettingllms.games import GAMES
from pettingllms.games.base import Draw
text = ""
for name in sorted(GAMES):
    kind = GAMES.load(name)
    one = kind(kind.Options())
    for number in range(40):
        state = one.generate(Draw(f"{name}/{number}"), one.default_size)
        text += repr((name, number, state))
        text += "" if state is None else repr((one.canonical(state), one.solve(state)))
print(hashlib.sha256(text.encode()).hexdigest())
"""


def test_the_same_seed_gives_the_same_bytes_in_every_process_and_under_every_python():
    found = set()
    path = os.pathsep.join(filter(None, sys.path))
    for seed in "12":
        variables = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-c", DIGEST], env=variables, capture_output=True, text=True, check=True
        )
        found.add(done.stdout.strip()[:16])
    assert found == {PINNED}, "a change of these makes other tasks of every seed"


def test_random_choices_use_nothing_but_random():
    # Random("a").random(): 0.27202…, 0.06733… under every version of Python 3.
    draw = Draw("a")
    assert [draw.below(10), draw.below(10)] == [2, 0]
    assert sorted(Draw("b").shuffled(range(20))) == list(range(20))
    assert {Draw(str(seed)).between(2, 4) for seed in range(40)} == {2, 3, 4}


@given(seed=st.integers(0, 10_000), walk=st.lists(st.sampled_from("UDLR"), max_size=40))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("name", ["plan_path", "sokoban", "frozen_lake"])
def test_no_walk_leaves_the_map_or_loses_a_box(name, seed, walk):
    one = game(name)
    # Few draws of sokoban are a task: the first that is one stands for those before it.
    state = next(filter(None, (one.generate(Draw(str(seed + more)), 6) for more in range(1_000))))
    for move in walk:
        state = one.step(state, move) or state
        rows = one.show(state).splitlines()
        assert len(rows[0]) == 6 and state.rows[state.at[0]][state.at[1]] != "#"
        if name == "sokoban":
            assert len(set(state.boxes)) == 1 and all(state.rows[r][c] == " " for r, c in state.boxes)


@pytest.mark.parametrize("name", ["plan_path", "sokoban", "frozen_lake"])
def test_turned_and_mirrored_maps_are_one_instance(name):
    one = game(name)
    (state,) = starts(one, 6, 1)
    turned = [one.canonical(mapped(name, state, number)) for number in range(8)]
    assert set(turned) == {one.canonical(state)}


def mapped(name, state, number):
    """The same state under one of the eight symmetries, found by marking its cells."""

    def cell(place):
        (found,) = [
            (row, column)
            for row, line in enumerate(list(symmetries(drawn(state.rows, [(place, "!")])))[number])
            for column, letter in enumerate(line)
            if letter == "!"
        ]
        return found

    rows = list(symmetries(state.rows))[number]
    if name == "sokoban":
        boxes, goals = (tuple(sorted(map(cell, one))) for one in (state.boxes, state.goals))
        return state._replace(rows=rows, at=cell(state.at), boxes=boxes, goals=goals)
    return state._replace(rows=rows, at=cell(state.at), goal=cell(state.goal))


STORES = [(6, 4), (9, 3), (11, 1), (16, 2), (10, 6)]
"""Sizes and boxes for which stores are made by pulling."""


@pytest.mark.parametrize(("size", "boxes"), STORES)
def test_stores_that_are_made_by_pulling_come_with_moves_that_solve_them(size, boxes):
    one = game("sokoban", boxes=boxes, least_pushes=3)
    made = [one.instance(Draw(f"pulled/{number}"), size) for number in range(8)]
    assert any(made)
    for state, moves in filter(None, made):
        assert len(state.boxes) == len(set(state.boxes)) == boxes and state.at not in state.boxes
        assert one.remaining(state) >= 3 and not one.solved(state) and not one.lost(state)
        assert one.solved(played(one, state, moves))
        pushes = sum(before.boxes != after.boxes for before, after in steps(one, state, moves))
        assert one.remaining(state) <= pushes, "an estimate that is never too high"


def steps(one, state, moves):
    for move in moves:
        before, state = state, one.step(state, move)
        yield before, state


def test_moves_of_a_pulled_store_are_no_fewer_than_the_fewest():
    one = game("sokoban", boxes=4)
    made = [one.instance(Draw(f"few/{number}"), 6) for number in range(6)]
    for state, moves in filter(None, made):
        assert len(one.solve(state)) <= len(moves)


@given(seed=st.integers(0, 3_000), walk=st.lists(st.sampled_from("UDLR"), max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_store_is_lost_where_breadth_first_search_finds_no_moves(seed, walk):
    one = game("sokoban", boxes=2, walls=0.3)
    state = next(filter(None, (one.generate(Draw(str(seed + more)), 5) for more in range(1_000))))
    for move in walk:
        state = one.step(state, move) or state
    assert one.lost(state) is (fewest("sokoban", one, state) is None)


def test_the_cheapest_way_to_share_the_goals_is_that_of_all_orders():
    one = game("sokoban", boxes=3)
    kind = type(starts(one, 6, 1)[0])
    rows = ("########", *["#      #"] * 6, "########")
    draw = Draw("share")
    for _ in range(20):
        inner = draw.shuffled([(row, column) for row in range(1, 7) for column in range(1, 7)])
        boxes, goals = sorted(inner[:3]), sorted(inner[3:6])
        ways = [
            [
                one.remaining(kind(rows, (0, 0), (box,), (goal,)))
                for box, goal in zip(order, goals, strict=True)
            ]
            for order in permutations(boxes)
        ]
        sums = [sum(way) for way in ways if None not in way]
        found = one.remaining(kind(rows, (0, 0), tuple(boxes), tuple(goals)))
        assert found == (min(sums) if sums else None)


@given(
    seed=st.integers(0, 10_000), names=st.permutations([1, 2, 3, 4]), swap=st.booleans(), turn=st.booleans()
)
@settings(max_examples=40, deadline=None)
def test_sudokus_of_one_class_are_one_instance(seed, names, swap, turn):
    one = game("sudoku")
    state = next(filter(None, (one.generate(Draw(f"{seed}/{more}"), 4) for more in range(100))))
    rows = [list(state.grid[start : start + 4]) for start in range(0, 16, 4)]
    rows = [[number and names[number - 1] for number in row] for row in rows]
    rows = [rows[2], rows[3], rows[0], rows[1]] if swap else [rows[1], rows[0], rows[2], rows[3]]
    rows = [list(column) for column in zip(*rows, strict=True)] if turn else rows
    other = tuple(number for row in rows for number in row)
    assert one.canonical(SudokuState(other, other)) == one.canonical(state)


def test_every_sudoku_has_one_solution():
    # Counted by trying all numbers in all cells in order, without the solver of the game.
    def count(grid):
        if 0 not in grid:
            return 1
        place = grid.index(0)
        row, column = divmod(place, 4)
        taken = {
            grid[other]
            for other in range(16)
            if other // 4 == row
            or other % 4 == column
            or (other // 8, other % 4 // 2) == (row // 2, column // 2)
        }
        return sum(
            count((*grid[:place], number, *grid[place + 1 :]))
            for number in range(1, 5)
            if number not in taken
        )

    one = game("sudoku")
    assert [count(state.grid) for state in starts(one, 4, 40)] == [1] * 40


def test_no_list_of_moves_crosses_many_lakes():
    one = game("frozen_lake")
    states = {one.canonical(state): state for state in starts(one, 4, 600)}.values()
    assert len({state.at for state in states}) == 4
    crossed = []
    for downs in combinations(range(6), 3):
        for across, along in ("RD", "LD", "RU", "LU"):
            moves = [along if number in downs else across for number in range(6)]
            ends = [walked(one, state, moves) for state in states]
            crossed.append(sum(map(one.solved, ends)) / len(states))
    assert max(crossed) < 0.12


def walked(one, state, moves):
    for move in moves:
        state = one.step(state, move) or state
    return state


def test_hanoi_of_n_disks_takes_two_to_the_n_less_one():
    one = game("tower_of_hanoi")
    state = one.generate(Draw("x"), 3)._replace(pegs=(0, 0, 0, 0, 0), goal=2)
    assert len(one.solve(state)) == one.remaining(state) == 31
    # 1-based disks 1 and 2 on A, goal A, disk 3 on B: 4 + 2 + 1 moves.
    assert one.remaining(state._replace(pegs=(0, 0, 1), goal=0)) == 7


def test_blocks_cannot_be_put_on_themselves_and_none_is_lost():
    one = game("blocksworld")
    state = next(state for state in starts(one, 4, 20) if len(state.stacks) == 2)
    top = state.stacks[0][-1]
    assert one.step(state, (top, top)) is None
    for action in product("ABCD", [*"ABCD", "table"]):
        after = one.step(state, action)
        if after is not None:
            assert sorted(block for stack in after.stacks for block in stack) == list("ABCD")
            assert any(stack[-1] == action[0] for stack in after.stacks)


def test_any_latin_square_is_no_solution_of_a_sudoku():
    one = game("sudoku")
    (state,) = starts(one, 4, 1)
    other = next(
        full
        for names in product([1, 2, 3, 4], repeat=4)
        if len(set(names)) == 4
        for full in [tuple(names[number - 1] for number in played(one, state, one.solve(state)).grid)]
        if any(a not in (0, b) for a, b in zip(state.given, full, strict=True))
    )
    rows = [list(other[start : start + 4]) for start in range(0, 16, 4)]
    actions = one.read(state, rows)
    assert any(one.step(state, action) is None for action in actions), "it writes over given numbers"
    assert not one.solved(state._replace(grid=other)), "and were they written over, it would not count"


def test_a_box_in_a_corner_is_a_deadlock_and_one_on_its_goal_is_none():
    one = game("sokoban")
    kind = type(starts(one, 5, 1)[0])
    rows = ("#####", "#   #", "#   #", "#   #", "#####")
    assert not one.lost(kind(rows, (3, 1), ((2, 2),), ((2, 3),)))
    pushed = kind(rows, (1, 2), ((1, 1),), ((2, 3),))
    assert one.lost(pushed) and one.remaining(pushed) is None
    assert not one.lost(kind(rows, (1, 2), ((1, 1),), ((1, 1),)))


def test_boxes_that_block_each_other_are_a_deadlock():
    one = game("sokoban", boxes=2)
    kind = type(starts(one, 5, 1)[0])
    rows = ("######", "#    #", "#    #", "#    #", "######")
    # Side by side along a wall, neither moves any more; each alone could be pushed along it.
    state = kind(rows, (3, 1), ((1, 2), (1, 3)), ((1, 1), (2, 2)))
    assert one.remaining(state) is None or one.lost(state)


def test_the_potential_of_two_boxes_is_the_cheapest_way_to_share_the_goals():
    one = game("sokoban", boxes=2)
    kind = type(starts(one, 5, 1)[0])
    rows = ("#######", "#     #", "#     #", "#     #", "#     #", "#     #", "#######")
    # From (3, 2) to (3, 3) is 1 push and to (3, 5) 3; from (3, 4) both are 1: 1 + 1, not 3 + 1.
    assert one.remaining(kind(rows, (1, 1), ((3, 2), (3, 4)), ((3, 3), (3, 5)))) == 2


def test_walls_count_for_the_distance():
    one = game("plan_path")
    kind = type(starts(one, 4, 1)[0])
    # A wall between neighbours but for the bottom row: 2 columns apart, 6 steps to walk.
    state = kind((".#.", ".#.", "..."), (0, 0), (0, 2))
    assert one.remaining(state) == 6 and one.solve(state) == list("DDRRUU")


def test_a_placed_queen_that_cannot_stay_takes_all_progress_back():
    one = game("n_queens")
    kind = type(starts(one, 4, 1)[0])
    # On 4x4 the solutions are 1302 and 2031: none has a queen in the corner.
    empty = kind((-1, -1, -1, -1), (False,) * 4)
    assert one.remaining(empty) == 4 == one.remaining(one.step(empty, (0, 0)))
    assert one.remaining(one.step(empty, (0, 1))) == 3


def test_the_best_player_on_slippery_ice_by_hand():
    one = game("frozen_lake", slippery=True)
    kind = type(starts(one, 4, 1)[0])
    # One row, S then G: R reaches G in one of three cases and stays else; it can be repeated.
    assert one.chance(kind(("FF",), (0, 0), (0, 1))) == pytest.approx(1.0, abs=1e-6)
    # A hole right of S, G below. D: down, left (stays) or right (hole), 1/3 + v/3 = v -> 1/2;
    # L: left (stays), up (stays) or down (goal), v/3 + v/3 + 1/3 = v -> 1.
    assert one.chance(kind(("FH", "GF"), (0, 0), (1, 0))) == pytest.approx(1.0, abs=1e-6)
    # Three cells in a row with a hole at the left end: R never slips back.
    assert one.chance(kind(("HFG",), (0, 1), (0, 2))) == pytest.approx(1.0, abs=1e-6)
    # Holes on both sides of S, goal below. L: 1/3 hole, 1/3 stays (the edge above), 1/3 goal, v = 1/3 + v/3.
    assert one.chance(kind(("HFH", "FGF"), (0, 1), (1, 1))) == pytest.approx(1 / 2, abs=1e-6)
    assert game("frozen_lake").chance(kind(("FF",), (0, 0), (0, 1))) is None


DOCUMENTED = re.compile(r"`builtin:(\w+)` \| .*?, (\d+) (?:to|or) (\d+) \((\d+)\)")


def test_the_page_on_puzzles_has_the_sizes_that_can_be_played():
    page = Path(__file__).parents[2] / "docs" / "environments-stateful.md"
    found = {name: tuple(map(int, numbers)) for name, *numbers in DOCUMENTED.findall(page.read_text())}
    kinds = {name: GAMES.load(name) for name in NAMES}
    assert found == {name: (kind.sizes[0], kind.sizes[-1], kind.default_size) for name, kind in kinds.items()}


@pytest.mark.parametrize(
    ("name", "options", "size", "key"),
    [
        ("plan_path", {}, 1, "map_size"),
        ("plan_path", {"least_distance": 9, "most_distance": 3}, 10, "least_distance"),
        ("sudoku", {}, 6, "map_size"),
        ("sudoku", {"least_empty": 13}, 4, "least_empty"),
        ("n_queens", {"least_missing": 7}, 6, "least_missing"),
        ("n_queens", {}, 3, "map_size"),
        ("tower_of_hanoi", {}, 30, "map_size"),
    ],
)
def test_what_cannot_be_played_is_said(name, options, size, key):
    assert game(name, **options).fault(size).path[-1] == key
    assert game(name).fault(game(name).default_size) is None
