"""Comments that silence findings, and what is said about those that do not."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettingllms.documents.read import parse_document
from pettingllms.documents.source import Lines
from pettingllms.lint.diagnostic import Diagnostic, Severity
from pettingllms.lint.files.noqa import nearest_code, suppress
from pettingllms.lint.rule import RULES


def at(text, words, code="PLM103", file="a.toml"):
    """A finding at the first place of `words`."""
    line, column = Lines(text).point(text.index(words))
    rule = RULES[code]
    source = text.split("\n")[line - 1]
    return Diagnostic(code, rule.severity, "m", file, line, column, "", None, column + len(words), source)


def silenced(text, words, code="PLM103", file="a.toml"):
    kept, _ = suppress([at(text, words, code, file)], {file: text})
    return kept == []


def unused(text, *found, file="a.toml", **rest):
    _, diagnostics = suppress(found, {file: text}, **rest)
    return diagnostics


def mended(text, diagnostic):
    (change,) = diagnostic.fix.changes
    lines = text.split("\n")
    starts = [sum(len(line) + 1 for line in lines[:number]) for number in range(len(lines) + 1)]
    start = starts[change.span.line - 1] + change.span.column - 1
    end = starts[change.span.end_line - 1] + change.span.end_column - 1
    return text[:start] + change.value + text[end:]


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa",
        "#noqa",
        "# NOQA",
        "# noqa: PLM103",
        "# noqa:PLM103",
        "# noqa : plm103",
        "# noqa PLM103",
        "# noqa: PLM1",
        "# noqa: PLM",
        "# noqa: PLM5, PLM103",
        "# noqa: PLM5 PLM103",
        "# noqa: PLM5,PLM103 for 2 reasons",
        "# noqa: PLM103 - see #12",
        "# two agents # noqa: PLM103",
        "# noqa because of the paper",
        "# noqa v2 of it",
        "# pettingllms: ignore PLM103",
        "# pettingllms: ignore",
        "# pettingllms:ignore: PLM103",
        "# noqa: PLM5 # noqa: PLM103",
    ],
)
@pytest.mark.parametrize("form", ["a.toml", "a.yaml"])
def test_a_comment_silences_its_line(comment, form):
    text = f"x = 1 {comment}\ny = 2\n" if form == "a.toml" else f"x: 1 {comment}\ny: 2\n"
    assert silenced(text, "x", file=form)
    assert not silenced(text, "y", file=form)


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa: PLM104",
        "# noqa: PLM5, PLM2",
        "# noqa:",
        "# noqa: nothing",
        "# noqax",
        "# noqa-files",
        "# noqa-file: PLM103",
        "# no qa: PLM103",
        "# see noqa: PLM103",
        "# pettingllms ignore PLM103",
        "# pettingllms: ignored",
        "# noqa: PLM1031",
        "# noqa: PLM5 gpt4 103",
    ],
)
def test_another_comment_does_not(comment):
    assert not silenced(f"x = 1 {comment}\n", "x")


def test_other_files_and_the_command_line_are_left_alone():
    text = "x = 1 # noqa\n"
    other = at(text, "x", file="b.toml")
    assert suppress([other], {"a.toml": text}, reported=()) == ([other], [])


@pytest.mark.parametrize(
    ("text", "quiet"),
    [
        ("# noqa-file: PLM103\nx = 1\n", True),
        ("# a header\n# noqa-file: PLM1\n# more\nx = 1\n", True),
        ("x = 1\n# noqa-file\n", True),
        ("x = 1\n[t]\n  # NOQA-FILE: PLM5, PLM103 as always\ny = 1\n", True),
        ("y = 1 # noqa-file: PLM103\nx = 1\n", False),
        ("# noqa: PLM103\nx = 1\n", False),
        ('y = """\n# noqa-file\n"""\nx = 1\n', False),
    ],
)
def test_a_comment_on_a_line_of_its_own_may_speak_of_the_file(text, quiet):
    assert silenced(text, "x = 1") is quiet


