"""Values that cross the border: what comes back is what went, and nothing else gets through."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettingllms.sandbox.values import decode, encode

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
HASHABLE = st.recursive(LEAVES, lambda below: st.lists(below, max_size=3).map(tuple), max_leaves=5)
VALUES = st.recursive(
    LEAVES,
    lambda below: (
        st.lists(below, max_size=3)
        | st.lists(below, max_size=3).map(tuple)
        | st.dictionaries(HASHABLE, below, max_size=3)
    ),
    max_leaves=10,
)


def typed(value):
    """A value with the types of all its parts, as 1, 1.0 and True are equal."""
    if type(value) in (list, tuple):
        return type(value), [typed(item) for item in value]
    if type(value) is dict:
        return dict, [(typed(key), typed(item)) for key, item in value.items()]
    return type(value), value


@given(VALUES)
def test_what_comes_back_is_what_went(value):
    assert typed(decode(encode(value))) == typed(value)


def test_the_form_is_json_with_tags():
    assert json.loads(encode([1, (2, "x"), {"a": 1}, 1 << 64])) == [
        1,
        {"tuple": [2, "x"]},
        {"dict": [["a", 1]]},
        {"int": "0x10000000000000000"},
    ]


def test_integers_of_any_length_go_through():
    long = 7**20_000
    assert decode(encode([long, -long])) == [long, -long]


@pytest.mark.parametrize(
    "value",
    [{1}, b"x", 1j, object(), type("Int", (int,), {})(1), type("List", (list,), {})([1]), [(object(),)]],
)
def test_other_types_are_refused(value):
    with pytest.raises(TypeError, match="is not among"):
        encode(value)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "x", "[1", "{}", '{"a": 1}', '{"tuple": 1}', '{"tuple": [], "more": 1}', '{"int": 1}'),
        *('{"int": "zz"}', '{"dict": [1]}', '{"dict": [[1, 2, 3]]}', '{"dict": [[[1], 2]]}', "[" * 100_000),
        "9" * 10_000,
        b"\xff",
    ],
)
def test_texts_that_are_no_values_are_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - any of them
        decode(text)
