"""The grid."""

import pytest

from pettingllms.config.axes import Axis
from pettingllms.space.cells import cell_count, duplicates, expand, label

A, B = ("a",), ("b", "c")


def test_the_last_axis_is_fastest_and_numbers_start_at_0():
    cells = expand([Axis(A, (1, 2), 1), Axis(B, ("x", "y", "z"), "x")])
    assert [(cell.number, cell.values[A], cell.values[B]) for cell in cells] == [
        (0, 1, "x"), (1, 1, "y"), (2, 1, "z"), (3, 2, "x"), (4, 2, "y"), (5, 2, "z"),
    ]  # fmt: skip
    assert cell_count([Axis(A, (1, 2), 1), Axis(B, ("x", "y", "z"), "x")]) == 6


def test_no_axes_give_one_cell_without_values():
    (cell,) = expand([])
    assert (cell.number, cell.values) == (0, {})


def test_lists_and_tables_are_choices():
    cells = expand([Axis(A, (["x"], {"k": 1}), ["x"])])
    assert [cell.values[A] for cell in cells] == [["x"], {"k": 1}]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1, 1),
        (0.5, 0.5),
        ("x", "x"),
        (True, True),
        (["x", 1], '["x",1]'),
        ({"k": None}, '{"k":null}'),
        (None, "null"),
    ],
)
def test_a_label_is_a_scalar(value, shown):
    assert label(value) == shown
    assert type(label(value)) is type(shown)


@pytest.mark.parametrize(
    ("values", "pairs"),
    [
        ([1, 2, 3], []),
        ([1, 2, 1], [(0, 2)]),
        ([True, 1], [(0, 1)]),
        ([1, 1.0], [(0, 1)]),
        ([["a"], ["b"], ["a"]], [(0, 2)]),
        ([0.1, "0.1"], []),
    ],
)
def test_choices_that_optuna_cannot_tell_apart_are_found(values, pairs):
    assert list(duplicates(values)) == pairs
