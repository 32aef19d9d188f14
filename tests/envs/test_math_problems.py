"""The drawn problems of mathematics: right answers by another way, disjoint splits, the same for one seed."""

import itertools
import math
import re
from fractions import Fraction

import pytest

from pettingllms.envs import DATASETS
from pettingllms.envs.drawn import Draw
from pettingllms.envs.grading import Gold, Verdict, grade
from pettingllms.envs.math import MathOptions
from pettingllms.errors import RefusedError

SETS = ("linear_systems", "modular", "combinatorics")
OPTIONS = MathOptions(train_size=300, validation_size=20, test_size=20)
each_set = pytest.mark.parametrize("name", SETS)


def tasks(name, split, options=OPTIONS, seed=0):
    return DATASETS.load(f"builtin:{name}")(split, options, seed)


def numbers(text):
    return [int(one) for one in re.findall(r"-?\d+", text)]


@each_set
def test_splits_are_as_large_as_asked_for_and_share_nothing(name):
    found = [tasks(name, split) for split in ("train", "val", "test")]
    assert [len(split) for split in found] == [300, 20, 20]
    questions = [task.data["question"] for split in found for task in split]
    assert len(set(questions)) == len({task.id for split in found for task in split}) == 340


@each_set
def test_one_seed_gives_one_set(name):
    assert tasks(name, "val") == tasks(name, "val") != tasks(name, "val", seed=1)


@each_set
def test_answers_are_graded_correct_and_those_of_other_tasks_are_not(name):
    for task, other in itertools.pairwise(tasks(name, "val")):
        gold = Gold.of(task.data)
        assert gold.simplified and grade(gold, gold.text) is Verdict.CORRECT
        if other.data["answer"] != gold.text:
            assert grade(gold, other.data["answer"]) is Verdict.WRONG


@pytest.mark.parametrize("unknowns", [2, 3])
def test_systems_are_solved_by_their_answers(unknowns):
    options = OPTIONS.model_copy(update={"unknowns": unknowns, "train_size": 50})
    for task in tasks("linear_systems", "train", options):
        values = dict(one.split(" = ") for one in task.data["answer"].split(", "))
        values = {name: Fraction(value) for name, value in values.items()}
        assert len(values) == unknowns
        for left, right in re.findall(r"([-+ \dxyz]+) = (-?\d+)", task.data["question"]):
            products = re.sub(r"(\d)([xyz])", r"\1*\2", left.strip().removeprefix("and "))
            assert eval(products, {}, values) == int(right)


def test_remainders_are_those_of_the_numbers_in_the_question():
    for task in tasks("modular", "train"):
        question, answer = task.data["question"], int(task.data["answer"])
        found = numbers(question)
        if "^" in question:
            base, exponent, modulus = found
            assert math.prod([base] * exponent) % modulus == answer
        elif "*" in question:
            first, second, more, modulus = found
            assert (first * second + more - answer) % modulus == 0 <= answer < modulus
        elif "times" in question:
            _, last, value, _, modulus = found
            assert last == modulus - 1 and (answer * value) % modulus == 1
        else:
            _, one, first, other, second = found
            assert answer == next(n for n in itertools.count() if n % first == one and n % second == other)


def test_counts_and_probabilities_are_those_of_all_cases():
    seen = set()
    for task in tasks("combinatorics", "train"):
        question, answer = task.data["question"], Fraction(task.data["answer"])
        found = numbers(question)
        if question.startswith("In how many"):
            some, women, others, men = found
            ways = [len(list(itertools.combinations(range(n), k))) for n, k in ((women, some), (men, others))]
            assert answer == ways[0] * ways[1]
            seen.add("choice")
        elif question.startswith("How many different") and question.count(", ") <= 6:
            letters = re.search(r"letters (.*?) have", question)[1].split(", ")
            assert answer == len(set(itertools.permutations(letters)))
            seen.add("arrangement")
        elif question.startswith("A path"):
            wide, high, _, across, up = found[2:]
            ways = {(0, 0): 1}
            for x, y in itertools.product(range(wide + 1), range(high + 1)):
                ways.setdefault((x, y), ways.get((x - 1, y), 0) + ways.get((x, y - 1), 0))
            assert answer == ways[across, up] * ways[wide - across, high - up]
            seen.add("paths")
        elif question.startswith("Two dice"):
            _, first, _, second, least = found
            rolls = list(itertools.product(range(1, first + 1), range(1, second + 1)))
            assert answer == Fraction(sum(sum(roll) >= least for roll in rolls), len(rolls))
            seen.add("dice")
        elif question.startswith("An urn"):
            red, blue, taken, wanted = found
            draws = list(itertools.combinations([1] * red + [0] * blue, taken))
            assert answer == Fraction(sum(sum(draw) == wanted for draw in draws), len(draws))
            seen.add("urn")
    assert seen == {"choice", "arrangement", "paths", "dice", "urn"}


def test_a_set_that_is_too_small_is_refused():
    with pytest.raises(RefusedError, match=r"builtin:combinatorics has only \d+ problems, too few beside"):
        tasks("combinatorics", "train", OPTIONS.model_copy(update={"test_size": 10**5}))


def test_draws_use_nothing_that_a_version_of_python_could_change():
    draw = Draw("seed")
    assert [draw.whole(1, 6) for _ in range(8)] == [int(1 + 6 * one) for one in raw("seed", 8)]
    assert all(draw.nonzero(3) for _ in range(50))


def raw(seed, count):
    import random

    source = random.Random(seed)
    return [source.random() for _ in range(count)]
