"""Edits of one value that leave every other character alone."""

import copy
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettingllms.compose.tree import get
from pettingllms.documents.edit import edit
from pettingllms.documents.literals import same
from pettingllms.documents.read import parse_document
from pettingllms.errors import RefusedError

TOML, YAML = Path("x.toml"), Path("x.yaml")
REMOVE = object()


def put(data, path, value):
    """`data` with `value` at the dotted `path`."""
    data = copy.deepcopy(data)
    *above, last = path.split(".")
    node = data
    for key in above:
        node = node.setdefault(key, {})
    if value is REMOVE:
        del node[last]
    else:
        node[last] = value
    return data


def edited(text, path, value, file=TOML, written=None):
    document = parse_document(text, file)
    intended = put(document.data, path, value)
    hints = {tuple(path.split(".")): written} if written is not None else {}
    return edit(document, intended, hints)


TOML_CASES = {
    "value": ("a = 1 # one\nb=2\n", "a", 7, "a = 7 # one\nb=2\n"),
    "quotes stay": ("a = 'x' # one\n", "a", "y", "a = 'y' # one\n"),
    "quotes that cannot hold it": ("a = 'x'\n", "a", "it's", 'a = "it\'s"\n'),
    "float": ("a = 1.0\n", "a", 5e-6, "a = 5e-6\n"),
    "large float": ("a = 1.0\n", "a", 1e16, "a = 1e16\n"),
    "null": ("a = 1.0\n", "a", None, "a = { null = true }\n"),
    "table in the place of a value": ("a = 1\nb = 2\n", "a", {"x": 1}, "a = { x = 1 }\nb = 2\n"),
    "no line end": ("a = 1", "b", 2, "a = 1\nb = 2"),
    "empty file": ("", "a", 1, "a = 1\n"),
    "comments only": ("# head\n", "a", 1, "# head\na = 1\n"),
    "new root key": (
        "#:schema x\n\n# two\nb = 1 # c\n\n# env\n[env]\nx = 1\n", "a", 2,
        "#:schema x\n\n# two\nb = 1 # c\na = 2\n\n# env\n[env]\nx = 1\n",
    ),
    "first root key": ("# head\n\n# env\n[env]\nx = 1\n", "a", 2, "# head\n\na = 2\n\n# env\n[env]\nx = 1\n"),
    "first root key below the schema line": (
        "#:schema x\n[env]\nx = 1\n", "a", 2, "#:schema x\na = 2\n\n[env]\nx = 1\n",
    ),
    "new key in a table": (
        "[a]\nx = 1 # one\n# end of a\n\n[b]\ny = 1\n", "a.z", 3,
        "[a]\nx = 1 # one\nz = 3\n# end of a\n\n[b]\ny = 1\n",
    ),
    "new key in an empty table": ("[a] # c\n[b]\ny = 1\n", "a.z", 3, "[a] # c\nz = 3\n[b]\ny = 1\n"),
    "new key before sub-tables": (
        "[a]\nx = 1\n[a.s]\ny = 1\n", "a.z", 3, "[a]\nx = 1\nz = 3\n[a.s]\ny = 1\n",
    ),
    "indented": ("[a]\n  x = 1\n  [a.s]\n  y = 1\n", "a.s.z", 3, "[a]\n  x = 1\n  [a.s]\n  y = 1\n  z = 3\n"),
    "table that only its sub-tables name": (
        "r = 1\n\n# about s\n[a.s]\ny = 1\n", "a.z", 3, "r = 1\n\n[a]\nz = 3\n\n# about s\n[a.s]\ny = 1\n",
    ),
    "new table behind its relatives": (
        "[a]\nx = 1\n\n[a.s]\ny = 1 # y\n# end of s\n\n# about b\n[b]\nz = 1\n", "a.t.k", 3,
        "[a]\nx = 1\n\n[a.s]\ny = 1 # y\n# end of s\n\n[a.t]\nk = 3\n\n# about b\n[b]\nz = 1\n",
    ),
    "new table at the end": ("[a]\nx = 1\n", "c.d.e", 3, "[a]\nx = 1\n\n[c.d]\ne = 3\n"),
    "new table before a comment of the next": (
        "[a]\nx = 1\n# about b\n[b]\nz = 1\n", "a.t.k", 3,
        "[a]\nx = 1\n\n[a.t]\nk = 3\n\n# about b\n[b]\nz = 1\n",
    ),
    "new section key by key": (
        "[a]\nx = 1\n", "s", {"p": 1, "q": {"r": 2}}, "[a]\nx = 1\n\n[s]\np = 1\n\n[s.q]\nr = 2\n",
    ),
    "under a dotted key": ("a.b = 1\nz = 2\n", "a.new.x", 1, "a.b = 1\na.new.x = 1\nz = 2\n"),
    "under a dotted key of a table": (
        "[t]\na.b = 1 # c\nz = 2\n[u]\n", "t.a.c", "v", '[t]\na.b = 1 # c\na.c = "v"\nz = 2\n[u]\n',
    ),
    "in an inline table": ("a = { b = 1 } # c\n", "a.d", "v", 'a = { b = 1, d = "v" } # c\n'),
    "in an empty inline table": ("a = {}\n", "a.d", 1, "a = { d = 1 }\n"),
    "deep in an inline table": ("a = {b = 1}\n", "a.d.e", 1, "a = {b = 1, d.e = 1}\n"),
    "under a dotted key in an inline table": (
        "a = { b.c = 1, z = 2 }\n", "a.b.d", 1, "a = { b.c = 1, z = 2, b.d = 1 }\n",
    ),
    "odd key": ("[a]\nx = 1\n", "a.ppo trainer", 1, '[a]\nx = 1\n"ppo trainer" = 1\n'),
    "list in place": ("a = [1, 2] # c\n", "a", [3], "a = [3] # c\n"),
    "item of a list": (
        "a = [\n  1, # one\n  2, # two\n]\n", "a", [1, 3], "a = [\n  1, # one\n  3, # two\n]\n",
    ),
    "append": ("a = [1, 2] # c\n", "a", [1, 2, 3], "a = [1, 2, 3] # c\n"),
    "append with a comma": ("a = [1, 2,] # c\n", "a", [1, 2, 3], "a = [1, 2, 3,] # c\n"),
    "append over lines": (
        "a = [\n  1, # one\n  2 # two\n]\n", "a", [1, 2, 3], "a = [\n  1, # one\n  2, # two\n  3\n]\n",
    ),
    "append over lines with a comma": (
        "a = [\n  1,\n  2, # two\n  # end\n]\n", "a", [1, 2, 3],
        "a = [\n  1,\n  2, # two\n  3,\n  # end\n]\n",
    ),
    "remove an item": (
        "a = [\n  1, # one\n  2, # two\n  3\n]\n", "a", [1, 3],
        "a = [\n  1, # one\n  3\n]\n",
    ),
    "remove the last item": ("a = [\n  1, # one\n  2\n]\n", "a", [1], "a = [\n  1, # one\n]\n"),
    "remove items of one line": ("a = [1, 2, 3, 4] # c\n", "a", [2, 3], "a = [2, 3] # c\n"),
    "change in a table of a list": (
        "defaults = [\n  'x', # x\n  { env = 'math' }, # e\n]\n", "defaults", ["x", {"env": "code"}],
        "defaults = [\n  'x', # x\n  { env = 'code' }, # e\n]\n",
    ),
    "several lines to one": ('a = """x\ny""" # c\nb = 1\n', "a", "z", 'a = "z" # c\nb = 1\n'),
    "remove": ("# above\na = 1 # one\n# below\nb = 2\n", "a", REMOVE, "# above\n# below\nb = 2\n"),
    "remove between blank lines": ("a = 1\n\nb = 2\n\nc = 3\n", "b", REMOVE, "a = 1\n\nc = 3\n"),
    "remove over lines": ("a = [\n 1,\n 2,\n]\nb = 2\n", "a", REMOVE, "b = 2\n"),
    "remove first inline": ("a = { b = 1, c = 2 }\n", "a.b", REMOVE, "a = { c = 2 }\n"),
    "remove last inline": ("a = { b = 1, c = 2 } # c\n", "a.c", REMOVE, "a = { b = 1 } # c\n"),
    "remove dotted inline": (
        "a = { b.x = 1, b.y = 1, c = 2 }\n", "a.b.y", REMOVE, "a = { b.x = 1, c = 2 }\n",
    ),
    "remove only inline": ("a = { b = 1 }\n", "a.b", REMOVE, "a = {}\n"),
    "remove a dotted key": ("a.b = 1\na.c = 1\n", "a.b", REMOVE, "a.c = 1\n"),
    "remove the last dotted key": ("z = 1\na.b = 1\n", "a.b", REMOVE, "z = 1\n"),
    "remove a table with its sub-tables": (
        "[a]\nx = 1\n\n# in\n[a.s]\ny = 1 # y\n\n# about b\n[b]\nz = 1\n\n[a.u]\nk = 1\n", "a", REMOVE,
        "# about b\n[b]\nz = 1\n",
    ),
    "value in the place of a table": (
        "[a]\nx = 1\n[a.s]\ny = 1\n[b]\nz = 1\n", "a.s", "${b}", '[a]\nx = 1\ns = "${b}"\n[b]\nz = 1\n',
    ),
    "item of tables in an array": (
        "[[a]]\nx = 1\n[b]\ny = 1\n", "b.z", 2, "[[a]]\nx = 1\n[b]\ny = 1\nz = 2\n",
    ),
    "array of tables to list": (
        "[[a]]\nx = 1\n[[a]]\nx = 2\n[b]\ny = 1\n", "a", [1], "a = [1]\n\n[b]\ny = 1\n",
    ),
    "sweep": (
        'a = { sweep = "choice", values = [1], default = 1 }\n', "a",
        {"sweep": "choice", "values": [1, 2], "default": 2},
        'a = { sweep = "choice", values = [1, 2], default = 2 }\n',
    ),
    "wide characters": ('a = "日本" # ä\nb = "ö"\n', "b", "ü", 'a = "日本" # ä\nb = "ü"\n'),
    "crlf": (
        "[a]\r\nx = 1\r\n\r\n[b]\r\ny = 2\r\n", "a.z", 3, "[a]\r\nx = 1\r\nz = 3\r\n\r\n[b]\r\ny = 2\r\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "path", "value", "result"), TOML_CASES.values(), ids=TOML_CASES.keys())
def test_toml_edit_changes_only_its_place(text, path, value, result):
    assert edited(text, path, value) == result


YAML_CASES = {
    "value": ("a: 1 # one\nb: 2\n", "a", 7, "a: 7 # one\nb: 2\n"),
    "quotes stay": ("a: 'x' # one\nb: \"y\"\n", "b", "z", "a: 'x' # one\nb: \"z\"\n"),
    "plain text": ("a: x # one\n", "a", "${b.c}", "a: ${b.c} # one\n"),
    "text like a number": ("a: x\n", "a", "1e-6", 'a: "1e-6"\n'),
    "text like a boolean": ("a: x\n", "a", "on", 'a: "on"\n'),
    "text with a comment sign": ("a: x\n", "a", "b #c", 'a: "b #c"\n'),
    "text like null": ("a: x\n", "a", "null", 'a: "null"\n'),
    "lines": ("a: x\n", "a", "b\nc", 'a: "b\\nc"\n'),
    "float": ("a: 1.0\n", "a", 5e-6, "a: 5e-6\n"),
    "infinity": ("a: 1.0\n", "a", float("-inf"), "a: -.inf\n"),
    "null": ("a: 1\nb: 2\n", "a", None, "a: null\nb: 2\n"),
    "empty value": ("a:\nb: 2\n", "a", 1, "a: 1\nb: 2\n"),
    "empty value with a comment": ("a: # c\nb: 2\n", "a", [1], "a: [1] # c\nb: 2\n"),
    "block text": ("a: |\n  x\n  y\n\nb: 2\n", "a", "z", "a: z\n\nb: 2\n"),
    "empty file": ("", "a", 1, "a: 1\n"),
    "comments only": ("# head\n", "a.b", 1, "# head\na:\n  b: 1\n"),
    "no line end": ("a: 1", "b", 2, "a: 1\nb: 2"),
    "new root key behind the plain ones": (
        "defaults:\n  - x\n\n# l\nl: 1 # one\n\nenv:\n  x: 1\n", "a", 2,
        "defaults:\n  - x\n\n# l\nl: 1 # one\na: 2\n\nenv:\n  x: 1\n",
    ),
    "new key with its siblings' indentation": (
        "env:\n    name: x # c\n    # end\nb: 1\n", "env.z", "w",
        "env:\n    name: x # c\n    z: w\n    # end\nb: 1\n",
    ),
    "new key before sub-mappings": (
        "e:\n  x: 1\n  s:\n    y: 2\n", "e.z", 3, "e:\n  x: 1\n  z: 3\n  s:\n    y: 2\n",
    ),
    "new key among mappings only": ("e:\n  s:\n    y: 2\n", "e.z", 3, "e:\n  s:\n    y: 2\n  z: 3\n"),
    "new section": (
        "e:\n   x: 1\n\nf:\n   y: 1\n", "g.h.i", 3, "e:\n   x: 1\n\nf:\n   y: 1\n\ng:\n   h:\n      i: 3\n",
    ),
    "new section in one": (
        "e:\n  x: 1\nf: 1\n", "e.s", {"p": 1, "q": [1]}, "e:\n  x: 1\n  s:\n    p: 1\n    q: [1]\nf: 1\n",
    ),
    "in brackets": ("a: {b: 1} # c\n", "a.d", "v", "a: {b: 1, d: v} # c\n"),
    "in empty brackets": ("a: {}\n", "a.d.e", 1, "a: { d: {e: 1} }\n"),
    "brackets over lines": (
        "a: {\n  b: 1, # one\n  c: 2 # two\n}\n", "a.d", 3,
        "a: {\n  b: 1, # one\n  c: 2, # two\n  d: 3\n}\n",
    ),
    "block list": ("a:\n- x # x\n- y\nb: 1\n", "a", ["p", "q", "r"], "a:\n- p\n- q\n- r\nb: 1\n"),
    "item of a block list": (
        "a:\n  - x # x\n  - y # y\nb: 1\n", "a", ["x", "z"], "a:\n  - x # x\n  - z # y\nb: 1\n",
    ),
    "append to a block list": (
        "a:\n  - x # x\n  - y # y\n  # end\nb: 1\n", "a", ["x", "y", "${z}"],
        "a:\n  - x # x\n  - y # y\n  - ${z}\n  # end\nb: 1\n",
    ),
    "append a mapping": (
        "defaults:\n  - x\n", "defaults", ["x", {"env": "code"}], "defaults:\n  - x\n  - env: code\n",
    ),
    "append in brackets": ("a: [x, y] # c\n", "a", ["x", "y", "z w"], "a: [x, y, z w] # c\n"),
    "remove an item of a block list": (
        "a:\n  - x # x\n  - y # y\n  - z\nb: 1\n", "a", ["x", "z"],
        "a:\n  - x # x\n  - z\nb: 1\n",
    ),
    "change in a mapping of a list": (
        "defaults:\n  - x # x\n  - env: math # e\n  - _self_\n", "defaults", ["x", {"env": "code"}, "_self_"],
        "defaults:\n  - x # x\n  - env: code # e\n  - _self_\n",
    ),
    "block list to nothing": ("a:\n  - x\nb: 1\n", "a", [], "a: []\nb: 1\n"),
    "mapping to a reference": ("a: # c\n  x: 1\n  y:\n    z: 2\nb: 1\n", "a", "${b}", "a: ${b} # c\nb: 1\n"),
    "value to a mapping": ("a: 1 # c\nb: 1\n", "a", {"x": "y"}, "a: {x: y} # c\nb: 1\n"),
    "remove": ("# above\na: 1 # one\n# below\nb: 2\n", "a", REMOVE, "# above\n# below\nb: 2\n"),
    "remove a section": ("a:\n  x: 1 # one\n  y: [1,\n    2]\n\nb: 2\n", "a", REMOVE, "b: 2\n"),
    "remove the only key": ("a:\n  x: 1 # one\nb: 2\n", "a.x", REMOVE, "a: {}\nb: 2\n"),
    "remove in brackets": ("a: {b: 1, c: 2, d: 3} # c\n", "a.c", REMOVE, "a: {b: 1, d: 3} # c\n"),
    "remove last in brackets": ("a: {b: 1, c: 2}\n", "a.c", REMOVE, "a: {b: 1}\n"),
    "tagged": ("a: !!str 1 # c\n", "a", "2", 'a: !!str "2" # c\n'),
    "anchored without an alias": ("a: &x 1 # c\nb: 2\n", "a", 3, "a: &x 3 # c\nb: 2\n"),
    "an alias": ("a: &x 1\nb: *x # c\n", "b", 3, "a: &x 1\nb: 3 # c\n"),
    "beside a merge key": (
        "a: &x\n  p: 1\nb:\n  <<: *x\n  q: 2\n", "b.r", 3, "a: &x\n  p: 1\nb:\n  <<: *x\n  q: 2\n  r: 3\n",
    ),
    "in a document with markers": ("---\na: 1\n...\n", "b", 2, "---\na: 1\nb: 2\n...\n"),
    "crlf": ("a:\r\n  x: 1\r\n\r\nb: 2\r\n", "a.z", 3, "a:\r\n  x: 1\r\n  z: 3\r\n\r\nb: 2\r\n"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "path", "value", "result"), YAML_CASES.values(), ids=YAML_CASES.keys())
def test_yaml_edit_changes_only_its_place(text, path, value, result):
    assert edited(text, path, value, YAML) == result


@pytest.mark.parametrize(
    ("file", "text", "value", "written", "result"),
    [
        (TOML, "a = 1\n", 1e-6, "1.0e-6", "a = 1.0e-6\n"),
        (TOML, "a = 1\n", 16, "0x10", "a = 0x10\n"),
        (TOML, "a = 1\n", ["x", "y"], "[x, y]", 'a = ["x", "y"]\n'),
        (TOML, "a = 'x'\n", "y", "y", "a = 'y'\n"),
        (YAML, "a: 1\n", 1e-6, "1.0e-6", "a: 1.0e-6\n"),
        (YAML, "a: 1\n", ["x", "y"], "[x,  y]", "a: [x,  y]\n"),
        (YAML, "a: 1\n", True, "True", "a: True\n"),
        (YAML, "a: 1\n", "1", "1", 'a: "1"\n'),
        (YAML, "a: 1\n", 2, "2\nb: 3", "a: 2\n"),
    ],
)
def test_a_value_stays_as_a_person_wrote_it_where_it_reads_the_same(file, text, value, written, result):
    assert edited(text, "a", value, file, written) == result


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("a: &x 1\nb: *x\n", "a", 2),
        ("a: &x {p: 1}\nb: *x\n", "b.p", 2),
        ("a: &x {p: 1}\nb: *x\n", "b.q", 2),
        ("a: &x {p: 1, r: 2}\nb:\n  <<: *x\n  q: 1\n", "b.p", REMOVE),
        ("a: |+\n  text\n\n", "b", 2),
    ],
)
def test_what_would_change_something_else_is_refused(text, path, value):
    with pytest.raises(RefusedError, match=r"x.yaml:\d+: .* cannot be changed without"):
        edited(text, path, value, YAML)


