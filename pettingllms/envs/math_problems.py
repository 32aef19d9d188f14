"""`builtin:linear_systems`, `builtin:modular`, `builtin:combinatorics`: drawn problems with exact answers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from pettingllms.envs.drawn import Draw, Drawn, drawn_tasks
from pettingllms.types import Split, Task

NAMES = "xyz"
_WORDS = (
    *("banana", "letter", "pepper", "coffee", "summer", "tattoo", "needle", "mirror", "rubber", "hammer"),
    *("college", "success", "balloon", "feeling", "quarrel", "bottle", "apple", "cookie", "puzzle", "dinner"),
    *("street", "spoon", "grass", "river", "level", "pencil", "garden", "planet", "guitar", "monkey"),
)


def linear_systems(split: Split, options: Any, seed: int) -> Sequence[Task]:
    """Systems of equations with as many unknowns; the answer names the value of each."""
    return drawn_tasks(
        f"builtin:linear_systems/{options.unknowns}",
        lambda draw: _system(draw, options.unknowns),
        split,
        options,
        seed,
    )


def modular(split: Split, options: Any, seed: int) -> Sequence[Task]:
    """Remainders of powers and products, inverses, and numbers with two given remainders."""
    kinds = (_power, _product, _inverse, _two_remainders)
    return drawn_tasks("builtin:modular", lambda draw: draw.one(kinds)(draw), split, options, seed)


def combinatorics(split: Split, options: Any, seed: int) -> Sequence[Task]:
    """Choices, arrangements of letters, paths, sums of dice and draws from an urn."""
    kinds: tuple[Callable[[Draw], Drawn], ...] = (_choice, _arrangement, _paths, _dice, _urn)
    return drawn_tasks("builtin:combinatorics", lambda draw: draw.one(kinds)(draw), split, options, seed)


def _system(draw: Draw, unknowns: int) -> Drawn:
    while True:
        rows = [[draw.nonzero(9) for _ in range(unknowns)] for _ in range(unknowns)]
        right = [draw.whole(-20, 20) for _ in range(unknowns)]
        solution = solved(rows, right)
        if solution is not None and all(value.denominator <= 6 for value in solution):
            break
    equations = [f"{_sum(row)} = {value}" for row, value in zip(rows, right, strict=True)]
    listed = f"{', '.join(equations[:-1])} and {equations[-1]}"
    answer = ", ".join(f"{name} = {value}" for name, value in zip(NAMES, solution, strict=False))
    form = ", ".join(f"{name} = …" for name in NAMES[:unknowns])
    return Drawn(frozenset(equations), f"Solve {listed}. Give {form}", answer)


def solved(rows: Sequence[Sequence[int]], right: Sequence[int]) -> list[Fraction] | None:
    """The only solution of a square system, or None where there is none or many (Gauss and Jordan)."""
    table = [[Fraction(one) for one in (*row, value)] for row, value in zip(rows, right, strict=True)]
    for column in range(len(table)):
        pivot = next((row for row in range(column, len(table)) if table[row][column]), None)
        if pivot is None:
            return None
        table[column], table[pivot] = table[pivot], table[column]
        table[column] = [one / table[column][column] for one in table[column]]
        for row in range(len(table)):
            if row != column:
                factor = table[row][column]
                table[row] = [
                    one - factor * other for one, other in zip(table[row], table[column], strict=True)
                ]
    return [row[-1] for row in table]


def _sum(coefficients: Sequence[int]) -> str:
    text = ""
    for coefficient, name in zip(coefficients, NAMES, strict=False):
        size = "" if abs(coefficient) == 1 else str(abs(coefficient))
        sign = " - " if coefficient < 0 else " + "
        text += (sign if text else sign.strip(" +")) + size + name
    return text


def _power(draw: Draw) -> Drawn:
    base, exponent, modulus = draw.whole(2, 30), draw.whole(3, 40), draw.whole(3, 30)
    question = f"What is the remainder when {base}^{exponent} is divided by {modulus}?"
    return Drawn(("power", base, exponent, modulus), question, str(pow(base, exponent, modulus)))


def _product(draw: Draw) -> Drawn:
    first, second, more, modulus = (
        draw.whole(10, 99),
        draw.whole(10, 99),
        draw.whole(1, 99),
        draw.whole(3, 30),
    )
    question = f"What is the remainder when {first} * {second} + {more} is divided by {modulus}?"
    key = ("product", min(first, second), max(first, second), more, modulus)
    return Drawn(key, question, str((first * second + more) % modulus))


def _inverse(draw: Draw) -> Drawn:
    while True:
        value, modulus = draw.whole(2, 60), draw.whole(5, 60)
        if value < modulus and math.gcd(value, modulus) == 1:
            break
    question = f"Which number from 1 to {modulus - 1} times {value} leaves the remainder 1 modulo {modulus}?"
    return Drawn(("inverse", value, modulus), question, str(pow(value, -1, modulus)))


def _two_remainders(draw: Draw) -> Drawn:
    while True:
        first, second = draw.whole(3, 20), draw.whole(3, 20)
        if first < second and math.gcd(first, second) == 1:
            break
    answer = draw.whole(0, first * second - 1)
    question = (
        f"What is the smallest number, 0 or more, that leaves the remainder {answer % first} when divided by "
        f"{first} and {answer % second} when divided by {second}?"
    )
    return Drawn(("remainders", first, second, answer), question, str(answer))


def _choice(draw: Draw) -> Drawn:
    women, men = draw.whole(3, 9), draw.whole(3, 9)
    some, others = draw.whole(1, women - 1), draw.whole(1, men - 1)
    question = f"In how many ways can {some} of {women} women and {others} of {men} men be chosen?"
    answer = math.comb(women, some) * math.comb(men, others)
    return Drawn(("choice", women, men, some, others), question, str(answer))


def _arrangement(draw: Draw) -> Drawn:
    word = draw.one(_WORDS)
    letters = "".join(sorted(word[: draw.whole(4, len(word))]))
    question = f"How many different arrangements do the letters {', '.join(letters)} have, all of them used?"
    answer = math.factorial(len(letters))
    for count in Counter(letters).values():
        answer //= math.factorial(count)
    return Drawn(("arrangement", letters), question, str(answer))


def _paths(draw: Draw) -> Drawn:
    wide, high = draw.whole(3, 9), draw.whole(3, 9)
    across, up = draw.whole(1, wide - 1), draw.whole(1, high - 1)
    question = (
        f"A path goes from (0, 0) to ({wide}, {high}) in steps of 1 to the right or upwards, and passes "
        f"({across}, {up}). How many such paths are there?"
    )
    answer = math.comb(across + up, up) * math.comb(wide - across + high - up, high - up)
    return Drawn(("paths", wide, high, across, up), question, str(answer))


def _dice(draw: Draw) -> Drawn:
    first, second = draw.whole(4, 12), draw.whole(4, 12)
    least = draw.whole(3, first + second)
    question = (
        f"Two dice have the sides 1 to {first} and 1 to {second}. What is the probability that their sum is "
        f"at least {least}? Give a fraction in lowest terms."
    )
    hits = sum(one + other >= least for one in range(1, first + 1) for other in range(1, second + 1))
    key = ("dice", min(first, second), max(first, second), least)
    return Drawn(key, question, str(Fraction(hits, first * second)))


def _urn(draw: Draw) -> Drawn:
    red, blue = draw.whole(2, 9), draw.whole(2, 9)
    taken = draw.whole(2, min(4, red + blue - 1))
    wanted = draw.whole(max(0, taken - blue), min(red, taken))
    question = (
        f"An urn holds {red} red and {blue} blue balls; {taken} are taken at once. What is the probability "
        f"that exactly {wanted} of them are red? Give a fraction in lowest terms."
    )
    ways = math.comb(red, wanted) * math.comb(blue, taken - wanted)
    return Drawn(
        ("urn", red, blue, taken, wanted), question, str(Fraction(ways, math.comb(red + blue, taken)))
    )
