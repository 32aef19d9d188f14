"""Built-in problems in which the answer is one of a few."""

from random import Random

from pettingllms.envs.code_problems.draws import WORDS, integer, lines
from pettingllms.envs.code_problems.problem import Problem


def _near_pair(source: Random) -> str:
    """Two numbers that are equal about as often as not."""
    first = source.randint(-20, 20)
    return f"{first}\n{source.choice([first, first, first + 1, -first])}\n"


def _triangle(source: Random) -> str:
    a = source.randint(2, 9)
    return (
        " ".join(map(str, source.choice([(a, a, a), (a, a, a + 1), (a + 1, a, a), (a, a + 1, a + 2)]))) + "\n"
    )


PROBLEMS = (
    Problem(
        "even_or_odd",
        level=1,
        statement="Read an integer. Print even or odd.",
        golden="print('even' if int(input()) % 2 == 0 else 'odd')",
        wrong=("print('even')", "print('odd' if int(input()) % 2 == 0 else 'even')"),
        draw=integer(-99, 99),
    ),
    Problem(
        "larger",
        level=1,
        statement="Read two integers, one per line. Print the larger one.",
        golden="print(max(int(input()), int(input())))",
        wrong=("print(max(input(), input()))", "print(min(int(input()), int(input())))"),
        draw=lines(integer(-99, 99), integer(-99, 99)),
        edges=("9\n10\n", "-3\n-20\n"),
    ),
    Problem(
        "smaller",
        level=1,
        statement="Read two integers, one per line. Print the smaller one.",
        golden="print(min(int(input()), int(input())))",
        wrong=("print(int(input()))", "print(max(int(input()), int(input())))"),
        draw=lines(integer(-99, 99), integer(-99, 99)),
        edges=("9\n10\n", "8\n1\n"),
    ),
    Problem(
        "positive",
        level=1,
        statement="Read an integer. Print yes if it is greater than 0, else no.",
        golden="print('yes' if int(input()) > 0 else 'no')",
        wrong=("print('yes' if int(input()) >= 0 else 'no')", "print('no')"),
        draw=integer(-20, 20),
        edges=("0\n", "1\n"),
    ),
    Problem(
        "equal",
        level=1,
        statement="Read two integers, one per line. Print yes if they are equal, else no.",
        golden="print('yes' if int(input()) == int(input()) else 'no')",
        wrong=(
            "print('no' if int(input()) == int(input()) else 'yes')",
            "print('yes' if abs(int(input())) == abs(int(input())) else 'no')",
        ),
        draw=_near_pair,
        edges=("4\n-4\n", "5\n5\n"),
    ),
    Problem(
        "by_five",
        level=1,
        statement="Read an integer. Print yes if it is divisible by 5, else no.",
        golden="print('yes' if int(input()) % 5 == 0 else 'no')",
        wrong=(
            "print('yes' if int(input()) // 5 else 'no')",
            "print('yes' if input().endswith('5') else 'no')",
        ),
        draw=lambda source: f"{source.choice([5, 1]) * source.randint(1, 60)}\n",
        edges=("10\n", "15\n", "53\n"),
    ),
    Problem(
        "sign",
        level=1,
        statement="Read an integer. Print -1 if it is negative, 0 if it is zero, 1 if it is positive.",
        golden="n = int(input())\nprint((n > 0) - (n < 0))",
        wrong=("print(1 if int(input()) > 0 else -1)", "print(0)"),
        draw=integer(-30, 30),
        edges=("0\n",),
    ),
    Problem(
        "vowel",
        level=1,
        statement="Read a word. Print vowel if it begins with a, e, i, o or u, else consonant.",
        golden="print('vowel' if input()[0] in 'aeiou' else 'consonant')",
        wrong=("print('vowel' if input()[0] in 'aeo' else 'consonant')", "print('consonant')"),
        draw=lambda source: source.choice("aeioubdgmt") + source.choice(WORDS) + "\n",
        edges=("iron\n", "under\n"),
    ),
    Problem(
        "fizz",
        level=2,
        statement=(
            "Read a positive integer. Print Fizz if 3 divides it, Buzz if 5 does, FizzBuzz if "
            "both do, else it."
        ),
        golden="""
            n = int(input())
            print('Fizz' * (n % 3 == 0) + 'Buzz' * (n % 5 == 0) or n)
        """,
        wrong=(
            "n = int(input())\nprint('Fizz' if n % 3 == 0 else 'Buzz' if n % 5 == 0 else n)",
            "print(int(input()))",
        ),
        draw=lambda source: f"{source.choice([1, 3, 5, 15]) * source.randint(1, 30)}\n",
        edges=("15\n", "7\n"),
    ),
    Problem(
        "leap_year",
        level=2,
        statement="Read a year. Print leap or common by the Gregorian rule.",
        golden="""
            year = int(input())
            leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
            print('leap' if leap else 'common')
        """,
        wrong=(
            "print('leap' if int(input()) % 4 == 0 else 'common')",
            "year = int(input())\nprint('leap' if year % 4 == 0 and year % 100 else 'common')",
        ),
        draw=lambda source: f"{source.choice([1, 4]) * source.randint(450, 525)}\n",
        edges=("1900\n", "2000\n", "2024\n", "2100\n"),
    ),
    Problem(
        "middle",
        level=2,
        statement="Read three different integers on one line. Print the middle one by size.",
        golden="print(sorted(map(int, input().split()))[1])",
        wrong=("print(input().split()[1])", "print(sorted(input().split())[1])"),
        draw=lambda source: " ".join(map(str, source.sample(range(-50, 120), 3))) + "\n",
        edges=("9 10 100\n", "-5 3 -20\n"),
    ),
    Problem(
        "grade",
        level=2,
        statement="Read points from 0 to 100. Print A from 90 on, B from 75 on, C from 50 on, else F.",
        golden="""
            points = int(input())
            print('A' if points >= 90 else 'B' if points >= 75 else 'C' if points >= 50 else 'F')
        """,
        wrong=(
            "p = int(input())\nprint('A' if p > 90 else 'B' if p > 75 else 'C' if p > 50 else 'F')",
            "print('A' if int(input()) >= 50 else 'F')",
        ),
        draw=integer(0, 100),
        edges=("90\n", "75\n", "50\n", "49\n"),
    ),
    Problem(
        "triangle",
        level=2,
        statement=(
            "Read three side lengths of a triangle on one line. Print equilateral, isosceles or scalene."
        ),
        golden="""
            sides = len(set(input().split()))
            print(['equilateral', 'isosceles', 'scalene'][sides - 1])
        """,
        wrong=(
            "a, b, c = input().split()\nprint('isosceles' if a == b or b == c else 'scalene')",
            "a, b, c = input().split()\nprint('equilateral' if a == b else 'scalene')",
        ),
        draw=_triangle,
        edges=("3 4 3\n", "5 5 5\n"),
    ),
    Problem(
        "prime",
        level=2,
        statement="Read an integer of at least 1. Print prime if it is a prime number, else not prime.",
        golden="""
            n = int(input())
            prime = n > 1 and all(n % k for k in range(2, int(n ** 0.5) + 1))
            print('prime' if prime else 'not prime')
        """,
        wrong=(
            "print('prime' if int(input()) % 2 else 'not prime')",
            "n = int(input())\nprint('prime' if all(n % k for k in range(2, n // 2)) else 'not prime')",
        ),
        draw=lambda source: f"{source.choice([2, 3, 13, 37, 97, 101, *range(1, 200, 9)])}\n",
        edges=("1\n", "2\n", "4\n", "91\n", "89\n"),
    ),
    Problem(
        "change",
        level=3,
        statement=(
            "Read an amount in cents. Print the smallest number of coins of 1, 7 and 10 cents that make it."
        ),
        golden="""
            amount = int(input())
            best = [0]
            for cents in range(1, amount + 1):
                best.append(1 + min(best[cents - coin] for coin in (1, 7, 10) if coin <= cents))
            print(best[amount])
        """,
        wrong=(
            "n = int(input())\nprint(n // 10 + n % 10 // 7 + n % 10 % 7)",
            "n = int(input())\nprint(n // 7 + n % 7)",
        ),
        draw=integer(1, 120),
        edges=("14\n", "21\n", "28\n", "10\n"),
    ),
)
