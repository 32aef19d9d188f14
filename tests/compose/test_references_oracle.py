"""References against OmegaConf: the same trees, the same texts, the same values."""

import math
import random
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import Container, OmegaConf

from pettingllms.compose.references import resolve_references
from pettingllms.compose.resolvers import PURE

ENVIRONMENT = {
    "WORD": "word",
    "NUMBER": "12",
    "KEY": "a",
    "EMPTY": "",
    "ODD": "a: [1, {b: 2}",
    "LOOK": "${a}",
}
NAMES = [*ENVIRONMENT, "ABSENT"]
# What we refuse and OmegaConf writes as Python code; and the limits that keep a bad file from hanging.
DELIBERATE = ("cannot be part of a text", "default of oc.env is a text", "nested", "more than")


@pytest.fixture(scope="module", autouse=True)
def omegaconf():
    """OmegaConf with our resolvers and the environment of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.delenv("ABSENT", raising=False)
        for name, function in PURE.items():
            OmegaConf.register_new_resolver(name, lambda *given, f=function: f([plain(one) for one in given]))
        yield
        OmegaConf.clear_resolvers()


def plain(value):
    """Containers that resolvers were given, or that ended up inside plain lists."""
    if isinstance(value, Container):
        return OmegaConf.to_container(value, resolve=True)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def theirs(tree):
    """What OmegaConf makes of `tree`, or the exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            return plain(OmegaConf.to_container(OmegaConf.create(tree), resolve=True))
        except Exception as error:
            return error


def same(one, other):
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (isinstance(one, float) and math.isnan(one) and math.isnan(other))


def compare(tree):
    """Both give the same tree, or both refuse it; only `DELIBERATE` reasons may be ours alone.

    Returns whether OmegaConf resolved it. There is nothing that it refuses and we accept.
    """
    expected, ours = theirs(tree), resolve_references(tree)
    if isinstance(expected, Exception):
        assert ours.findings, (tree, ours.data, expected)
        return False
    refused = [f.message for f in ours.findings if not any(reason in f.message for reason in DELIBERATE)]
    assert not refused, (tree, expected)
    assert ours.findings or same(ours.data, expected), (tree, ours.data, expected)
    return True