@pytest.mark.parametrize(
    "text",
    [
        'x = "# noqa"\n',
        "x = '# noqa'\n",
        'x = "\\" # noqa"\n',
        "x = { a = '# noqa' }\n",
        '"x # noqa" = 1\n',
        'x = """\n# noqa\n"""\n',
        "x = '''\n\n# noqa'''\n",
        'x = """ \\""" # noqa"""\n',
        'y = "it\'s" \nx = "# noqa"\n',
        "# it's\nx = \"# noqa\" # '\n",
    ],
)
def test_a_text_in_toml_is_no_comment(text):
    assert not silenced(text, "x")
    assert unused(text) == []


@pytest.mark.parametrize(
    "text",
    [
        'x: "# noqa"\n',
        "x: ' # noqa'\n",
        "x: a#noqa\n",
        "x: 'a\n  # noqa\n  b'\n",
        '"x # noqa": 1\n',
        "x: |\n  # noqa\n  b # noqa\n",
        "x: >-\n  a\n\n  # noqa\n",
        "x: [a, 'b # noqa']\n",
        "x: &a#noqa 1\n",
        "# it's\nx: '# noqa' # it's\n",
        'y: |\n  "\nx: "# noqa"\n',
    ],
)
def test_a_text_in_yaml_is_no_comment(text):
    assert not silenced(text, "x", file="a.yaml")
    assert unused(text, file="a.yaml") == []


@pytest.mark.parametrize(
    "text",
    [
        "y: it's\nx: 1 # noqa\n",
        "y: |\n  a\nx: 1 # noqa\n",
        "y: |\n  'a\n# it's\nx: 1 # noqa\n",
        'y: "a # b"\nx: "c" # noqa\n',
        "x: | # noqa\n  a\n",
        "x: &a 1 # noqa\ny: *a\n",
        "x: # noqa\n  y: 1\n",
        "x: [1, 2] # noqa\n",
        "- # noqa\n".join(["x:\n", " 1\n"]).replace("x:\n", "x: # noqa\n"),
    ],
)
def test_a_comment_in_yaml_is_found_among_texts(text):
    assert silenced(text, "x", file="a.yaml")


MULTI_LINE = [
    ("a.toml", "x = [\n  1,\n  2,\n] # noqa\n", "x", "[\n"),
    ("a.toml", 'x = """\na\n""" # noqa\n', "x", '"""'),
    ("a.toml", "x = { a = [\n 1 ] } # noqa\n", "x", "{"),
    ("a.yaml", "x: [\n  1,\n  2,\n] # noqa\n", "x", "[\n"),
    ("a.yaml", "x: 'a\n  b' # noqa\n", "x", "'a"),
    ("a.yaml", "x: a\n  b # noqa\n", "x", "a\n"),
]


@pytest.mark.parametrize(("file", "text", "key", "value"), MULTI_LINE)
def test_a_comment_behind_the_last_line_of_a_value_counts(file, text, key, value):
    assert silenced(text, key, file=file)
    assert silenced(text, value, file=file)


def test_a_comment_on_a_line_between_speaks_of_that_line():
    text = "x = [\n  1, # noqa\n  2,\n]\n"
    assert not silenced(text, "x")
    assert silenced(text, "1")
    assert not silenced(text, "2")


def test_the_last_line_of_a_section_speaks_of_its_key_only():
    text = "x:\n  y: 1\n  z: 2 # noqa\n"
    assert not silenced(text, "x", file="a.yaml")
    assert not silenced(text, "y", file="a.yaml")
    assert silenced(text, "z", file="a.yaml")


def test_a_text_block_ends_on_its_own_last_line():
    text = "x: |\n  a\ny: 1 # noqa\n"
    assert not silenced(text, "x", file="a.yaml")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.toml", 'x = "abc # noqa\n'),
        ("a.toml", "x = # noqa\n"),
        ("a.yaml", "x: 'a # noqa\n"),
        ("a.yaml", "\tx: 1 # noqa\n"),
        ("a.yaml", "x: 1 # noqa\x00\n"),
    ],
)
def test_a_file_that_cannot_be_read_silences_nothing(file, text):
    found = at(text, "x", "PLM001", file)
    assert suppress([found], {file: text}) == ([found], [])


