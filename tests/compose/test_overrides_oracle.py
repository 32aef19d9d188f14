"""Random overrides: wherever Hydra and we both accept them, the results are the same."""

import copy

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra_reference import AnyKey, differences, without_null_tables
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pettingllms.compose.overrides import apply_overrides
from pettingllms.compose.tree import Tree
from pettingllms.documents.source import Source

REFUSED = object()
CHECKED = settings(deadline=None, derandomize=True)

KEYS = st.sampled_from(["a", "b", "c", "d", "k-1", "_x"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 1000),
    st.sampled_from([0.5, 1e-6, 2.0]),
    st.sampled_from(["", "x", "y z", "7"]),
)
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS | st.lists(SCALARS, max_size=3),
        lambda below: st.dictionaries(KEYS, below, max_size=3),
        max_leaves=8,
    ),
    max_size=5,
)
WORDS = st.sampled_from(
    [
        *("x", "foo-bar_10", "a/b/c.yaml", "ck/*", "qwen2_7b", "Qwen/Qwen3-1.7B", "3B", "1a", "a@b", "100%"),
        *(
            "a.b",
            "x y",
            "~/m",
            "-",
            "a:b",
            "http://x/y",
            "$HOME",
            "-x",
            "1-2",
            "1:2",
            "cuda:0",
            "None",
            "yes",
        ),
        *(
            "no",
            "on",
            "nullx",
            "true story",
            "$x",
            "?",
            "a|b",
            "12 monkeys",
            "1 2",
            "..",
            "v1.2.3",
            "+x",
            "*",
        ),
        *("2024-10-15", "12:30:45", "1979-05-27T07:32:00Z", "a=b"),
    ]
)
NUMBERS = st.sampled_from(
    [
        *("0", "7", "-3", "+5", "1_000", "99999999999", "1.5", "-0.5", ".5", "2.", "1e5", "1e-6", "5E-6"),
        *("-1e+3", "1_0.5", "inf", "-inf", "nan", "1e999", "017", "007"),
    ]
)
LITERALS = st.sampled_from(["true", "True", "FALSE", "false", "null", "Null", "NULL"])
QUOTED = st.builds(
    "{0}{1}{0}".format,
    st.sampled_from(["'", '"']),
    st.sampled_from(
        [
            *("", "x", "a b", "a=b", "a, b", "[1]", "{a: 1}", "7", "true", "null", "${a}", "#", " x ", "é"),
            *("a:b", "(x)", 'a \\"b\\"'),
        ]
    ),
)
REFERENCES = st.sampled_from(["${a}", "${a.b}", "x-${a}", "${oc.env:HOME}", "${.b}"])
VALUES = st.recursive(
    NUMBERS | LITERALS | WORDS | QUOTED | REFERENCES,
    lambda value: st.one_of(
        st.builds(
            lambda items, comma: f"[{comma.join(items)}]",
            st.lists(value, max_size=3),
            st.sampled_from([",", ", "]),
        ),
        st.builds(
            lambda items, colon: "{" + ", ".join(f"{key}{colon}{item}" for key, item in items.items()) + "}",
            st.dictionaries(KEYS, value, max_size=3),
            st.sampled_from([":", ": "]),
        ),
    ),
    max_leaves=5,
)
PATHS = st.lists(KEYS, min_size=1, max_size=3).map(".".join)


def paths_of(tree, above=""):
    """The dotted path of every key."""
    for key, value in tree.items():
        yield above + key
        if isinstance(value, dict):
            yield from paths_of(value, f"{above}{key}.")


@st.composite
def overridden_trees(draw):
    """A tree and one to three overrides, mostly of keys that it has."""
    tree = draw(TREES)
    known = sorted(paths_of(tree))
    paths = st.one_of(st.sampled_from(known), st.sampled_from(known), PATHS) if known else PATHS
    overrides = st.one_of(
        st.builds("{}{}={}".format, st.sampled_from(["", "+", "++"]), paths, VALUES | st.just("")),
        st.builds("~{}".format, paths),
        st.builds("~{}={}".format, paths, VALUES),
    )
    return tree, draw(st.lists(overrides, min_size=1, max_size=3))


