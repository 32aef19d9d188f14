"""Where comments go: the same place in both formats, and where there is none, the nearest above."""

from pathlib import Path
from textwrap import dedent

import pytest

from pettingllms.documents.convert import convert, prove
from pettingllms.documents.read import parse_document


def to_toml(text):
    return converted(text, "x.yaml", "toml")


def to_yaml(text):
    return converted(text, "x.toml", "yaml")


def converted(text, name, target):
    conversion = convert(parse_document(dedent(text).lstrip("\n"), Path(name)), target)
    assert prove(conversion) == []
    return conversion.text


def lines(text):
    return dedent(text).lstrip("\n")


def test_comments_keep_their_places():
    yaml = lines("""
        # first line of the file
        # second line

        # about a
        a: 1  # behind a
        # above b
        b:  # behind b
          # above c
          c: x  # behind c
          # end of b
        d:
          l:  # behind l
          # above the first
          - 1
          - 2  # behind the second
            # end of l
          m:
            n: 2

        # end of the file
    """)
    toml = lines("""
        # first line of the file
        # second line

        # about a
        a = 1  # behind a

        # above b
        [b]  # behind b
        # above c
        c = "x"  # behind c
        # end of b

        [d]
        l = [  # behind l
          # above the first
          1,
          2,  # behind the second
          # end of l
        ]

        [d.m]
        n = 2

        # end of the file
    """)
    assert to_toml(yaml) == toml
    assert to_yaml(toml) == yaml


def test_commented_out_block_keeps_its_inside():
    yaml = lines("""
        a:
          b: 1
          # old:
          #   - x: 1
          #     y: "#2"
          #   -  z
        c: 2
    """)
    toml = lines("""
        c = 2

        [a]
        b = 1
        # old:
        #   - x: 1
        #     y: "#2"
        #   -  z
    """)
    assert to_toml(yaml) == toml
    assert to_yaml(toml).splitlines()[3:] == yaml.splitlines()[2:-1]


def test_comment_at_the_indentation_of_a_collection_ends_it():
    toml = to_toml("""
        a:
          b:
            c: 1
            # end of b
          # end of a
        # above d
        d: 1
    """)
    # TOML has no place between the end of [a.b] and that of [a]; what follows stays with its key.
    assert toml == lines("""
        # above d
        d = 1

        [a.b]
        c = 1
        # end of b
        # end of a
    """)


def test_comment_below_a_list_that_stands_as_deep_as_its_key_belongs_to_the_next_key():
    toml = to_toml("""
        l:
        - 1
        # about m
        m: 2
    """)
    assert toml == "l = [\n  1,\n]\n# about m\nm = 2\n"


def test_comments_in_brackets_spread_the_brackets_over_lines():
    assert to_toml("a: [1,  # one\n  2]\n") == "a = [\n  1,  # one\n  2,\n]\n"
    assert to_toml("a: {b: 1,  # one\n  c: 2}\n") == "[a]\nb = 1  # one\nc = 2\n"
    assert to_yaml("a = [ # behind\n1,\n# above\n2\n# end\n] # after\n") == lines("""
        a:  # behind
        - 1
        # above
        - 2
          # end
          # after
    """)


def test_comment_that_has_no_place_moves_above():
    toml = to_toml("l:\n- a: {b: 1,  # inside\n    c: 2}\n- 3\n")
    assert toml == "l = [\n  # inside\n  { a = { b = 1, c = 2 } },\n  3,\n]\n"


def test_comments_of_an_empty_table_move_above_it():
    assert to_yaml("[a]\n# x = 1\n\n[b]\ny = 1\n") == "# x = 1\na: {}\nb:\n  y: 1\n"


def test_key_that_stood_below_a_table_moves_up_with_its_comments():
    text = "t:\n  x: 1\n# about k\nk: 2  # behind k\n"
    conversion = convert(parse_document(text, Path("x.yaml")), "toml")
    assert conversion.text == "# about k\nk = 2  # behind k\n\n[t]\nx = 1\n"
    assert conversion.ledger.normalised == [(4, "the key k moves above the table t")]


def test_opening_comment_stays_at_the_top_when_another_key_comes_first():
    toml = to_toml("# @package _global_\n\n# about t\nt:\n  x: 1\nk: 2\n")
    assert toml == "# @package _global_\n\nk = 2\n\n# about t\n[t]\nx = 1\n"
    assert to_toml("# Title\nt:\n  x: 1\nk: 2\n").startswith("# Title\n\nk = 2\n")


def test_blank_lines_are_kept_one_at_a_time():
    yaml = "a: 1\n\nb: 2\n\nc:\n  d: 1\n\n  e: 2\nf:\n  g: 1\n"
    toml = "a = 1\n\nb = 2\n\n\n[c]\nd = 1\n\ne = 2\n\n[f]\ng = 1\n"
    assert to_toml(yaml) == toml
    assert to_yaml(toml) == yaml
    assert to_toml("a: 1\n\n\n\nb: 2\n") == "a = 1\n\nb = 2\n"


def test_comments_of_lists_of_tables_stand_at_their_headers():
    yaml = lines("""
        # about the list
        l:
        -  # behind the first
          a: 1
          b: 2
        # above the second
        - a: 3
          b: 4
          # end of the second
        # about k
        k:
          x: 1
    """)
    toml = lines("""
        # about the list
        [[l]]  # behind the first
        a = 1
        b = 2

        # above the second
        [[l]]
        a = 3
        b = 4
        # end of the second

        # about k
        [k]
        x = 1
    """)
    assert to_toml(yaml) == toml
    assert to_yaml(toml) == yaml


def test_comment_on_the_line_of_a_block_text_is_no_part_of_it():
    yaml = 'a: |  # behind\n  one\n  # two\n\n  three\n# above b\nb: "# no comment"\n'
    toml = 'a = """\none\n# two\n\nthree\n"""  # behind\n# above b\nb = "# no comment"\n'
    assert to_toml(yaml) == toml
    assert to_yaml(toml) == yaml


def test_hash_signs_inside_of_values_are_no_comments():
    yaml = "a: x#y\nb: 'it''s # this'\n\"c#\": [\"# d\", e#f]\n"
    toml = 'a = "x#y"\nb = "it\'s # this"\n"c#" = ["# d", "e#f"]\n'
    assert to_toml(yaml) == toml


@pytest.mark.parametrize("text", ["", "\n\n", "# only\n\n# comments\n"])
def test_file_without_keys_keeps_its_comments(text):
    assert to_toml(text) == to_yaml(text) == text.strip("\n") + ("\n" if "#" in text else "")


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_comment_at_the_end_of_the_file_needs_no_line_feed(end):
    assert to_toml(f"a: 1\n\n# end{end}") == "a = 1\n\n# end\n"
    assert to_yaml(f"a = 1\n\n# end{end}") == "a: 1\n\n# end\n"