# Unused comments


@pytest.mark.parametrize(
    ("text", "message", "advice", "fixed"),
    [
        ("x = 1 # noqa\n", "unused noqa: nothing is found on this line", "remove the comment", "x = 1\n"),
        (
            "x = 1  # noqa: PLM104\n",
            "unused noqa: PLM104 is not found on this line",
            "remove the comment",
            "x = 1\n",
        ),
        (
            "x = 1 # noqa: PLM104, PLM5\r\ny = 2",
            "unused noqa: PLM104 and PLM5 are not found on this line",
            "remove the comment",
            "x = 1\r\ny = 2",
        ),
        (
            "x = 1 # noqa: PLM104 the paper's\n",
            "unused noqa: PLM104 is not found on this line",
            "remove the comment",
            "x = 1 # the paper's\n",
        ),
        (
            "x = 1 # noqa: PLM104, see above\n",
            "unused noqa: PLM104 is not found on this line",
            "remove the comment",
            "x = 1 # see above\n",
        ),
        (
            "x = 1 # noqa: PLM104 # why\n",
            "unused noqa: PLM104 is not found on this line",
            "remove the comment",
            "x = 1 # why\n",
        ),
        (
            "x = 1 # why # noqa: PLM104\n",
            "unused noqa: PLM104 is not found on this line",
            "remove the comment",
            "x = 1 # why\n",
        ),
        (
            "  # noqa-file: PLM104\nx = 1\n",
            "unused noqa: PLM104 is not found in this file",
            "remove the comment",
            "x = 1\n",
        ),
        (
            "x = 1 # noqa: PLM104 -\n",
            "unused noqa: PLM104 is not found on this line",
            "remove the comment",
            "x = 1\n",
        ),
        ("x = 1\n# noqa-file", "unused noqa: nothing is found in this file", "remove the comment", "x = 1\n"),
        (
            "x = 1\n# noqa: PLM104\n",
            "unused noqa: PLM104 is not found on this line",
            "put it behind the value, or write noqa-file to speak of the whole file",
            "x = 1\n",
        ),
        (
            "x = 1 # noqa: PLM1O3\n",
            "no rule's code starts with PLM1O3",
            "did you mean PLM103?",
            "x = 1\n",
        ),
        (
            "x = 1 # noqa: PLM104, E501\n",
            "unused noqa: PLM104 is not found on this line; no rule's code starts with E501",
            "did you mean PLM501?",
            "x = 1\n",
        ),
    ],
)
def test_an_unused_comment_is_found_and_can_be_removed(text, message, advice, fixed):
    (found,) = unused(text)
    assert (found.code, found.severity, found.file) == ("PLM012", Severity.WARNING, "a.toml")
    assert (found.message, found.help) == (message, advice)
    assert found.source_line.strip().startswith(("x = 1", "#"))
    stretch = found.source_line[found.column - 1 : found.end_column - 1]
    assert stretch.startswith(("# noqa", "# NOQA"))
    assert found.fix.safe
    assert mended(text, found) == fixed
    before, after = (parse_document(one, Path("a.toml")).data for one in (text, fixed))
    assert after == before


def test_only_the_unused_codes_go():
    text = "x = 1 # noqa: PLM104, PLM103,PLM9999 why\n"
    (found,) = unused(text, at(text, "x"))
    assert found.message == (
        "unused noqa: PLM104 is not found on this line; no rule's code starts with PLM9999"
    )
    assert found.fix.title == "remove PLM104 and PLM9999 from the comment"
    assert mended(text, found) == "x = 1 # noqa: PLM103 why\n"


def test_a_used_comment_is_no_finding():
    for comment in ("# noqa", "# noqa: PLM103", "# noqa: PLM103, PLM1", "# noqa: PLM103 # noqa: PLM1"):
        text = f"# noqa-file: PLM103\nx = 1 {comment}\n"
        assert unused(text, at(text, "x")) == []


