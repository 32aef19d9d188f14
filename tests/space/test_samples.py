"""Cells of spaces that have no end: the default, all corners, and a sample that keeps to every rule."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettingllms.config.axes import Axis
from pettingllms.space.cells import corners_and_sample, default_cell, label
from pettingllms.space.units import CycleError

LR, RANK, DROP, KIND = ("lr",), ("rank",), ("drop",), ("kind",)
LOG = Axis(LR, None, 1e-6, kind="float", low=1e-7, high=1e-5, log=True)
INT = Axis(RANK, None, 16, kind="int", low=4, high=10**6)
UNIFORM = Axis(DROP, None, 0.1, kind="float", low=0.0, high=0.5)
STEPS = Axis(DROP, None, 0.1, kind="float", low=0.0, high=10**6, step=0.1)
CHOICE = Axis(KIND, ("a", "b", "c"), "b")


def values(cells):
    return [tuple(cell.values.values()) for cell in cells]


def test_the_default_comes_first_then_all_corners_then_a_sample():
    cells = corners_and_sample([LOG, INT, CHOICE], seed=1, limit=40)
    corners = list(itertools.product((1e-7, 1e-5), (4, 10**6), "abc"))
    assert values(cells)[:13] == [(1e-6, 16, "b"), *corners]
    assert len(cells) == len(set(values(cells))) == 40
    assert [cell.number for cell in cells] == list(range(40))
    for lr, rank, kind in values(cells)[13:]:
        assert 1e-7 <= lr <= 1e-5
        assert 4 <= rank <= 10**6
        assert isinstance(rank, int)
        assert kind in "abc"


def test_the_same_seed_gives_the_same_cells():
    axes = [LOG, INT, UNIFORM, CHOICE]
    once = corners_and_sample(axes, seed=3, limit=100)
    assert values(once) == values(corners_and_sample(axes, seed=3, limit=100))
    assert values(once) != values(corners_and_sample(axes, seed=4, limit=100))


def test_a_logarithmic_range_is_spread_by_ratio():
    cells = corners_and_sample([LOG], seed=0, limit=400)
    below = sum(lr < 1e-6 for (lr,) in values(cells))
    assert 150 < below < 250


def test_steps_are_kept():
    for (drop,) in values(corners_and_sample([STEPS], seed=0, limit=100)):
        assert round(drop * 10) / 10 == drop


def test_more_corners_than_there_is_room_for_become_a_part_of_them():
    axes = [Axis((f"x{n}",), None, 0.5, kind="float", low=0.0, high=1.0) for n in range(300)]
    cells = corners_and_sample(axes, seed=0, limit=128)
    assert len(cells) == len(set(values(cells))) == 128
    rows = values(cells)
    assert rows[0] == (0.5,) * 300
    # One by one first, as far as there is room; then corners; the rest lies inside.
    assert rows[1] == (0.0, *(0.5,) * 299)
    assert sum(set(row) == {0.0, 1.0} for row in rows) == 32
    assert sum(len(set(row)) > 3 for row in rows) == 32


def test_every_choice_of_a_large_space_is_met():
    axes = [Axis((f"x{n}",), tuple(range(20)), 0) for n in range(5)]
    cells = corners_and_sample(axes, seed=0, limit=256)
    for axis in axes:
        assert {cell.values[axis.path] for cell in cells} == set(range(20))


def test_a_small_space_is_used_up():
    cells = corners_and_sample([Axis(RANK, (1, 2, 3), 2, kind="int", low=1, high=3)], seed=0, limit=50)
    assert sorted(values(cells)) == [(1,), (2,), (3,)]
    assert values(cells)[0] == (2,)
    (only,) = corners_and_sample([], seed=0, limit=5)
    assert only.values == {}


def test_conditions_and_zipped_axes_are_kept_to():
    axes = [
        Axis(KIND, ("plain", "decay"), "plain"),
        Axis(LR, None, 1e-6, kind="float", low=1e-7, high=1e-5, log=True, when="kind == 'decay'"),
        Axis(RANK, (8, 16), 8, zip="size"),
        Axis(("alpha",), (16, 32), 16, zip="size"),
    ]
    cells = corners_and_sample(axes, seed=0, limit=60)
    assert len(cells) == 60
    for cell in cells:
        kind, lr, rank, alpha = cell.values.values()
        assert alpha == 2 * rank
        assert (LR in cell.active) is (kind == "decay")
        assert kind == "decay" or lr == 1e-6
    assert {cell.values[LR] for cell in cells} >= {1e-7, 1e-5}
    assert cells[0].active == {KIND, RANK, ("alpha",)}


def test_a_key_that_follows_a_later_axis_is_seen_as_it_becomes():
    axes = [
        Axis(LR, None, 1e-6, kind="float", low=1e-7, high=1e-5, when="follows == 6"),
        Axis(RANK, (5, 6), 5, when="kind == 'y'"),
        Axis(KIND, ("x", "y"), "x"),
    ]
    cells = corners_and_sample(axes, lambda found, path: found[RANK], seed=0, limit=30)
    assert {(LR in cell.active, cell.values[RANK]) for cell in cells} == {(True, 6), (False, 5)}


def test_the_default_cell_knows_what_is_swept_there():
    axes = [CHOICE, Axis(RANK, (1, 2), 2, when="kind == 'a'"), LOG]
    cell = default_cell(axes)
    assert cell.values == {KIND: "b", RANK: 2, LR: 1e-6}
    assert cell.active == {KIND, LR}
    with pytest.raises(CycleError):
        default_cell([Axis(RANK, (1,), 1, when="rank > 1")])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.just("float"), st.floats(1e-9, 1e9), st.floats(1e-9, 1e9), st.booleans(), st.floats(0, 1)
            ),
            st.tuples(
                st.just("int"), st.integers(1, 10**9), st.integers(1, 10**9), st.booleans(), st.floats(0, 1)
            ),
        ),
        max_size=4,
    ),
    st.integers(0, 2**32 - 1),
    st.integers(1, 80),
)
def test_cells_are_different_and_inside_of_their_ranges(drawn, seed, limit):
    axes = []
    for number, (kind, one, other, log, part) in enumerate(drawn):
        low, high = min(one, other), max(one, other)
        default = low + (high - low) * part
        default = math.floor(default) if kind == "int" else min(default, high)
        axes.append(Axis((f"x{number}",), None, default, kind=kind, low=low, high=high, log=log))
    cells = corners_and_sample(axes, seed=seed, limit=limit)
    assert 1 <= len(cells) <= limit
    assert len({tuple(map(label, row)) for row in values(cells)}) == len(cells)
    for cell in cells:
        for axis in axes:
            assert axis.low <= cell.values[axis.path] <= axis.high
            assert type(cell.values[axis.path]) is (int if axis.kind == "int" else float)
