from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettingllms.envs import grading
from pettingllms.envs.grading import (
    Gold,
    Verdict,
    final_answer,
    grade,
    last_box,
    number,
    opinion_of,
    same_answer,
)


@pytest.mark.parametrize(
    ("text", "box"),
    [
        (r"\boxed{7}", "7"),
        (r"first \boxed{1}, then \boxed{2}", "2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{5", None),
        ("7", None),
        (r"\boxed{}", ""),
        (r"\boxed{{{{", None),
        (r"\boxed{1} and \boxed{2", "1"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed {5}", "5"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),
        (r"\boxed{\left\{ 1 \right.}", r"\left\{ 1 \right."),
        (r"a } b \boxed{5}", "5"),
    ],
)
def test_last_balanced_box_is_the_answer(text, box):
    assert last_box(text) == box


@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        ("61", "61", True),
        ("61", " 61. ", True),
        ("61", "61.0", True),
        ("1234", "1,234", True),
        ("-1234567.5", "-1,234,567.5", True),
        ("61", "6,1", False),
        ("1234", "12,34", False),
        ("61", "61,", False),
        ("1234", "1,234,", False),
        ("1/2", "0.5", True),
        ("-3", "-3", True),
        ("61", "16", False),
        ("61", "61 or 62", False),
        ("61", "", False),
        ("61", "9" * 10**6, False),
        ("61", "6e1", False),
        ("61", "1/0", False),
        ("61", "６１", True),
    ],
)
def test_equal_numbers_are_equal_answers(gold, answer, same):
    assert same_answer(gold, answer) is same


def test_text_is_no_number():
    assert number("abc") is None
    assert number("") is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("It is 3.\n#### 1,200", "1,200"),
        ("#### 1\n#### 2", "2"),
        (r"\boxed{3}" + "\n#### 4", "3"),
        ("#### ", None),
        ("so 5 #### 6", None),
        ("5", None),
        ("", None),
    ],
)
def test_hashes_mark_an_answer_where_there_is_no_box(text, answer):
    assert final_answer(text) == answer


@pytest.mark.parametrize("text", ["1,234", "1234.0", "x = 1234", "$1234$", "1234\\text{ cm}"])
def test_ways_to_write_one_number_are_one_opinion(text):
    assert opinion_of(text) == opinion_of("1234") == 1234


def test_a_blank_answer_is_no_opinion():
    assert opinion_of(None) is opinion_of(" ") is None
    assert opinion_of("\\text{yes}") == opinion_of("yes")


PIECES = st.sampled_from(
    [
        *(
            "\\frac",
            "\\sqrt",
            "\\text",
            "\\pm",
            "\\cup",
            "\\pmod",
            "\\%",
            "\\{",
            "\\}",
            "\\",
            "^",
            "_",
            "{",
            "}",
            "(",
        ),
        *(
            ")",
            "[",
            "]",
            ",",
            ";",
            "=",
            " or ",
            " ",
            "cm",
            "x",
            "1",
            "23",
            ".",
            "-",
            "/",
            "%",
            "½",
            "²",
            "√",
            "٣",
            "\ud800",
        ),
    ]
)


@given(st.lists(PIECES, max_size=25).map("".join), st.lists(PIECES, max_size=12).map("".join))
@settings(max_examples=300, deadline=None)
def test_no_text_makes_grading_raise_and_every_text_equals_itself(answer, gold):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(grading, "compare", lambda *_: (Verdict.WRONG, 0.0))
        assert isinstance(grade(Gold(gold), answer), Verdict)
        assert grade(Gold(answer), f" {answer} ") is Verdict.CORRECT
    hash(opinion_of(answer))


@given(st.fractions(max_denominator=10**6), st.fractions(max_denominator=10**6))
def test_fractions_are_equal_where_they_are(one, other):
    written = f"\\frac{{{one.numerator}}}{{{one.denominator}}}"
    assert number(str(one)) == number(written) == one
    assert grade(Gold(written), str(other)) == ("correct" if one == other else "wrong")


@given(st.integers(-(10**12), 10**12), st.integers(0, 6))
def test_decimals_have_their_exact_value(digits, places):
    value = Fraction(digits, 10**places)
    written = f"{value.numerator * 10**places // value.denominator / 10**places:,.{places}f}"
    if places <= 3 and abs(digits) < 10**9:
        assert number(written) == value