def test_in_yaml_the_comment_goes_with_its_blanks():
    text = "x: |   # noqa: PLM104\n  # noqa\ny: 1\n"
    (found,) = unused(text, file="a.yaml")
    assert mended(text, found) == "x: |\n  # noqa\ny: 1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1 # noqa:\n", "no code stands behind the colon, so that nothing is silenced"),
        ("x = 1 # noqa: agents\n", "no code stands behind the colon, so that nothing is silenced"),
        ("x = 1 # noqa-file: PLM103\n", "noqa-file counts on a line of its own; here it silences nothing"),
    ],
)
def test_a_comment_that_cannot_work_says_so(text, message):
    (found,) = unused(text, at(text, "x"))
    assert found.message == message
    assert found.fix is None


def test_beside_errors_of_shape_only_unknown_codes_are_reported():
    text = "x = 1 # noqa: PLM104\ny = 2 # noqa\nz = 3 # noqa: PLM1O3, PLM104\n"
    error = at(text, "x", "PLM005", file="<command line>")
    (found,) = unused(text, error)
    assert found.message == "no rule's code starts with PLM1O3"
    assert mended(text, found).endswith("z = 3 # noqa: PLM104\n")
    assert len(unused(text, at(text, "z", "PLM102"))) == 3


def test_files_that_are_not_reported_still_silence():
    text = "x = 1 # noqa: PLM103, PLM104\n"
    found = at(text, "x", file="base.toml")
    assert suppress([found], {"a.toml": "y = 1\n", "base.toml": text}, reported=["a.toml"]) == ([], [])


def test_codes_that_could_not_be_found_are_not_unused():
    text = "x = 1 # noqa: PLM303\ny = 1 # noqa: PLM3\nz = 1 # noqa: PLM307\n"
    (found,) = unused(text, dormant=["PLM303", "PLM304"])
    assert found.line == 3
    assert len(unused(text)) == 3


def test_a_comment_that_names_the_code_of_unused_ones_silences_them():
    assert unused("x = 1 # noqa: PLM104, PLM012\n") == []
    assert unused("# noqa-file: PLM012\nx = 1 # noqa: PLM104\n") == []
    assert len(unused("# noqa-file: PLM0\nx = 1 # noqa: PLM104\n")) == 2


def test_the_line_of_a_secret_is_shown_without_it():
    text = 'hf_token = "hf_0123456789" # noqa\nx = "hf_0123456789" # noqa\n'
    shown = [found.source_line for found in unused(text)]
    assert shown == ["hf_token = <redacted> # noqa", 'x = "<redacted>" # noqa']


def test_a_byte_order_mark_moves_nothing():
    (found,) = unused("\ufeffx = 1 # noqa\n")
    assert (found.line, found.column) == (1, 7)


def test_without_such_comments_nothing_is_read(monkeypatch):
    monkeypatch.setattr("pettingllms.lint.files.noqa.parse_document", None)
    text = "x = 1 # a comment\n" * 10
    found = at(text, "x")
    assert suppress([found], {"a.toml": text}) == ([found], [])


def test_a_long_file_is_read_in_no_time():
    text = "".join(f"k{number} = '# noqa' # noqa\n" for number in range(20000))
    begin = time.perf_counter()
    assert len(unused(text)) == 20000
    assert time.perf_counter() - begin < 20


def test_the_nearest_code_agrees_in_most_places():
    assert nearest_code("PLM1O3") == "PLM103"
    assert nearest_code("PML103") == "PLM103"
    assert nearest_code("XYZ") is None


@given(
    st.text(alphabet="x=1#noqa: PLM103,'\"\\\n[]{}|>-&*\t ", max_size=60),
    st.sampled_from(["a.toml", "a.yaml"]),
)
def test_no_text_crashes_it_and_every_fix_keeps_the_data(text, file):
    text = f"{text} # noqa\n"
    try:
        data = parse_document(text, Path(file)).data
    except Exception:
        data = None
    found = unused(text, file=file)
    assert data is not None or found == []
    for one in found:
        if one.fix is not None:
            assert parse_document(mended(text, one), Path(file)).data == data