def by_hydra(tree, texts):
    """The tree after Hydra's overrides, or REFUSED."""
    config = OmegaConf.create(copy.deepcopy(tree))
    OmegaConf.set_struct(config, True)
    try:
        parsed = OverridesParser.create().parse_overrides(list(texts))
        if any(override.is_sweep_override() for override in parsed):
            return REFUSED
        ConfigLoaderImpl._apply_overrides_to_config(parsed, config)
    except (HydraException, OmegaConfBaseException, TypeError, ValueError, AttributeError):
        # The last three are what Hydra answers to a key below a list or a plain value.
        return REFUSED
    return OmegaConf.to_container(config)


# What Hydra accepts and we refuse: all of it would replace a section by a value, or the other way round,
# or add a key that is there.
REASONS = ("is a section; ", "is not a section", "is a list; set it whole", "is already set")


def by_us(tree, texts):
    """The tree after our overrides, or REFUSED; and the message of the first fault."""
    ours = Tree(Source("x.toml", ""), copy.deepcopy(tree))
    findings = apply_overrides(ours, list(texts), AnyKey())
    return (REFUSED, findings[0].message) if findings else (without_null_tables(ours.data), None)


def test_random_overrides_agree_with_hydra():
    both = []

    @settings(CHECKED, max_examples=500)
    @given(overridden_trees())
    def check(case):
        tree, texts = case
        theirs, (ours, fault) = by_hydra(tree, texts), by_us(tree, texts)
        if theirs is not REFUSED and ours is not REFUSED:
            both.append(texts)
            assert differences(ours, theirs) == []
        elif theirs is not REFUSED:
            assert any(reason in fault for reason in REASONS)

    check()
    assert len(both) > 100


@settings(CHECKED, max_examples=300)
@given(VALUES)
def test_a_value_that_hydra_reads_is_read_the_same(value):
    tree, texts = {"a": {"b": 1}}, [f"+new={value}"]
    theirs = by_hydra(tree, texts)
    if theirs is not REFUSED:
        ours, fault = by_us(tree, texts)
        assert fault is None
        assert differences(ours, theirs) == []


@pytest.mark.parametrize(
    ("value", "ours", "theirs"),
    [
        ("0x10", 16, "0x10"),
        ("0b1", 1, "0b1"),
        ("0o17", 15, "0o17"),
        ('"a\\tb"', "a\tb", "a\\tb"),
        ("'it\\'s'", "'it\\'s'", "it's"),
        ("a\\,b", "a\\,b", "a,b"),
        ("c:\\(x\\)", "c:\\(x\\)", "c:(x)"),
        ("{1: x}", {"1": "x"}, {1: "x"}),
        ("{true: x}", {"true": "x"}, {True: "x"}),
        ("str(5)", "str(5)", "5"),
        ("a,b", "a,b", REFUSED),
        ("choice(a, b)", "choice(a, b)", REFUSED),
    ],
)
def test_where_a_value_is_read_in_another_way_than_by_hydra(value, ours, theirs):
    """TOML is tried first, else it is text as it stands: no escapes, no functions; keys are text."""
    assert by_us({}, [f"+a={value}"]) == ({"a": ours}, None)
    hydra = by_hydra({}, [f"+a={value}"])
    assert hydra is REFUSED if theirs is REFUSED else hydra == {"a": theirs}


def test_a_word_in_the_place_of_a_section_is_refused_where_hydra_replaces_the_section():
    tree = {"env": {"name": "math_env"}}
    assert by_hydra(tree, ["env=code"]) == {"env": "code"}
    ours, fault = by_us(tree, ["env=code"])
    assert ours is REFUSED
    assert fault == "env is a section; env=code would replace it by one value"
