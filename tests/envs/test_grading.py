import pytest

from pettingllms.envs.grading import last_box, number, same_answer


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
