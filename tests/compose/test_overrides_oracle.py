"""Random overrides and `defaults` lists: wherever Hydra and we both accept them, the results are the same."""

import copy
import json
import tempfile
from pathlib import Path

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra_reference import AnyKey, differences, hydra_config
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pettingllms.compose.compose import compose
from pettingllms.compose.overrides import apply_overrides
from pettingllms.compose.tree import Tree
from pettingllms.documents.source import Source

REFUSED = object()
CHECKED = settings(deadline=None, derandomize=True)

# ---- overrides

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
            *("a:b", "(x)", "it\\'s", 'a \\"b\\"'),
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
    return (REFUSED, findings[0].message) if findings else (_without_null_tables(ours.data), None)


def _without_null_tables(value):
    if value == {"null": True}:
        return None
    if isinstance(value, dict):
        return {key: _without_null_tables(item) for key, item in value.items()}
    return [_without_null_tables(item) for item in value] if isinstance(value, list) else value


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


# ---- defaults lists

FILES = ["main", "other", "db/a", "db/b", "net/a", "net/b", "db/deep/a", "db/deep/b"]
CONTENTS = st.dictionaries(
    st.sampled_from(["x", "y", "z", "sect"]),
    SCALARS | st.lists(SCALARS, max_size=2),
    max_size=3,
).map(lambda found: {**found, **({"sect": {"p": found["sect"], "q": [1]}} if "sect" in found else {})})
HEADERS = st.sampled_from([None, None, None, "_global_", "foo", "foo.bar", "_global_.sect"])
PACKAGES = st.sampled_from([None, None, None, "pkg", "pkg.sub", "sect", "_global_", "_here_", "_global_.top"])


def group_of(file):
    return file.rpartition("/")[0]


@st.composite
def entries(draw, number):
    """One entry in file `number`; it includes later files only, so that there is no circle."""
    own = group_of(FILES[number])
    target = draw(st.sampled_from(FILES[number + 1 :]))
    group, _, name = target.rpartition("/")
    package = draw(PACKAGES)
    below = not own or group == own or group.startswith(f"{own}/")
    relative = group[len(own) :].lstrip("/") if below else None
    written = f"/{group}" if relative is None or (group and draw(st.booleans())) else relative
    if own == "db" and group == "net" and package is not None:
        written = draw(st.sampled_from([written, "../net"]))
    at = f"@{package}" if package is not None else ""
    if not written or draw(st.integers(0, 4)) == 0:
        return f"{written}/{name}{at}" if written else f"{name}{at}"
    options = [name, name, name, "a", "b", ["a", "b"], ["b"], None]
    word = draw(st.sampled_from(["", "", "", "", "optional ", "override "]))
    option = draw(st.sampled_from([*options, "nothing"] if word == "optional " else options))
    return {f"{word}{written}{at}": option}


@st.composite
def folders(draw):
    """Files by name: the header, the defaults list or None, and the content."""
    found = {}
    for number, file in enumerate(FILES):
        listed = None
        if number < len(FILES) - 1 and (number == 0 or draw(st.integers(0, 2)) == 0):
            listed = draw(st.lists(entries(number), max_size=3))
            overrides = [
                entry for entry in listed if isinstance(entry, dict) and "override" in next(iter(entry))
            ]
            listed = [entry for entry in listed if entry not in overrides]
            # With nothing but overrides Hydra may lose the file's own content: then `_self_` is written.
            lost = not listed and bool(overrides)
            where = draw(st.integers(0, len(listed)) if lost else st.none() | st.integers(0, len(listed)))
            if where is not None:
                listed.insert(where, "_self_")
            listed += overrides
        header = draw(HEADERS) if number else None
        found[file] = (header, listed, draw(CONTENTS))
    return found


RUN_TIME = st.lists(
    st.sampled_from(
        [
            *(
                "db=b",
                "db=a",
                "net=b",
                "+net=a",
                "+db=b",
                "~db",
                "~net=a",
                "db@pkg=b",
                "net@pkg=a",
                "+net@top=b",
            ),
            *(
                "db/deep=b",
                "+db/deep=a",
                "x=9",
                "+new=1",
                "db.x=5",
                "sect.p=7",
                "++sect.q=1",
                "++pkg.x=null",
                "db=[b,a]",
            ),
        ]
    ),
    max_size=2,
    unique=True,
)


