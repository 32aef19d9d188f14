"""What differs between two resolved experiments."""

from pathlib import Path

from pettingllms.compose.difference import Difference, differences
from pettingllms.compose.references import resolve_references
from pettingllms.compose.tree import Tree
from pettingllms.documents.read import parse_document


def side(text, name, environment=None):
    tree = Tree.of(parse_document(text, Path(name)))
    return tree, resolve_references(tree.data, environment or {})


def brief(left, right, environment=None):
    found = differences(side(left, "a.toml", environment), side(right, "b.toml", environment))
    return [(one.kind, ".".join(map(str, one.path)), one.old, one.new) for one in found]


def test_every_difference_has_its_values_and_places():
    left = side("x = 1\n[t]\nk = 'old'\ngone = true\nsame = [1, 2]\n", "a.toml")
    right = side("t:\n  same: [1, 2]\n  k: new\n  added: null\nx: 1\n", "b.yaml")
    assert [
        (one.kind, one.path, one.old, one.new, str(one.old_place), str(one.new_place))
        for one in differences(left, right)
    ] == [
        ("changed", ("t", "k"), "old", "new", "a.toml:3", "b.yaml:3"),
        ("removed", ("t", "gone"), True, None, "a.toml:4", "None"),
        ("added", ("t", "added"), None, None, "None", "b.yaml:4"),
    ]


def test_the_same_values_in_another_order_or_format_are_the_same():
    assert brief("a = 1\nb = 2.5\n[t]\nx = [{ y = 1 }]\n", "b = 2.5\na = 1\nt.x = [{ y = 1 }]\n") == []
    assert brief("a = nan\n", "a = nan\n") == []


def test_types_count():
    assert brief("a = 1\n", "a = 1.0\n") == [("changed", "a", 1, 1.0)]
    assert brief("a = 1\n", 'a = "1"\n') == [("changed", "a", 1, "1")]
    assert brief("a = 1\n", "a = true\n") == [("changed", "a", 1, True)]


def test_a_section_in_the_place_of_a_value_is_one_change():
    assert brief("a = 1\n", "[a]\nx = 1\n") == [("changed", "a", 1, {"x": 1})]
    assert brief("", "[a]\nx = 1\n[a.b]\ny = 2\n") == [("added", "a.x", None, 1), ("added", "a.b.y", None, 2)]
    assert brief("a = {}\n", "") == [("removed", "a", {}, None)]
    assert brief("a = {}\n", "a = { x = 1 }\n") == [("changed", "a", {}, {"x": 1})]


def test_references_are_followed():
    assert brief('a = 1\nb = "${a}"\n', "a = 1\nb = 1\n") == []
    assert brief('a = 1\nb = "${a}"\n', 'a = 2\nb = "${a}"\n') == [
        ("changed", "a", 1, 2),
        ("changed", "b", 1, 2),
    ]


def test_secrets_are_compared_and_not_shown():
    environment = {"TOKEN": "hush-hush"}
    found = brief('x = "${oc.env:TOKEN}"\n', 'x = "plain"\n', environment)
    assert found == [("changed", "x", "${oc.env:TOKEN}", "plain")]
    assert brief('x = "${oc.env:TOKEN}"\n', 'x = "hush-hush"\n', environment) == []
    assert brief('api_key = "one-1"\n', 'api_key = "two-2"\n') == [
        ("changed", "api_key", "<redacted>", "<redacted>")
    ]


def test_sides_are_interchangeable():
    left, right = side("a = 1\nb = 2\n", "a.toml"), side("b = 3\nc = 4\n", "b.toml")
    there, back = differences(left, right), differences(right, left)
    opposite = {"added": "removed", "removed": "added", "changed": "changed"}
    turned = [
        Difference(opposite[one.kind], one.path, one.new, one.old, one.new_place, one.old_place)
        for one in back
    ]
    assert sorted(turned, key=lambda one: one.path) == sorted(there, key=lambda one: one.path)