class Author:
    """Writes random trees whose references mostly lead somewhere."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.tree = {}
        self.paths = []

    def write(self):
        one = self.random
        self.tree = {key: self.value(0) for key in one.sample("abcd", one.randint(2, 4))}
        self.tree |= {
            "word": one.choice("abcd"),
            "path": one.choice(["a.b", "c", "a", ".d", "b[0]", "b.0", ""]),
        }
        for _ in range(one.randint(1, 4)):
            self.paths = list(self.walk(self.tree, ()))
            holders = [(), *(path for path, value in self.paths if isinstance(value, dict | list))]
            holder = one.choice(holders)
            section = self.tree
            for key in holder:
                section = section[key]
            if isinstance(section, list):
                section.append(self.text((*holder, len(section))))
            else:
                key = one.choice(["a", "b", "e", "f"])
                section[key] = self.text((*holder, key))
        return self.tree

    def value(self, depth):
        one = self.random
        kind = one.random()
        if depth < 3 and kind < 0.3:
            return {key: self.value(depth + 1) for key in one.sample("abcd", one.randint(0, 3))}
        if depth < 3 and kind < 0.45:
            return [self.value(depth + 1) for _ in range(one.randint(0, 3))]
        return one.choice(
            [*range(-2, 5), 2.0, 0.1, 1e-6, True, False, None, "", "x", "a", "a b", "7", "???", "\\\\"]
        )

    def walk(self, value, path):
        items = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        )
        for key, item in items:
            yield (*path, key), item
            yield from self.walk(item, (*path, key))

    def text(self, path):
        one = self.random
        if one.random() < 0.7:
            return self.reference(path)
        filling = ["x", "-", "\\", "\\\\", "$", "\\${a}", " ", "}", "{", "'", "é"]
        pieces = [one.choice([self.reference(path), one.choice(filling)]) for _ in range(one.randint(2, 4))]
        return "".join(pieces)

    def inside(self, path, depth):
        """The inside of a reference, or the key of `oc.select`."""
        one = self.random
        target = one.choice(self.paths)[0]
        if one.random() < 0.1:
            target = (*target[:-1], one.choice(["a", "zz", 0, 7, -1]))
        dots, keys = 0, target
        if one.random() < 0.4:
            shared = 0
            while shared < min(len(path), len(target)) - 1 and path[shared] == target[shared]:
                shared += 1
            shared = one.randint(0, shared)
            dots, keys = len(path) - shared, target[shared:]
        if one.random() < 0.05:
            dots += 1
        text = "." * dots
        for position, key in enumerate(keys):
            word = self.reference(path, depth + 1) if depth < 2 and one.random() < 0.1 else str(key)
            if depth < 2 and one.random() < 0.05:
                word = one.choice(["${word}", "${path}"])
            bracket = one.random() < 0.2
            text += f"[{word}]" if bracket else word if position == 0 else f".{word}"
        return text

    def reference(self, path, depth=0):
        one = self.random
        if one.random() < 0.55:
            return f"${{{self.inside(path, depth)}}}"
        name = one.choice(["oc.env", "oc.env", "oc.select", "oc.select", "oc.select", "oc.decode", *PURE])
        words = ["null", "5", "x y", "'q'", "[1,x]", "1e-5", "", "true", "{k: 1}", "~", "a\\,b"]
        deeper = depth < 2 and one.random() < 0.5
        if name == "oc.env":
            arguments = [one.choice(NAMES)]
        elif name == "oc.select":
            key = self.inside(path, depth)
            arguments = [f"'{key}'" if "[" in key or one.random() < 0.2 else key]
        elif name == "oc.decode":
            texts = [
                "'[1, 2]'",
                "'{a: 1, b: [x]}'",
                "12",
                "null",
                "'1e-3'",
                "${oc.env:NUMBER}",
                "'\\${word}'",
            ]
            arguments = [self.reference(path, depth + 1) if deeper else one.choice(texts)]
        else:
            numbers = ["2", "0.5", "-3", "1_000", "x", "[1,2]", "0"]
            count = one.choice([1, 2, 2, 2, 3])
            arguments = [
                self.reference(path, depth + 1) if depth < 2 and one.random() < 0.3 else one.choice(numbers)
                for _ in range(count)
            ]
        if name in ("oc.env", "oc.select") and one.random() < 0.7:
            arguments.append(self.reference(path, depth + 1) if deeper else one.choice(words))
        return f"${{{name}:{one.choice([',', ', ', ' , ']).join(arguments)}}}"


@settings(deadline=None, derandomize=True, max_examples=2000)
@given(st.integers(0, 2**40))
def test_trees_resolve_as_omegaconf_resolves_them(seed):
    compare(Author(seed).write())


PIECES = (
    *(
        "a",
        "x",
        "-",
        "_",
        "1",
        "0",
        "1_0",
        ".",
        "e5",
        "+",
        "inf",
        "nan",
        "true",
        "null",
        "y",
        "é",
        "~",
        "=",
        "(",
    ),
    *("\t", ",", ":", '"', "\\\\", "${", "{", "[", "]", "${oc.env:", "/", "*", "%", "@", "?", "|", "\n"),
    *(" ", "}", "\\", "'", "${x}", "${y.a}", "$") * 3,
)


@pytest.mark.parametrize(
    "place", ["${oc.decode:${oc.env:WORD}}", "{}", "${oc.select:z,{}}", "${oc.select:z,'{}'}"]
)
@settings(deadline=None, derandomize=True, max_examples=300)
@given(seed=st.integers(0, 2**40))
def test_texts_are_read_by_the_same_grammar(place, seed):
    one = random.Random(seed)
    text = "".join(one.choices(PIECES, k=one.randint(1, 7)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORD", text)
        compare({"x": "k", "y": {"a": 1}, "k": 2, "v": place.replace("{}", text)})


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("null", None),
        ("NULL", None),
        ("true", True),
        ("False", False),
        ("12", 12),
        ("-1_000", -1000),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e-6", 1e-6),
        ("1e5", 1e5),
        ("-inf", -math.inf),
        ("nan", math.nan),
        ("007", "007"),
        ("1__0", "1__0"),
        ("1.2.3", "1.2.3"),
        ("two words", "two words"),
        ("a/b-c+d.e$f%g*h@i?j|k", "a/b-c+d.e$f%g*h@i?j|k"),
        ("a:b : c", "a:b : c"),
        ("nano", "nano"),
        ("' a, b '", " a, b "),
        ('"it\'s"', "it's"),
        (r"'it\'s'", "it's"),
        (r"a\,b\ \[c\]", "a,b [c]"),
        (r"back\slash", r"back\slash"),
        ("'1'", "1"),
        ("[]", []),
        ("[1, a b, 'c', [null]]", [1, "a b", "c", [None]]),
        ("[,]", ["", ""]),
        ("{}", {}),
        ("{a: 1, b c: [x], 2: d:e}", {"a": 1, "b c": ["x"], 2: "d:e"}),
        ("${x}-${y.a}", "k-1"),
        ("[${y.a}, ${y}]", [1, {"a": 1}]),
        ("'${y.a}'", "1"),
    ],
)
def test_arguments_have_the_types_that_omegaconf_gives_them(written, meant):
    tree = {"x": "k", "y": {"a": 1}, "v": f"${{oc.select:z,{written}}}"}
    assert same(theirs(tree)["v"], meant)
    assert same(resolve_references(tree).data["v"], meant)


def test_most_written_trees_resolve():
    """The comparison above would prove little if most trees were refused."""
    assert sum(compare(Author(seed).write()) for seed in range(300)) > 60