def toml_value(value):
    """A value as TOML on one line; texts and numbers are written as in JSON."""
    if value is None:
        return "{ null = true }"
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {toml_value(item)}' for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    return json.dumps(value)


def write_folder(folder, files, suffixes):
    for (file, (header, listed, content)), suffix in zip(files.items(), suffixes, strict=True):
        data = {**({"defaults": listed} if listed is not None else {}), **content}
        text = f"# @package {header}\n" if header else ""
        if suffix == ".toml":
            text += "".join(f"{key} = {toml_value(value)}\n" for key, value in data.items())
        else:
            text += "".join(f"{key}: {json.dumps(value)}\n" for key, value in data.items())
        path = (folder / file).with_suffix(suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def composed_by_hydra(folder, overrides):
    try:
        return OmegaConf.to_container(hydra_config(folder, "main", overrides))
    except (HydraException, OmegaConfBaseException, ValueError, RecursionError):
        # Hydra does not look for circles, nor check what an override of a group holds.
        return REFUSED


def composed_by_us(path, overrides):
    composition = compose(path, overrides, schema=AnyKey())
    findings = [finding.message for finding in composition.findings]
    return _without_null_tables(composition.tree.data), findings


def test_random_defaults_lists_agree_with_hydra():
    both = []

    @settings(CHECKED, max_examples=150)
    @given(folders(), RUN_TIME, st.lists(st.sampled_from([".yaml", ".toml"]), min_size=8, max_size=8))
    def check(files, overrides, suffixes):
        with tempfile.TemporaryDirectory() as name:
            as_yaml, mixed = Path(name) / "yaml", Path(name) / "mixed"
            write_folder(as_yaml, files, [".yaml"] * len(FILES))
            write_folder(mixed, files, suffixes)
            theirs = composed_by_hydra(as_yaml, overrides)
            if theirs is not REFUSED:
                both.append(overrides)
                for main in (as_yaml / "main.yaml", next(mixed.glob("main.*"))):
                    ours, findings = composed_by_us(main, overrides)
                    assert findings == []
                    assert differences(ours, theirs) == []

    check()
    assert len(both) > 50


A, B = {"x": 1}, {"y": 2}


@pytest.mark.parametrize(
    ("files", "overrides", "result"),
    [
        ({"main": [{"net": "a"}], "net/a": ("foo", A)}, ["~net"], {}),
        ({"main": [{"net": "a"}], "net/a": ("foo", A)}, ["~net=a"], {}),
        ({"main": [{"net": "a"}, "_self_"], "net/b": (None, B)}, ["net=b"], {"net": {"y": 2}}),
        ({"main": [{"net@p": ["a", "b"]}, {"net@p": "b"}], "net/b": (None, B)}, [], {"p": {"y": 2}}),
        ({"main": [{"net": "a"}, {"override net": "b"}], "net/b": (None, B)}, [], {"net": {"y": 2}}),
        ({"main": [{"override net": "b"}], "net/b": (None, B)}, [], REFUSED),
        ({"main": [{"net": "a"}, {"net": "b"}]}, [], REFUSED),
        ({"main": [{"net": "a"}, {"net": "a"}], "net/a": (None, A)}, [], REFUSED),
        ({"main": [{"net": "a"}]}, ["~net=b"], REFUSED),
        ({"main": [{"net": "a"}]}, ["net@p=b"], REFUSED),
        ({"main": [{"net": "c"}]}, [], REFUSED),
        ({"main": [{"optional net": "c"}]}, [], {}),
        ({"main": [{"net": "???"}]}, [], REFUSED),
    ],
)
def test_a_corner_of_defaults_lists_is_as_in_hydra(files, overrides, result, tmp_path):
    main = (None, files["main"], {})
    parts = {name: (files[name][0], None, files[name][1]) for name in files if name != "main"}
    every = {name: (None, None, {}) for name in FILES} | {"main": main} | parts
    write_folder(tmp_path, every, [".yaml"] * len(FILES))
    theirs = composed_by_hydra(tmp_path, overrides)
    assert theirs is REFUSED if result is REFUSED else theirs == result
    ours, findings = composed_by_us(tmp_path / "main.yaml", overrides)
    if result is REFUSED:
        assert findings
    else:
        assert (ours, findings) == (result, [])
