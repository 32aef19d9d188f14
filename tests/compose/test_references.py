"""References."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettingllms.compose.references import Fallback, get_through, resolve_references, source_of
from pettingllms.compose.stored import stored_tree

TREE = {"a": {"b": 1, "c": [10, {"d": "x"}]}, "t": True, "n": None, "k": "b", "m": "???", "f": 0.5, "w": "12"}
ENVIRONMENT = {"MODEL": "org/model-7b", "GPUS": "8", "KEY": "b", "EMPTY": ""}


def resolve(value):
    return resolve_references({**TREE, "v": value}, ENVIRONMENT)


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
        ("${a[c][1][d]}", "x"),
        ("${[a].b}", 1),
        ("${ a.b }", 1),
        ("${.a.b}", 1),
        ("${a.${k}}", 1),
        ("${a.${oc.env:KEY}}", 1),
        ("run-${a.b}-${t}-${n}", "run-1-True-None"),
        ("\\${a.b}", "${a.b}"),
        ("\\${a} ${a.b}", "${a} 1"),
        ("\\\\${a.b}", "\\1"),
        ("no $reference {here}", "no $reference {here}"),
        ("C:\\\\dir", "C:\\\\dir"),
        ("${oc.env:MODEL}", "org/model-7b"),
        ("${oc.env:MODEL,other}", "org/model-7b"),
        ("${oc.env:NOPE,other/model}", "other/model"),
        ("${oc.env:NOPE,null}", None),
        ("${oc.env:NOPE,4}", "4"),
        ("${oc.env:NOPE,true}", "True"),
        ("${oc.env:EMPTY,4}", ""),
        ("${oc.decode:${oc.env:GPUS}}", 8),
        ("${oc.decode:null}", None),
        ("${oc.decode:'[1, ${a.b}]'}", [1, 1]),
        ("${oc.select:a.b,7}", 1),
        ("${oc.select:.a.b,7}", 1),
        ("${oc.select:a.x,7}", 7),
        ("${oc.select:a.b.x,7}", 7),
        ("${oc.select:a.x}", None),
        ("${oc.select:n,7}", None),
        ("${oc.select:m,7}", 7),
        ('${oc.select:a.x,"~/models/a b"}', "~/models/a b"),
        ("${oc.select:'a.c[1]'}", {"d": "x"}),
        ("${mul:${a.b},2}", 2),
        ("${mul:2,3,4}", 24),
        ("${mul:${f},2}", 1.0),
        ("${add:${a.b},-3}", -2),
        ("${add:0.5,1}", 1.5),
        ("${div:8,2}", 4),
        ("${div:7,2}", 3.5),
        ("${div:8.0,2}", 4.0),
        ("${min:3,1.5,2}", 1.5),
        ("${max:[3,1,2]}", 3),
        ("${max:5}", 5),
        ("${len:${a.c}}", 2),
        ("${len:${a}}", 2),
        ("${len:word}", 4),
        ("${div:${mul:${len:${a.c}},${a.b}},4}", 0.5),
    ],
)
def test_a_reference_is_replaced(written, meant):
    resolution = resolve(written)
    assert resolution.findings == []
    assert resolution.data["v"] == meant
    assert type(resolution.data["v"]) is type(meant)


def test_references_are_followed_through_references():
    tree = {"x": "${y.z}", "y": "${w}", "w": {"z": "${q}"}, "q": 5}
    resolution = resolve_references(tree)
    assert resolution.data == {"x": 5, "y": {"z": 5}, "w": {"z": 5}, "q": 5}
    assert source_of(("x",), resolution.origins) == ("q",)
    assert source_of(("y", "z"), resolution.origins) == ("q",)
    assert get_through(tree, ("w", "z")) == "${q}"


def test_relative_references_start_where_they_are_written():
    tree = {
        "top": 1,
        "s": {
            "top": 2,
            "one": "${.top}",
            "two": "${..top}",
            "deep": {"top": 3, "x": "${..top}", "y": "${...top}"},
        },
        "list": [5, "${.0}", {"z": "${..0}"}],
        "copy": "${s}",
    }
    resolution = resolve_references(tree)
    section = {"top": 2, "one": 2, "two": 1, "deep": {"top": 3, "x": 2, "y": 1}}
    assert resolution.data == {"top": 1, "s": section, "list": [5, 5, {"z": 5}], "copy": section}
    assert source_of(("copy", "deep", "x"), resolution.origins) == ("s", "top")
    assert source_of(("list", 2, "z"), resolution.origins) == ("list", 0)


@pytest.mark.parametrize(
    ("written", "code", "words", "help_words"),
    [
        ("${a.bb}", "PLM201", "no key a.bb (InterpolationKeyError)", "did you mean ${a.b}?"),
        ("${.a.bb}", "PLM201", "no key a.bb", "did you mean ${.a.b}?"),
        ("${b}", "PLM201", "no key b", "refer to"),
        ("${a.c.7}", "PLM201", "no key a.c.7", ""),
        ("${a.c.x}", "PLM201", "no key a.c.x", ""),
        ("${a.b.x}", "PLM201", "no key a.b.x", ""),
        ("${..a}", "PLM201", "above the root", "take away a dot"),
        ("${m}", "PLM201", "m is ???, which must be set", "give it a value"),
        ("${mul:${m},2}", "PLM201", "m is ???", ""),
        ("${oc.env:NOPE}", "PLM203", "environment variable NOPE is not set", "write a default"),
        ("${oc.env:}", "PLM203", "oc.env takes the name", "${oc.env:NAME,default}"),
        ("${oc.env:1}", "PLM203", "oc.env takes the name", ""),
        ("${oc.env:NOPE,[1]}", "PLM203", "not a list", ""),
        ("${oc.select:1}", "PLM203", "oc.select takes a key", ""),
        ("${oc.select:a.c.x,1}", "PLM203", "whole number", ""),
        ("${oc.decode:'['}", "PLM203", "oc.decode cannot read", ""),
        ("${oc.decode:${a.b}}", "PLM203", "oc.decode takes one text, not an integer", ""),
        ("${oc.evn:MODEL}", "PLM203", "no resolver 'oc.evn'", "did you mean oc.env?"),
        ("${foo:1}", "PLM203", "no resolver 'foo'", "there are add, div"),
        ("${mul:${w},2}", "PLM203", "mul takes numbers, not a text", "oc.decode"),
        ("${mul:${t},2}", "PLM203", "mul takes numbers, not true or false", ""),
        ("${add:1}", "PLM203", "add takes two or more numbers", ""),
        ("${div:1,0}", "PLM203", "div cannot divide by zero", ""),
        ("${div:1,2,3}", "PLM203", "div takes two numbers", ""),
        ("${min:}", "PLM203", "min takes numbers, or one list of them", ""),
        ("${len:3}", "PLM203", "len takes one list, section or text, not an integer", ""),
        ("${mul:9000000000000000000,2}", "PLM203", "64 bits", ""),
        ("${a.${t}}", "PLM203", "inside a path must be a text, not true or false", "quotes"),
        ("${a.b", "PLM203", "not closed", "\\${"),
        ("x ${oc.env:A", "PLM203", "not closed", "\\${"),
        ("${oc.env:A,'b}", "PLM203", "quote ' is not closed", ""),
        ("${oc.env:A,~/b}", "PLM203", "'~' cannot stand here", "in quotes"),
        ("${}", "PLM203", "not a path", ""),
        ("${a..b}", "PLM203", "not a path", ""),
        ("${1a:x}", "PLM203", "not a name", ""),
        ("x ${a}", "PLM203", "a is a section", ""),
        ("x ${a.c}", "PLM203", "a.c is a list", ""),
    ],
)
def test_a_bad_reference_is_one_finding_and_spoils_nothing_else(written, code, words, help_words):
    tree = {**TREE, "v": written, "good": "${a.b}", "again": "${v}"}
    resolution = resolve_references(tree, ENVIRONMENT)
    (finding,) = resolution.findings
    assert (finding.code, finding.path) == (code, ("v",))
    assert words in finding.message
    assert help_words in (finding.help or "")
    assert resolution.data["good"] == 1
    assert resolution.data["v"] == written
    assert resolution.broken == {("v",), ("again",)}


def test_a_copy_of_a_section_is_broken_only_where_the_section_is():
    resolution = resolve_references({"s": {"bad": "${nope}", "good": 1}, "copy": "${s}", "n": "${len:${s}}"})
    assert [finding.path for finding in resolution.findings] == [("s", "bad")]
    assert resolution.broken == {("s", "bad"), ("copy", "bad"), ("n",)}
    assert resolution.data["copy"] == {"bad": "${nope}", "good": 1}


def test_a_circle_is_reported_once_with_its_chain():
    resolution = resolve_references({"a": "${b}", "b": "${c}", "c": "x ${a}", "d": 1, "e": "${d}"})
    (finding,) = resolution.findings
    assert finding.code == "PLM202"
    assert "a → b → c → a" in finding.message
    assert resolution.broken == {("a",), ("b",), ("c",)}
    assert resolution.data["e"] == 1


@pytest.mark.parametrize(
    "tree",
    [
        {"a": {"b": "${a}"}},
        {"a": {"b": "${c}"}, "c": {"x": "${a}"}},
        {"a": ["${len:${a}}"]},
        {"a": "${oc.select:a,1}"},
        {"a": {"b": "${oc.select:.}"}},
        {"a": "${.${a}}"},
        {"a": "${oc.decode:'\\${a}'}"},
    ],
)
def test_a_value_cannot_hold_itself(tree):
    (finding,) = resolve_references(tree).findings
    assert finding.code == "PLM202"


def test_values_of_the_environment_are_marked_wherever_they_go():
    tree = {
        "base": {"path": "${oc.env:MODEL}", "name": "x"},
        "direct": "${base.path}",
        "text": "run of ${base.path}",
        "copy": "${base}",
        "copies": [{"inner": "${copy}"}],
        "size": "${len:${base.path}}",
        "chosen": "${base[${oc.env:NOPE,name}]}",
        "fallback": "${oc.env:NOPE,plain}",
        "counted": "${len:${base}}",
        "plain": "${base.name}",
    }
    resolution = resolve_references(tree, ENVIRONMENT)
    assert resolution.findings == []
    assert resolution.from_environment == {
        ("base", "path"): "${oc.env:MODEL}",
        ("direct",): "${base.path}",
        ("text",): "run of ${base.path}",
        ("copy", "path"): "${base.path}",
        ("copies", 0, "inner", "path"): "${base.path}",
        ("size",): "${len:${base.path}}",
        ("chosen",): "${base[${oc.env:NOPE,name}]}",
        ("fallback",): "${oc.env:NOPE,plain}",
        ("counted",): "${len:${base}}",
    }
    assert resolution.secrets["org/model-7b"] == "${oc.env:MODEL}"
    stored = stored_tree(resolution)
    assert "org/model-7b" not in str(stored)
    assert resolve_references(stored, ENVIRONMENT).data == resolution.data


def test_a_copy_whose_key_no_reference_can_name_stays_a_reference_to_the_whole_section():
    tree = {"base": {"odd key": "${oc.env:MODEL}", "b": "${oc.env:GPUS}"}, "copy": {"c": "${base}"}}
    resolution = resolve_references(tree, ENVIRONMENT)
    assert resolution.from_environment[("copy", "c")] == "${base}"
    assert ("copy", "c", "b") not in resolution.from_environment
    assert resolve_references(stored_tree(resolution), ENVIRONMENT).data == resolution.data


def test_a_section_chosen_by_the_environment_stays_a_reference():
    tree = {"a": {"x": 1}, "b": {"x": 2}, "v": "${${oc.env:KEY}}", "w": "${v.x}", "u": {"in": "${v}"}}
    resolution = resolve_references(tree, ENVIRONMENT)
    assert resolution.data["v"] == {"x": 2}
    assert resolution.from_environment == {
        ("v",): "${${oc.env:KEY}}",
        ("w",): "${v.x}",
        ("u", "in"): "${v}",
    }


@pytest.mark.parametrize(
    "written",
    [
        "${a.${oc.env:MODEL}}",
        "${mul:${oc.env:MODEL},2}",
        "${oc.decode:'[${oc.env:MODEL}'}",
        "${oc.env:${oc.env:MODEL}}",
        "${${oc.env:MODEL}:1}",
        "${oc.select:${oc.env:MODEL},1}",
        "${.....${oc.env:MODEL}}",
    ],
)
def test_no_finding_shows_a_value_of_the_environment(written):
    resolution = resolve(written)
    told = [resolution.findings, resolution.fallbacks, resolution.absolute_misses]
    assert "model-7b" not in str(told)
    assert resolution.findings or "select" in written


def test_defaults_of_select_and_missed_absolute_keys_are_told():
    tree = {
        "m": {
            "one": "${oc.select:actor.path,x}",
            "two": "${oc.select:.size,null}",
            "three": "${oc.select:m.one,1}",
            "four": "${data.length}",
            "five": "${.nope}",
        }
    }
    resolution = resolve_references(tree)
    assert resolution.fallbacks == [
        Fallback(("m", "one"), ("actor", "path"), relative=False),
        Fallback(("m", "two"), ("m", "size"), relative=True),
    ]
    assert resolution.absolute_misses == [(("m", "four"), ("data", "length"))]
    assert [finding.path for finding in resolution.findings] == [("m", "four"), ("m", "five")]


def test_a_default_is_looked_at_only_where_it_is_needed():
    tree = {"s": {"a": 1, "v": "${oc.select:s.a,${oc.select:s}}"}, "x": "${oc.select:no,${s}}", "y": "${x.a}"}
    resolution = resolve_references(tree)
    assert resolution.findings == []
    assert (resolution.data["s"]["v"], resolution.data["y"]) == (1, 1)


def test_references_that_double_each_time_are_refused():
    tree = {"x0": "0123456789"} | {f"x{n}": f"${{x{n - 1}}}${{x{n - 1}}}" for n in range(1, 40)}
    assert {f.code for f in resolve_references(tree).findings} == {"PLM203"}
    tree = {"x0": {"k": 1}} | {f"x{n}": {"l": f"${{x{n - 1}}}", "r": f"${{x{n - 1}}}"} for n in range(1, 30)}
    assert {f.code for f in resolve_references(tree).findings} == {"PLM203"}
    tree = {"x0": 1} | {f"x{n}": f"${{oc.select:q,[${{x{n - 1}}},${{x{n - 1}}}]}}" for n in range(1, 40)}
    assert {f.code for f in resolve_references(tree).findings} == {"PLM203"}
    tree = {"x0": 10} | {f"x{n}": f"${{mul:${{x{n - 1}}},${{x{n - 1}}}}}" for n in range(1, 40)}
    assert {f.code for f in resolve_references(tree).findings} == {"PLM203"}


def deep(value, levels):
    for _ in range(levels):
        value = {"k": value}
    return value


@pytest.mark.parametrize(
    "tree",
    [
        {f"x{n}": f"${{x{n + 1}}}" for n in range(2000)} | {"x2000": 1},
        {f"x{n}": f"${{len:a${{x{n + 1}}}}}" for n in range(500)} | {"x500": 1},
        {f"x{n}": deep(f"${{x{n + 1}}}", 60) for n in range(60)} | {"x60": 1},
        {"x": "${" * 3000 + "a" + "}" * 3000},
        {"x": "${oc.decode:" + "[" * 3000 + "]" * 3000 + "}"},
        {f"x{n}": "${oc.select:" * 20 + f"x{n + 1}" + "}" * 20 for n in range(60)} | {"x60": "x0"},
    ],
)
def test_what_is_too_deep_is_refused_and_spoils_nothing_else(tree):
    resolution = resolve_references({**tree, "good": "${one}", "one": 1})
    assert {f.code for f in resolution.findings} <= {"PLM203"}
    assert resolution.findings
    assert resolution.data["good"] == 1


WORDS = st.text(alphabet="ab.${}\\: 01[]',", max_size=12)
PARTS = st.lists(st.sampled_from(["${", "}", "a", ".", "b", "oc.select:", "oc.env:", ",", "mul:", "1", "0"]))


@settings(deadline=None, derandomize=True)
@given(
    st.recursive(
        WORDS | PARTS.map("".join),
        lambda inner: st.dictionaries(st.sampled_from("ab"), inner) | st.lists(inner),
    )
)
def test_any_tree_resolves_or_is_explained_and_stored_it_resolves_to_the_same(value):
    environment = {"a": "${b}", "b": "x"}
    resolution = resolve_references({"a": value, "b": "${a}", "c": {"d": "${b}"}}, environment)
    assert bool(resolution.broken) == bool(resolution.findings)
    if not resolution.findings:
        assert resolve_references(stored_tree(resolution), environment).data == resolution.data