def test_a_file_whose_first_key_is_sweep_is_no_swept_value():
    text = 'format = 1\n[sweep]\nsampler = "grid"\n'
    assert edit(parse_document(text, TOML), {"sweep": {"sampler": "tpe"}}) == '[sweep]\nsampler = "tpe"\n'


def test_several_changes_are_made_together():
    document = parse_document("a = 1 # one\n[t]\nx = 1\ny = 2\n", TOML)
    intended = {"a": 2, "t": {"y": 3, "z": None}, "u": {"v": "w"}}
    result = edit(document, intended)
    assert result == 'a = 2 # one\n[t]\ny = 3\nz = { null = true }\n\n[u]\nv = "w"\n'


KEYS = st.sampled_from(["a", "b", "c d", "e", "on", "x.y"])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-99, 99), st.floats(), st.text(max_size=8),
    st.sampled_from(["${a.b}", "on", "1e3", "a: b", "# x", "- x", "12:30", "it's", 'say "x"', "", "~", "="]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
TEXTS = [
    """a = 1 # c1
b.x = 'y' # c2

# c3
[e] # c4
a = [
 1, # c5
 2,
]

[e.b]
'c d' = { a = 1, b = {} }
# c6

[on.a.b]
e = 1
# c7
""",
    """[[a]]
b = 1
[a.e]
b = 2
[[a]]
[b]
a.b.e = 1
a.on = [{ e = 1 }, 2]
""",
    """a: 1 # c1
b:
  a: # c2
  - 1 # c3
  -  b: 1
     e: 2
  c d: {a: 1, b: [x, # c4
   y]}

# c5
e: |
  text
  # text

on1:
    a: >-
      folded
    b: 'q'
    # c6
# c7
""",
    """a: {b: 1}
b: &m
  a: 1
e:
  <<: *m
  b: 2
""",
]


@settings(deadline=None, derandomize=True, max_examples=400)
@given(
    st.sampled_from(TEXTS), st.lists(KEYS, min_size=1, max_size=3), VALUES | st.just(REMOVE), st.booleans()
)
def test_any_edit_gives_the_intended_data_or_is_refused(text, path, value, crlf):
    file = YAML if ": " in text.splitlines()[0] else TOML
    text = text.replace("\n", "\r\n") if crlf else text
    document = parse_document(text, file)
    intended = copy.deepcopy(document.data)
    node = intended
    for key in path[:-1]:
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            return
    if value is REMOVE and path[-1] not in node:
        return
    if value is REMOVE:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    before = get(document.data, tuple(path))
    try:
        result = edit(document, intended)
    except RefusedError:
        assert "&m" in text
        return
    found, wanted = without_null_tables(parse_document(result, file).data), without_null_tables(intended)
    assert same(pruned(found), pruned(wanted))
    if value is not REMOVE and not isinstance(before, (dict, list)):
        assert same(found, wanted)
        assert re.findall("# c[0-9]", result) == re.findall("# c[0-9]", text)
    line_ends = Counter(re.findall("\r?\n", result))
    assert not line_ends or set(line_ends) == {"\r\n" if crlf else "\n"}


LISTS = [
    (TOML, "a = [1, 2, 3] # c1\nb = 1\n"),
    (TOML, "a = [\n  1, # c1\n  # c2\n  2,\n  3 # c3\n  # c4\n]\nb = 1\n"),
    (TOML, "b = 1\na = [ 1, 2,\n  3, ]"),
    (YAML, "a: [1, 2, 3] # c1\nb: 1\n"),
    (YAML, "a: [\n  1, # c1\n  2,\n  3 # c2\n  ]\nb: 1\n"),
    (YAML, "a:\n- 1 # c1\n# c2\n- 2\n\n- 3\n# c3\nb: 1\n"),
    (YAML, "b: 1\na:\n  - 1\n  - 2\n  - 3"),
]


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.sampled_from(LISTS), st.lists(st.sampled_from([1, 2, 3, "x", ["y"], {"z": 1}]), max_size=5))
def test_lists_grow_shrink_and_change_without_refusal(case, after):
    file, text = case
    document = parse_document(text, file)
    result = edit(document, {**document.data, "a": after})
    assert same(parse_document(result, file).data, {"a": after, "b": 1})
    if after[:3] == [1, 2, 3]:
        assert re.findall("# c[0-9]", result) == re.findall("# c[0-9]", text)


def without_null_tables(value):
    if value == {"null": True}:
        return None
    if isinstance(value, dict):
        return {key: without_null_tables(item) for key, item in value.items()}
    return [without_null_tables(item) for item in value] if isinstance(value, list) else value


def pruned(value):
    """`value` without its empty sections."""
    if not isinstance(value, dict):
        return value
    inside = {key: pruned(item) for key, item in value.items()}
    return {key: item for key, item in inside.items() if item != {}}
