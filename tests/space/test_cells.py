"""The grid: product, zipped and conditional axes, and what a brute force finds."""

import itertools

import pytest
from hypothesis import given, settings
from random_spaces import referring, spaces

from pettingllms.config.axes import Axis
from pettingllms.space.cells import (
    TooManyCellsError,
    allowed,
    cell_count,
    duplicates,
    expand,
    label,
)
from pettingllms.space.expressions import EvaluationError, ExpressionError, parse
from pettingllms.space.units import ConditionError, CycleError

A, B, C, D = ("a",), ("b", "c"), ("c",), ("d",)


def test_the_last_axis_is_fastest_and_numbers_start_at_0():
    cells = expand([Axis(A, (1, 2), 1), Axis(B, ("x", "y", "z"), "x")])
    assert [(cell.number, cell.values[A], cell.values[B]) for cell in cells] == [
        (0, 1, "x"), (1, 1, "y"), (2, 1, "z"), (3, 2, "x"), (4, 2, "y"), (5, 2, "z"),
    ]  # fmt: skip
    assert cell_count([Axis(A, (1, 2), 1), Axis(B, ("x", "y", "z"), "x")]) == 6
    assert all(cell.active == {A, B} for cell in cells)


def test_no_axes_give_one_cell_without_values():
    (cell,) = expand([])
    assert (cell.number, cell.values, cell.active) == (0, {}, frozenset())


def test_lists_and_tables_are_choices():
    cells = expand([Axis(A, (["x"], {"k": 1}), ["x"])])
    assert [cell.values[A] for cell in cells] == [["x"], {"k": 1}]


def test_a_thousand_cells_are_the_product():
    axes = [Axis((name,), tuple(range(10)), 0) for name in "abc"]
    assert [tuple(cell.values.values()) for cell in expand(axes)] == list(
        itertools.product(range(10), repeat=3)
    )


def test_two_by_two_by_three_are_twelve_cells_in_file_order():
    axes = [Axis(A, (1, 2), 1), Axis(B, (3, 4), 3), Axis(C, (5, 6, 7), 5)]
    assert [tuple(cell.values.values()) for cell in expand(axes)] == [
        (1, 3, 5), (1, 3, 6), (1, 3, 7), (1, 4, 5), (1, 4, 6), (1, 4, 7),
        (2, 3, 5), (2, 3, 6), (2, 3, 7), (2, 4, 5), (2, 4, 6), (2, 4, 7),
    ]  # fmt: skip


def test_zipped_axes_move_together_at_the_place_of_the_first():
    axes = [Axis(A, (1, 2), 1, zip="z"), Axis(B, ("x", "y"), "x"), Axis(C, (10, 20), 10, zip="z")]
    cells = expand(axes)
    assert [tuple(cell.values.values()) for cell in cells] == [
        (1, "x", 10), (1, "y", 10), (2, "x", 20), (2, "y", 20),
    ]  # fmt: skip
    assert list(cells[0].values) == [A, B, C]
    assert cell_count(axes) == 4


def test_a_long_axis_is_zipped_with_a_short_one_as_far_as_that_goes():
    long = Axis(A, None, 0, kind="int", low=0, high=10**9, zip="z")
    axes = [long, Axis(B, ("x", "y"), "x", zip="z")]
    assert cell_count(axes) == 2
    assert [tuple(cell.values.values()) for cell in expand(axes)] == [(0, "x"), (1, "y")]


def test_an_axis_with_a_condition_has_its_default_once_where_it_does_not_hold():
    axes = [Axis(A, (1, 2, 3), 2, when="b.c == 'x'"), Axis(B, ("x", "y"), "x")]
    cells = expand(axes)
    assert [(*cell.values.values(), A in cell.active) for cell in cells] == [
        (1, "x", True), (2, "y", False), (2, "x", True), (3, "x", True),
    ]  # fmt: skip
    assert [cell.number for cell in cells] == [0, 1, 2, 3]
    assert cell_count(axes) == 6


def test_conditions_follow_each_other_whatever_the_order_in_the_file():
    axes = [
        Axis(A, (1, 2), 1, when="c > 5"),
        Axis(B, ("x", "y"), "x"),
        Axis(C, (5, 6), 5, when="b.c == 'y'"),
    ]
    found = [tuple(cell.values.values()) for cell in expand(axes)]
    assert found == [(1, "x", 5), (1, "y", 5), (1, "y", 6), (2, "y", 6)]


def test_a_condition_may_name_keys_that_are_no_axes_and_parts_of_axes():
    axes = [Axis(A, ({"n": 1}, {"n": 2}), {"n": 1}), Axis(B, (1, 2), 1, when="a.n == limit")]

    def value_of(values, path):
        if path == ("limit",):
            return 2
        return values[A]["n"]

    assert [cell.values[B] for cell in expand(axes, value_of)] == [1, 1, 2]


