"""Points of a space: always one of its cells, and the same row on the way back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_spaces import referring, spaces

from pettingllms.config.axes import Axis
from pettingllms.documents.source import dotted
from pettingllms.space.cells import expand
from pettingllms.space.expressions import parse
from pettingllms.sweep.advice.space import OutsideError, SearchSpace


def named(values):
    return {dotted(path): value for path, value in values.items()}


def asking(cell):
    """A sampler that proposes the values of a cell."""
    return lambda parameter: tuple(cell.values[axis.path] for axis in parameter.unit.axes)


@settings(max_examples=150, deadline=None)
@given(spaces(), st.randoms(use_true_random=False))
def test_every_point_is_a_cell_and_every_cell_a_point(axes, rng):
    space = SearchSpace(axes, value_of=referring)
    cells = expand(axes, referring)
    known = [(cell.values, cell.active) for cell in cells]
    for _ in range(5):
        point = space.point(lambda parameter: rng.choice(list(parameter.rows.values())))
        assert point is None or (point.values, point.active) in known
    if any("r" in (axis.when or "") for axis in axes):
        # Where conditions look ahead, more than one cell can have what was proposed.
        return
    for cell in cells:
        point = space.point(asking(cell))
        assert (point.values, point.active) == (cell.values, cell.active)
        back = space.parameters_of(named(point.values), [dotted(path) for path in point.active])
        assert back == point.parameters


def test_a_key_that_refers_to_an_axis_is_seen_through():
    """`r1` follows x1, which is decided after x0: what x0 was decided by is looked at again."""
    axes = [Axis(("x0",), (0, 1), 0, when="r1 == 1"), Axis(("x1",), (0, 1), 0, when="x2 == 1")]
    axes.append(Axis(("x2",), (0, 1), 0))
    space = SearchSpace(axes, value_of=referring)
    point = space.point(lambda parameter: (1,))
    assert (dict(point.values), point.active) == (
        {("x0",): 1, ("x1",): 1, ("x2",): 1},
        frozenset({("x0",), ("x1",), ("x2",)}),
    )
    assert space.point(lambda parameter: (0,)).active == {("x2",)}


def test_the_defaults_are_a_point():
    axes = [Axis(("x0",), (1, 2), 2), Axis(("x1",), ([3], [4]), [4], when="x0 == 1")]
    point = SearchSpace(axes).defaults()
    assert (dict(point.values), point.active, point.parameters) == (
        {("x0",): 2, ("x1",): [4]},
        {("x0",)},
        {"x0": 2},
    )


def test_a_broken_constraint_is_named():
    space = SearchSpace([Axis(("x0",), (0, 1, 2), 1)], [parse("x0 > 0"), parse("4 / x0 > 2")])
    words = [space.refusal(space.point(lambda parameter, n=n: (n,))) for n in range(3)]
    assert words == ["x0 > 0", None, "4 / x0 > 2"]


@pytest.mark.parametrize(
    ("axis", "value"),
    [
        (Axis(("x",), (1, 2), 1), 3),
        (Axis(("x",), None, 1.0, kind="float", low=0.0, high=2.0), 2.5),
        (Axis(("x",), None, 1.0, kind="float", low=0.0, high=2.0), "1.0"),
        (Axis(("x",), None, 1.0, kind="float", low=0.0, high=2.0), True),
        (Axis(("x",), (0, 3), 0, kind="int", low=0, high=5, step=3), 5),
    ],
)
def test_what_the_space_does_not_have_is_outside(axis, value):
    with pytest.raises(OutsideError, match="x has no value"):
        SearchSpace([axis]).parameters_of({"x": value}, ["x"])


def test_an_axis_that_is_gone_is_outside():
    space = SearchSpace([Axis(("x",), (1, 2), 1)])
    with pytest.raises(OutsideError, match="old is not swept"):
        space.parameters_of({"x": 1, "old": 2}, ["x", "old"])
