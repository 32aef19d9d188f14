import pytest

from pettingllms.envs.arithmetic import generate
from pettingllms.envs.math import MathOptions
from pettingllms.errors import RefusedError

SPLITS = ("train", "val", "test")


def problems(split, options, seed=0):
    return [task.data["question"] for task in generate(split, options, seed)]


def canonical(question):
    left, sign, right = question.removeprefix("What is ").removesuffix("?").split()
    return tuple(sorted((left, right))), sign


def test_splits_share_no_problem_even_mirrored():
    options = MathOptions(digits=1, train_size=1024, validation_size=10, test_size=10)
    seen = [{canonical(question) for question in problems(split, options)} for split in SPLITS]
    # Digits 0-9 make 10 * 11 / 2 = 55 sums; 20 are held out.
    assert [len(split) for split in seen] == [35, 10, 10]
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]


def test_same_seed_same_tasks_other_seed_others():
    options = MathOptions()
    assert problems("test", options, 3) == problems("test", options, 3)
    assert problems("test", options, 3) != problems("test", options, 4)


def test_answers_are_right_for_every_operation():
    options = MathOptions(digits=3, operations=["+", "-", "*"])
    for task in generate("train", options, 0):
        expression = task.data["question"].removeprefix("What is ").removesuffix("?")
        assert task.data["answer"] == str(eval(expression))


def test_numbers_have_the_digits_asked_for():
    for task in generate("val", MathOptions(digits=4), 0):
        left, _, right = task.data["question"].removeprefix("What is ").removesuffix("?").split()
        assert len(left) == len(right) == 4


def test_too_many_held_out_problems_are_refused():
    with pytest.raises(RefusedError, match="only 55 problems"):
        generate("train", MathOptions(digits=1, validation_size=50, test_size=50), 0)
