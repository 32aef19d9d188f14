"""Values of Hydra's override grammar, with Hydra's own parser as the oracle."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    QuotedString,
    RangeSweep,
)
from hydra.errors import HydraException
from hypothesis import given, settings
from hypothesis import strategies as st

from pettingllms.foreign.functions import Choice, Interval, Range, read_value
from pettingllms.foreign.grammar import GrammarFault, Scalar

PARSER = OverridesParser.create()


class NumberAsKeyError(Exception):
    """Hydra keeps a number as a key; in TOML every key is text."""


def theirs(value):
    made = {
        QuotedString: lambda: ("text", value.text),
        ChoiceSweep: lambda: ("choice", [theirs(item) for item in value.list]),
        RangeSweep: lambda: ("range", value.start, value.stop, value.step),
        IntervalSweep: lambda: ("interval", value.start, value.end),
        list: lambda: [theirs(item) for item in value],
        dict: lambda: {key: theirs(item) for key, item in value.items()},
        str: lambda: ("text", value),
    }
    if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
        raise NumberAsKeyError
    return made.get(type(value), lambda: (type(value).__name__, repr(value)))()


def ours(node):
    if isinstance(node, Scalar):
        value = node.value
        return ("text", value) if isinstance(value, str) else (type(value).__name__, repr(value))
    if isinstance(node, Choice):
        return ("choice", [ours(item) for item in node.values])
    if isinstance(node, Range):
        return ("range", node.start, node.stop, node.step)
    if isinstance(node, Interval):
        return ("interval", node.start, node.end)
    if isinstance(node, list):
        return [ours(item) for item in node]
    return {key: ours(item) for key, item in node.items()}


WORDS = ["a", "b-c", "x_1", "1", "-2", "07", "1_0", "1e-6", "1.", ".5", "+3", "null", "TRUE", "inf", "NaN"]
MARKS = ["[", "]", "{", "}", "(", ")", ",", ":", "'", '"', "/", ".", "%", "@", "$", "*", "\\", "\\,", "\\\\"]
CALLS = ["choice(", "range(", "interval(", "int(", "str("]
PIECES = [*WORDS, *MARKS, *CALLS, " ", "\\ ", "${a.b}", "${oc.env:X,y}"]
QUOTED = ["'q u'", '"it\'s"', "'a\\'b'", "''", "a b", "/p/q.r", "k:v", "${m.n}", "x\\,y"]
scalars = st.sampled_from([*WORDS, *QUOTED])
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(st.tuples(st.sampled_from(["a", "b c", "1"]), inner), max_size=3).map(
            lambda pairs: "{" + ",".join(f"{key}: {item}" for key, item in pairs) + "}"
        ),
    ),
    max_leaves=6,
)


def check(text):
    try:
        expected = theirs(PARSER.parse_override(f"key={text}")._value)
    except (HydraException, NumberAsKeyError):
        return False
    assert ours(read_value(text)) == expected
    return True


@given(values)
@settings(max_examples=400, deadline=None, derandomize=True)
def test_values_are_what_hydra_reads(text):
    check(text)


@given(st.lists(st.sampled_from(PIECES), max_size=7).map("".join))
@settings(max_examples=1500, deadline=None, derandomize=True)
def test_what_hydra_accepts_is_read_the_same(text):
    check(text)


@given(st.lists(values, min_size=2, max_size=4), st.sampled_from(["{}", "choice({})"]))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_choices_are_what_hydra_reads(items, form):
    check(form.format(",".join(items)))


@pytest.mark.parametrize(
    "text",
    [
        "range(5)",
        "range(1,10)",
        "range(1,10,3)",
        "range(start=10,stop=1,step=-2)",
        "range(0,1,0.1)",
        "interval(0,1)",
        "interval(start=1e-7,end=1e-5)",
        "int(interval(1,10))",
        "tag(log,interval(1,10))",
        "tag(a,b,choice(1,2))",
        "sort(3,1,2)",
        "sort(choice(3,1,2),reverse=true)",
        "sort([c,a,b])",
        "float(choice(1,2))",
        "str([1,true,x])",
        "int(3.7)",
        "bool('true')",
        "str({a:1})",
        "int(range(0.5,3.5,1.2))",
        "choice(a,b)",
        "choice([a],[b,c])",
        "choice( 1 , 2 )",
        "choice (1,2)",
        "shuffle(choice(1,2))",
    ],
)
def test_functions_are_what_hydra_makes_of_them(text):
    assert check(text)


def test_a_range_lists_exact_decimals():
    assert [node.value for node in Range(0, 1, 0.1).values()] == [0, *(n / 10 for n in range(1, 10))]
    assert [node.value for node in Range(5, 1, -2).values()] == [5, 3]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("glob(*)", "names of files"),
        ("choice()", "needs values"),
        ("nope(1)", "no function of Hydra"),
        ("range(a,b)", "no number"),
        ("[1,2", "missing"),
        ("{a}", "has no value"),
        ("'x", "not closed"),
        ("${a", "not closed"),
        ("a,", "missing"),
        ("[" * 5000, "too deeply"),
        ("shuffle([1,2])", "write the order"),
        ("[choice(1,2)]", "inside a list"),
        ("interval(1)", "takes start, end"),
    ],
)
def test_a_value_that_cannot_be_read_says_why(text, why):
    with pytest.raises(GrammarFault, match=why.replace("(", r"\(")):
        read_value(text)
