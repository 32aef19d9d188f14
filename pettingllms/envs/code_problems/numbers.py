"""Built-in problems about a few whole numbers."""

from pettingllms.envs.code_problems.draws import integer, lines
from pettingllms.envs.code_problems.problem import Problem

_TWO = lines(integer(-50, 50), integer(-50, 50))

PROBLEMS = (
    Problem(
        "same_number",
        level=1,
        statement="Read an integer n. Print n.",
        golden="print(int(input()))",
        wrong=("print('n')", "print(int(input()) + 1)"),
        draw=integer(-99, 99),
    ),
    Problem(
        "plus_one",
        level=1,
        statement="Read an integer n. Print n + 1.",
        golden="print(int(input()) + 1)",
        wrong=("print(input() + '1')", "print(int(input()) - 1)"),
        draw=integer(-99, 99),
        edges=("-1\n", "9\n"),
    ),
    Problem(
        "minus_ten",
        level=1,
        statement="Read an integer n. Print n - 10.",
        golden="print(int(input()) - 10)",
        wrong=("print(10 - int(input()))", "print(int(input()) + 10)"),
        draw=integer(-99, 99),
    ),
    Problem(
        "double",
        level=1,
        statement="Read an integer n. Print n * 2.",
        golden="print(int(input()) * 2)",
        wrong=("print(input() * 2)", "print(int(input()) + 2)"),
        draw=integer(-99, 99),
        edges=("0\n",),
    ),
    Problem(
        "triple",
        level=1,
        statement="Read an integer n. Print n * 3.",
        golden="print(int(input()) * 3)",
        wrong=("print(int(input()) + 3)", "print(int(input()) ** 3)"),
        draw=integer(-99, 99),
    ),
    Problem(
        "square",
        level=1,
        statement="Read an integer n. Print n * n.",
        golden="n = int(input())\nprint(n * n)",
        wrong=("print(int(input()) * 2)", "n = int(input())\nprint(n * abs(n))"),
        draw=integer(-40, 40),
        edges=("-5\n",),
    ),
    Problem(
        "negative",
        level=1,
        statement="Read an integer n. Print -n.",
        golden="print(-int(input()))",
        wrong=("print('-' + input())", "print(-abs(int(input())))"),
        draw=integer(-99, 99),
        edges=("-7\n", "0\n"),
    ),
    Problem(
        "half",
        level=1,
        statement="Read an even integer n. Print half of it as an integer.",
        golden="print(int(input()) // 2)",
        wrong=("print(int(input()) - 2)", "print(int(input()) * 2)"),
        draw=lambda source: f"{2 * source.randint(-50, 50)}\n",
    ),
    Problem(
        "absolute",
        level=1,
        statement="Read an integer n. Print its absolute value.",
        golden="print(abs(int(input())))",
        wrong=("print(int(input()))", "print(-int(input()))"),
        draw=integer(-99, 99),
        edges=("-3\n", "3\n"),
    ),
    Problem(
        "last_digit",
        level=1,
        statement="Read a positive integer n. Print its last digit.",
        golden="print(int(input()) % 10)",
        wrong=("print(input()[0])", "print(int(input()) // 10)"),
        draw=integer(10, 9999),
    ),
    Problem(
        "add",
        level=1,
        statement="Read two integers, one per line. Print their sum.",
        golden="print(int(input()) + int(input()))",
        wrong=("print(input() + input())", "print(int(input()) - int(input()))"),
        draw=_TWO,
    ),
    Problem(
        "subtract",
        level=1,
        statement="Read two integers a and b, one per line. Print a - b.",
        golden="print(int(input()) - int(input()))",
        wrong=("print(int(input()) + int(input()))", "print(abs(int(input()) - int(input())))"),
        draw=_TWO,
        edges=("3\n8\n",),
    ),
    Problem(
        "multiply",
        level=1,
        statement="Read two integers, one per line. Print their product.",
        golden="print(int(input()) * int(input()))",
        wrong=("print(int(input()) + int(input()))", "n = int(input())\nprint(n * n)"),
        draw=_TWO,
    ),
    Problem(
        "quotient",
        level=1,
        statement="Read two positive integers a and b, one per line. Print a // b, the whole quotient.",
        golden="print(int(input()) // int(input()))",
        wrong=("print(int(input()) / int(input()))", "print(int(input()) % int(input()))"),
        draw=lines(integer(10, 500), integer(2, 9)),
    ),
    Problem(
        "remainder",
        level=1,
        statement="Read two positive integers a and b, one per line. Print the remainder of a / b.",
        golden="print(int(input()) % int(input()))",
        wrong=("print(int(input()) // int(input()))", "print(int(input()) - int(input()))"),
        draw=lines(integer(10, 500), integer(7, 19)),
    ),
    Problem(
        "seconds",
        level=1,
        statement="Read a number of minutes. Print how many seconds that is.",
        golden="print(int(input()) * 60)",
        wrong=("print(int(input()) * 100)", "print(int(input()) + 60)"),
        draw=integer(1, 200),
    ),
    Problem(
        "perimeter",
        level=1,
        statement="Read the two sides of a rectangle, one per line. Print its perimeter.",
        golden="print(2 * (int(input()) + int(input())))",
        wrong=("print(int(input()) * int(input()))", "print(int(input()) + int(input()))"),
        draw=lines(integer(1, 60), integer(1, 60)),
    ),
    Problem(
        "sum_of_three",
        level=1,
        statement="Read three integers on one line. Print their sum.",
        golden="print(sum(map(int, input().split())))",
        wrong=("print(input())", "a, b, c = map(int, input().split())\nprint(a + b)"),
        draw=lambda source: " ".join(str(source.randint(-30, 30)) for _ in range(3)) + "\n",
        edges=("1 2 3\n",),
    ),
    Problem(
        "digit_sum",
        level=2,
        statement="Read a positive integer. Print the sum of its digits.",
        golden="print(sum(int(digit) for digit in input().strip()))",
        wrong=("print(len(input()))", "print(sum({int(digit) for digit in input().strip()}))"),
        draw=integer(10, 99999),
        edges=("11\n", "5\n"),
    ),
    Problem(
        "backwards",
        level=2,
        statement="Read a positive integer. Print the number with its digits in reverse.",
        golden="print(int(input().strip()[::-1]))",
        wrong=("print(''.join(sorted(input().strip())))", "print(input())"),
        draw=integer(10, 99999),
        edges=("120\n", "1000\n"),
    ),
    Problem(
        "factorial",
        level=2,
        statement="Read an integer n from 0 to 15. Print n! (0! is 1).",
        golden="""
            result = 1
            for k in range(2, int(input()) + 1):
                result *= k
            print(result)
        """,
        wrong=(
            "result = 1\nfor k in range(1, int(input())):\n    result *= k\nprint(result)",
            "print(sum(range(int(input()) + 1)))",
        ),
        draw=integer(0, 15),
    ),
    Problem(
        "power",
        level=2,
        statement="Read two integers a and n on one line, n at least 0. Print a to the power of n.",
        golden="a, n = map(int, input().split())\nprint(a ** n)",
        wrong=(
            "a, n = map(int, input().split())\nprint(a * n)",
            "a, n = map(int, input().split())\nprint(n ** abs(a))",
        ),
        draw=lambda source: f"{source.randint(-6, 9)} {source.randint(0, 9)}\n",
        edges=("5 0\n", "-2 3\n"),
    ),
    Problem(
        "binary",
        level=2,
        statement="Read an integer n of at least 0. Print n in binary, without a prefix.",
        golden="print(format(int(input()), 'b'))",
        wrong=("print(bin(int(input())))", "print(format(int(input()), 'b')[::-1])"),
        draw=integer(0, 1000),
        edges=("0\n", "6\n"),
    ),
    Problem(
        "common_divisor",
        level=3,
        statement="Read two positive integers on one line. Print their greatest common divisor.",
        golden="""
            a, b = map(int, input().split())
            while b:
                a, b = b, a % b
            print(a)
        """,
        wrong=(
            "a, b = map(int, input().split())\nprint(min(a, b))",
            "a, b = map(int, input().split())\nprint(a * b)",
        ),
        draw=lambda source: (
            f"{(k := source.randint(1, 12)) * source.randint(1, 40)} {k * source.randint(1, 40)}\n"
        ),
        edges=("12 18\n", "7 7\n"),
    ),
)
