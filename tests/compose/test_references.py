"""References."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettingllms.compose.references import resolve_references, source_of

TREE = {"a": {"b": 1, "c": [10, {"d": "x"}]}, "t": True, "n": None}


def resolve(value):
    return resolve_references({**TREE, "v": value})


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("${a.b}", 1),
        ("${t}", True),
        ("${n}", None),
        ("${a.c}", [10, {"d": "x"}]),
        ("${a}", {"b": 1, "c": [10, {"d": "x"}]}),
        ("${a.c.1.d}", "x"),
        ("${a.c[0]}", 10),
        ("${ a.b }", 1),
        ("run-${a.b}-${t}", "run-1-True"),
        ("\\${a.b}", "${a.b}"),
        ("\\${a} ${a.b}", "${a} 1"),
        ("no $reference {here}", "no $reference {here}"),
    ],
)
def test_a_reference_is_replaced(written, meant):
    resolution = resolve(written)
    assert resolution.findings == []
    assert resolution.data["v"] == meant


def test_references_are_followed_through_references():
    tree = {"x": "${y.z}", "y": "${w}", "w": {"z": "${q}"}, "q": 5}
    resolution = resolve_references(tree)
    assert resolution.data == {"x": 5, "y": {"z": 5}, "w": {"z": 5}, "q": 5}
    assert source_of(("x",), resolution.origins) == ("q",)
    assert source_of(("y", "z"), resolution.origins) == ("q",)


@pytest.mark.parametrize(
    ("written", "code", "words", "help_words"),
    [
        ("${a.bb}", "PLM201", "no key a.bb", "did you mean ${a.b}?"),
        ("${b}", "PLM201", "no key b", "refer to"),
        ("${a.c.7}", "PLM201", "no key a.c.7", ""),
        ("${oc.env:HOME}", "PLM203", "resolver 'oc.env'", ""),
        ("${.b}", "PLM203", "relative", ""),
        ("${a.${t}}", "PLM203", "inside a reference", ""),
        ("${a.b", "PLM203", "not closed", "\\${"),
        ("${}", "PLM203", "not a path", ""),
        ("${a..b}", "PLM203", "not a path", ""),
        ("x ${a}", "PLM203", "a is a section", ""),
    ],
)
def test_a_bad_reference_is_one_finding_and_spoils_nothing_else(written, code, words, help_words):
    resolution = resolve_references({**TREE, "v": written, "good": "${a.b}", "again": "${v}"})
    (finding,) = resolution.findings
    assert (finding.code, finding.path) == (code, ("v",))
    assert words in finding.message
    assert help_words in (finding.help or "")
    assert resolution.data["good"] == 1
    assert resolution.broken == {("v",), ("again",)}


def test_a_circle_is_reported_once_with_its_chain():
    resolution = resolve_references({"a": "${b}", "b": "${c}", "c": "${a}"})
    (finding,) = resolution.findings
    assert finding.code == "PLM202"
    assert "a → b → c → a" in finding.message


def test_a_section_cannot_hold_itself():
    (finding,) = resolve_references({"a": {"b": "${a}"}}).findings
    assert finding.code == "PLM202"


def test_references_that_double_each_time_are_refused():
    tree = {"x0": "0123456789"} | {f"x{n}": f"${{x{n - 1}}}${{x{n - 1}}}" for n in range(1, 40)}
    assert {f.code for f in resolve_references(tree).findings} == {"PLM203"}
    tree = {"x0": {"k": 1}} | {f"x{n}": {"l": f"${{x{n - 1}}}", "r": f"${{x{n - 1}}}"} for n in range(1, 30)}
    assert {f.code for f in resolve_references(tree).findings} == {"PLM203"}


def test_a_long_chain_is_refused_and_not_a_crash():
    tree = {f"x{n}": f"${{x{n + 1}}}" for n in range(2000)} | {"x2000": 1}
    assert {f.code for f in resolve_references(tree).findings} == {"PLM203"}


WORDS = st.text(alphabet="ab.${}\\: 01[]", max_size=12)


@given(st.recursive(WORDS, lambda inner: st.dictionaries(st.sampled_from("ab"), inner) | st.lists(inner)))
def test_any_tree_resolves_or_is_explained(value):
    resolution = resolve_references({"a": value, "b": "${a}"})
    assert bool(resolution.broken) <= bool(resolution.findings)