def test_a_condition_sees_through_keys_that_refer_to_axes_which_are_decided_later():
    axes = [
        Axis(("x0",), (1, 2), 1, when="r1 == 6"),
        Axis(("x1",), (5, 6), 5, when="x2 == 'y'"),
        Axis(("x2",), ("x", "y"), "x"),
    ]
    found = [(*cell.values.values(), ("x0",) in cell.active) for cell in expand(axes, referring)]
    assert found == [(1, 5, "x", False), (1, 5, "y", False), (1, 6, "y", True), (2, 6, "y", True)]


def test_an_identity_of_values_is_kept():
    values = (1000.5, 2000.5)
    axes = [Axis(A, values, values[0]), Axis(B, (1, 2), 1, when="a > 1500")]
    assert all(any(cell.values[A] is value for value in values) for cell in expand(axes))


def test_conditions_in_a_circle_are_named_in_order():
    axes = [Axis(B, (1, 2), 1), Axis(A, (1, 2), 1, when="c > 1"), Axis(C, (1, 2), 1, when="d > 1 or b.c > 0")]
    with pytest.raises(CycleError, match="c → d → c") as error:
        expand([*axes, Axis(D, (1, 2), 1, when="c > 1")])
    assert error.value.paths == (C, D)
    with pytest.raises(CycleError, match="a → a"):
        expand([Axis(A, (1, 2), 1, when="a > 1")])


def test_a_condition_without_a_value_names_its_axis():
    axes = [Axis(A, (1, 2), 1), Axis(B, (1, 2), 1, when="1 / (a - 2) < 0")]
    with pytest.raises(ConditionError, match="divides by zero") as error:
        expand(axes)
    assert error.value.axis.path == B
    with pytest.raises(ConditionError, match="no key nope"):
        expand([Axis(A, (1, 2), 1, when="nope > 1")])
    with pytest.raises(ExpressionError):
        expand([Axis(A, (1, 2), 1, when="b >")])


def test_a_space_is_counted_without_being_listed():
    lattice = Axis(A, None, 0, kind="int", low=0, high=10**12)
    endless = Axis(B, None, 0.5, kind="float", low=0.0, high=1.0)
    many = [Axis((str(number),), (1, 2), 1) for number in range(300)]
    assert cell_count([lattice]) == 10**12 + 1
    assert cell_count(many) == 2**300
    assert cell_count([endless, lattice]) == float("inf")
    for axes in ([lattice], [endless], many):
        with pytest.raises(TooManyCellsError):
            expand(axes, limit=4096)


def test_a_limit_counts_the_cells_that_conditions_leave():
    axes = [Axis(A, ("none", "all"), "none")]
    axes += [Axis((f"x{n}",), tuple(range(5)), 0, when=f"a == 'all' and {n} < 2") for n in range(8)]
    assert cell_count(axes) == 2 * 5**8
    assert len(expand(axes, limit=26)) == 26
    with pytest.raises(TooManyCellsError):
        expand(axes, limit=25)


def test_many_axes_are_quick():
    axes = [Axis((f"x{n}",), (1,), 1, when=f"x{n - 1} == 1" if n else None) for n in range(1500)][::-1]
    (cell,) = expand(axes)
    assert len(cell.active) == 1500


def test_constraints_say_which_cells_are_allowed():
    cells = expand([Axis(A, (1, 2, 3), 1)])
    constraints = [parse("a > 1"), parse("a + limit <= 12")]
    kept = [cell.number for cell in cells if allowed(cell, constraints, lambda values, path: 10)]
    assert kept == [1]
    assert allowed(cells[0], [])
    with pytest.raises(EvaluationError):
        allowed(cells[0], [parse("nope > 1")])


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


def brute_force(axes):
    """Every combination of rows and of what is switched on, kept where the conditions agree with it."""
    groups = {}
    for axis in axes:
        groups.setdefault(axis.zip or axis.path, []).append(axis)
    groups = list(groups.values())
    options = [[None, *range(len(group[0].values))] for group in groups]
    found = []
    for rows in itertools.product(*options):
        names = {}
        for group, row in zip(groups, rows, strict=True):
            for axis in group:
                names[axis.path[0]] = axis.default if row is None else axis.values[row]
        seen = names | {name.replace("x", "r"): value for name, value in names.items()}
        if all(
            (group[0].when is None or bool(eval(group[0].when, {}, seen))) == (row is not None)
            for group, row in zip(groups, rows, strict=True)
        ):
            active = {
                a.path for group, row in zip(groups, rows, strict=True) if row is not None for a in group
            }
            found.append(([row or 0 for row in rows], {(name,): v for name, v in names.items()}, active))
    return sorted(found, key=lambda one: one[0])


@settings(max_examples=400, deadline=None)
@given(spaces())
def test_cells_are_what_a_brute_force_finds(axes):
    cells = expand(axes, referring)
    expected = brute_force(axes)
    assert [(dict(cell.values), set(cell.active)) for cell in cells] == [
        (values, active) for _, values, active in expected
    ]
    assert [cell.number for cell in cells] == list(range(len(cells)))
    assert len(cells) <= cell_count(axes)
