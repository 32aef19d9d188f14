"""Random documents with comments everywhere keep all of them, both ways."""

import re
from collections import Counter
from pathlib import Path

import tomlkit
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pettingllms.documents.arrange import arrange
from pettingllms.documents.convert import convert, outline, prove
from pettingllms.documents.literals import same
from pettingllms.documents.outline import Entry, Listing, Scalar, Table, comments_in, data_of
from pettingllms.documents.read import parse_document
from pettingllms.documents.source import DocumentError
from pettingllms.documents.write_toml import write_toml
from pettingllms.documents.write_yaml import write_yaml

run = settings(deadline=None, derandomize=True, max_examples=200)

WORDS = [
    "on",
    "017",
    "1e-6",
    "null",
    "a b",
    "x: y",
    " x",
    "",
    "#",
    "${a.b}",
    "it's",
    '"',
    "\\n",
    "é日",
    "- x",
]
texts = st.one_of(
    st.sampled_from(WORDS), st.text("ab: #-'\"\\\n\t[]{},&*!|>%@`é日\u2028", max_size=12), st.text(max_size=8)
)
numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.booleans(), st.just(float("inf"))
)
keys = st.one_of(st.sampled_from(["a", "b", "c", "d", "sweep", "null", "on", "x y"]), texts)


def with_nulls(value):
    if isinstance(value, dict):
        if list(value.items()) == [("null", True)]:
            return None
        return {key: with_nulls(item) for key, item in value.items()}
    return [with_nulls(item) for item in value] if isinstance(value, list) else value


def insert_comments(text, draw):
    """Comments at random places between lines and behind lines; `#7` names the seventh."""
    out, number = [], 0
    for line in text.split("\n"):
        for kind in draw(st.lists(st.sampled_from(["blank", 0, 0, 2, 4, 6]), max_size=2)):
            out.append("" if kind == "blank" else " " * kind + f"#{number} x: 1")
            number += kind != "blank"
        behind = line.strip() != "" and draw(st.integers(0, 4)) == 0
        out.append(f"{line}  #{number}" if behind else line)
        number += behind
    return "\n".join(out)


def numbered(text):
    return Counter(re.findall(r"#\d+", text))


def survives(text, name, target):
    """Assert that `text` converts without loss, where it is a document at all."""
    try:
        document = parse_document(text, Path(name))
    except DocumentError:
        return
    conversion = convert(document, target)
    assert conversion.text is not None, conversion.ledger.refused
    assert prove(conversion) == []
    assert numbered(conversion.text) == numbered(text)
    found = parse_document(conversion.text, Path(f"x.{target}"))
    assert same(with_nulls(found.data), with_nulls(document.data))


SIMPLE = st.one_of(
    st.sampled_from(["x", "a b", "1e-6", "${a.b}"]), st.integers(0, 9), st.booleans(), st.none()
)
SIMPLE_KEYS = st.sampled_from(["a", "b", "c", "d", "sweep"])
simple_data = st.dictionaries(
    SIMPLE_KEYS,
    st.recursive(
        SIMPLE,
        lambda v: st.one_of(st.lists(v, max_size=4), st.dictionaries(SIMPLE_KEYS, v, max_size=4)),
        max_leaves=15,
    ),
    min_size=1,
    max_size=5,
)


@run
@given(st.data())
def test_yaml_with_comments_anywhere_survives(draws):
    value = draws.draw(simple_data)
    flow = draws.draw(st.sampled_from([False, False, None, True]))
    width = draws.draw(st.sampled_from([20, 1000]))
    text = yaml.safe_dump(value, default_flow_style=flow, width=width, sort_keys=False)
    survives(insert_comments(text, draws.draw), "x.yaml", "toml")


@run
@given(st.data())
def test_toml_with_comments_anywhere_survives(draws):
    value = draws.draw(simple_data)
    text = tomlkit.dumps(_without_none(value))
    text = text.replace("[", "[\n", draws.draw(st.integers(0, 2))) if draws.draw(st.booleans()) else text
    survives(insert_comments(text, draws.draw), "x.toml", "yaml")


def _without_none(value):
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items()}
    return [_without_none(item) for item in value] if isinstance(value, list) else value or 0


comments = st.sampled_from([[], [], ["# one"], ["# one", ""], ["#two", "", "# - three: 3"]]).map(list)
trailing = st.one_of(st.none(), st.none(), st.sampled_from(["# behind", "#x: [1]"]))
scalars = st.builds(Scalar, st.one_of(texts, numbers, st.none()))


def entries(values, *, keyed):
    named = keys if keyed else st.none()
    return st.lists(
        st.builds(Entry, named, values, st.just(1), st.booleans(), comments, trailing),
        max_size=4,
        unique_by=(lambda entry: entry.key) if keyed else None,
    )


def collections(values):
    tables = st.builds(Table, entries(values, keyed=True), comments, st.booleans())
    return tables | st.builds(Listing, entries(values, keyed=False), comments, st.booleans())


roots = st.builds(
    Table, entries(st.recursive(scalars, collections, max_leaves=20), keyed=True), comments, st.just(False)
)


@run
@given(roots, st.sampled_from(["toml", "yaml"]))
def test_any_outline_is_written_so_that_it_reads_back_the_same(root, form):
    values, said = data_of(root), Counter(comments_in(root))
    arrange(root, lambda _line, _what: None)
    assert Counter(comments_in(root)) == said
    write = write_toml if form == "toml" else write_yaml
    text = write(root)
    document = parse_document(text, Path(f"x.{form}"))
    again = outline(document)
    assert same(data_of(again), values)
    assert Counter(comments_in(again)) == said
    arrange(again, lambda _line, _what: None)
    assert write(again) == text
    assert prove(convert(document, "yaml" if form == "toml" else "toml")) == []
