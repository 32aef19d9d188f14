"""Rows of mathematical datasets as their authors write them."""

import pytest

from pettingllms.data.rows import BadRowError
from pettingllms.envs import math_rows

DAPO = (
    "Solve the following math problem step by step. The last line of your response should be of the form "
    "Answer: $Answer (without quotes) where $Answer is the answer to the problem.\n\n"
    "What is\n\n$1+1$?\n\n"
    'Remember to put your answer on its own line after "Answer:".'
)


@pytest.mark.parametrize(
    ("name", "row", "data"),
    [
        ("own", {"question": " 1+1? ", "answer": " 2 "}, {"question": "1+1?", "answer": "2"}),
        ("own", {"question": "q", "answer": 2.5, "id": 7}, {"question": "q", "answer": "2.5", "id": 7}),
        (
            "own",
            {"question": "q", "answer": "2.5", "unit": "cm", "tolerance": 0.1},
            {"question": "q", "answer": "2.5", "unit": "cm", "tolerance": "1/10"},
        ),
        (
            "olympiad_bench",
            {
                "id": 7,
                "question": "p",
                "final_answer": ["$1$", "$-1$"],
                "is_multiple_answer": True,
                "answer_type": "Numerical",
                "unit": None,
                "error": None,
            },
            {"question": "p", "answer": "1, -1", "id": 7},
        ),
        (
            "olympiad_bench",
            {
                "question": "p",
                "final_answer": ["2.5"],
                "is_multiple_answer": False,
                "answer_type": "Numerical",
                "unit": "$\\mathrm{cm}$",
                "error": "1e-1",
            },
            {"question": "p", "answer": "2.5", "unit": "$\\mathrm{cm}$", "tolerance": "1/10"},
        ),
        (
            "olympiad_bench",
            {"question": "p", "final_answer": ["1,2"], "is_multiple_answer": False, "answer_type": "Tuple"},
            {"question": "p", "answer": "1,2", "ordered": True},
        ),
        ("own", {"question": "q", "answer": 2.0}, {"question": "q", "answer": "2"}),
        ("own", {"question": "q", "answer": 1e-7}, {"question": "q", "answer": "0.0000001"}),
        (
            "gsm8k",
            {"question": "How many?", "answer": "It is <<600*2=1200>>1200.\n#### 1,200"},
            {"question": "How many?", "answer": "1200"},
        ),
        (
            "math500",
            {"problem": "p", "answer": r"\frac{1}{2}", "unique_id": "test/algebra/1.json", "level": 3},
            {"question": "p", "answer": r"\frac{1}{2}", "id": "test/algebra/1.json"},
        ),
        ("polaris", {"problem": "p", "answer": "5", "difficulty": "3/8"}, {"question": "p", "answer": "5"}),
        (
            "dapo",
            {"prompt": [{"content": DAPO, "role": "user"}], "reward_model": {"ground_truth": "2"}},
            {"question": "What is\n\n$1+1$?", "answer": "2"},
        ),
        (
            "aime",
            {"Problem": "p", "Answer": 33, "ID": "2024-I-1"},
            {"question": "p", "answer": "33", "id": "2024-I-1"},
        ),
        ("aime", {"Question": "p", "Answer": "033", "Year": 1983}, {"question": "p", "answer": "033"}),
        ("aime", {"problem": "p", "answer": "33"}, {"question": "p", "answer": "33"}),
    ],
)
def test_a_row_becomes_a_question_and_its_answer(name, row, data):
    assert getattr(math_rows, name)(row) == data


@pytest.mark.parametrize(
    ("name", "row", "reason"),
    [
        ("own", {"question": "q"}, "missing_field"),
        ("own", {"answer": "2"}, "missing_field"),
        ("own", {"question": "q", "answer": None}, "missing_field"),
        ("own", {"question": "q", "answer": ""}, "empty_gold"),
        ("own", {"question": "q", "answer": [1]}, "wrong_type"),
        ("own", {"question": 7, "answer": "2"}, "wrong_type"),
        ("own", {"question": "q", "answer": float("inf")}, "wrong_type"),
        ("own", {"question": "q", "answer": "2", "tolerance": "much"}, "wrong_type"),
        ("own", {"question": "q", "answer": "2", "tolerance": -1}, "wrong_type"),
        ("olympiad_bench", {"question": "q", "final_answer": "2"}, "wrong_type"),
        ("olympiad_bench", {"question": "q", "final_answer": []}, "empty_gold"),
        ("olympiad_bench", {"question": "q", "final_answer": ["2"], "error": "1e-1,1e-2"}, "wrong_type"),
        ("gsm8k", {"question": "q", "answer": "It is 7."}, "empty_gold"),
        ("gsm8k", {"question": "q", "answer": "#### "}, "empty_gold"),
        ("gsm8k", {"question": "q", "answer": 7}, "wrong_type"),
        ("dapo", {"prompt": [], "reward_model": {"ground_truth": "2"}}, "missing_field"),
        ("dapo", {"prompt": [{"content": DAPO}], "reward_model": {}}, "missing_field"),
        ("aime", {"Problem": "p"}, "missing_field"),
    ],
)
def test_a_row_without_a_question_or_an_answer_is_bad(name, row, reason):
    with pytest.raises(BadRowError) as caught:
        getattr(math_rows, name)(row)
    assert caught.value.reason == reason
