"""Built-in problems that count, build rows of their own, or look for the best way."""

from pettingllms.envs.code_problems.draws import integer, lines, row
from pettingllms.envs.code_problems.problem import Problem

PROBLEMS = (
    Problem(
        "count_up",
        level=1,
        statement="Read a positive integer n. Print the numbers from 1 to n, one per line.",
        golden="for k in range(1, int(input()) + 1):\n    print(k)",
        wrong=("for k in range(int(input())):\n    print(k)", "print(*range(1, int(input()) + 1))"),
        draw=integer(2, 20),
    ),
    Problem(
        "count_down",
        level=1,
        statement="Read a positive integer n. Print the numbers from n down to 1 on one line.",
        golden="print(*range(int(input()), 0, -1))",
        wrong=("print(*range(1, int(input()) + 1))", "print(*range(int(input()), -1, -1))"),
        draw=integer(2, 25),
    ),
    Problem(
        "stars",
        level=1,
        statement="Read a positive integer n. Print a line of n stars.",
        golden="print('*' * int(input()))",
        wrong=("print('*')", "print('* ' * int(input()))"),
        draw=integer(2, 40),
    ),
    Problem(
        "sum_to",
        level=1,
        statement="Read a positive integer n. Print the sum of the numbers from 1 to n.",
        golden="print(sum(range(int(input()) + 1)))",
        wrong=("print(sum(range(int(input()))))", "print(int(input()) * 2)"),
        draw=integer(1, 100),
    ),
    Problem(
        "times_table",
        level=1,
        statement="Read an integer n. Print n times 1, n times 2, up to n times 5, on one line.",
        golden="n = int(input())\nprint(*(n * k for k in range(1, 6)))",
        wrong=("n = int(input())\nprint(n * 5)", "n = int(input())\nprint(*(n * k for k in range(5)))"),
        draw=integer(2, 60),
    ),
    Problem(
        "stairs_of_stars",
        level=2,
        statement="Read a positive integer n. Print n lines: one star, then two, up to n.",
        golden="for k in range(1, int(input()) + 1):\n    print('*' * k)",
        wrong=(
            "for k in range(int(input())):\n    print('*' * k)",
            "n = int(input())\nprint(('*' * n + '\\n') * n)",
        ),
        draw=integer(2, 16),
    ),
    Problem(
        "fibonacci",
        level=2,
        statement=(
            "Read an integer n of at least 1. Print the n-th Fibonacci number: 1, 1, 2, 3, 5, and so on."
        ),
        golden="""
            a, b = 1, 1
            for _ in range(int(input()) - 1):
                a, b = b, a + b
            print(a)
        """,
        wrong=(
            "a, b = 1, 1\nfor _ in range(int(input())):\n    a, b = b, a + b\nprint(a)",
            "print(int(input()))",
        ),
        draw=integer(1, 40),
    ),
    Problem(
        "collatz",
        level=2,
        statement=(
            "Read a positive integer. Halve it if it is even, else triple it and add 1, until it "
            "is 1. Print how many times that was done."
        ),
        golden="""
            n, steps = int(input()), 0
            while n != 1:
                n = n // 2 if n % 2 == 0 else 3 * n + 1
                steps += 1
            print(steps)
        """,
        wrong=(
            """
            n, steps = int(input()), 1
            while n != 1:
                n = n // 2 if n % 2 == 0 else 3 * n + 1
                steps += 1
            print(steps)
            """,
            "print(int(input()).bit_length())",
        ),
        draw=integer(1, 60),
    ),
    Problem(
        "divisors",
        level=2,
        statement="Read a positive integer. Print all its divisors from small to large on one line.",
        golden="n = int(input())\nprint(*(k for k in range(1, n + 1) if n % k == 0))",
        wrong=(
            "n = int(input())\nprint(*(k for k in range(1, n) if n % k == 0))",
            "n = int(input())\nprint(*(k for k in range(2, n + 1) if n % k == 0))",
        ),
        draw=integer(2, 120),
    ),
    Problem(
        "primes_up_to",
        level=3,
        statement="Read an integer n of at least 2. Print the prime numbers up to n on one line.",
        golden="""
            n = int(input())
            primes = []
            for k in range(2, n + 1):
                if all(k % prime for prime in primes):
                    primes.append(k)
            print(*primes)
        """,
        wrong=(
            "print(2, *range(3, int(input()) + 1, 2))",
            "n = int(input())\nprint(*(k for k in range(2, n) if all(k % j for j in range(2, k))))",
        ),
        draw=integer(2, 80),
        edges=("9\n", "7\n", "2\n"),
    ),
    Problem(
        "climbing",
        level=3,
        statement=(
            "A stair has n steps. You take one, two or three at a time. Read n, at least 1, and "
            "print in how many ways you can climb it."
        ),
        golden="""
            a, b, c = 0, 0, 1
            for _ in range(int(input())):
                a, b, c = b, c, a + b + c
            print(c)
        """,
        wrong=(
            "a, b = 0, 1\nfor _ in range(int(input())):\n    a, b = b, a + b\nprint(b)",
            "print(2 ** (int(input()) - 1))",
        ),
        draw=integer(1, 30),
    ),
    Problem(
        "grid_paths",
        level=3,
        statement=(
            "Read the numbers of rows and columns of a grid on one line. Print how many ways lead "
            "from the top left cell to the bottom right one, going right or down only."
        ),
        golden="""
            rows, columns = map(int, input().split())
            ways = [1] * columns
            for _ in range(rows - 1):
                for k in range(1, columns):
                    ways[k] += ways[k - 1]
            print(ways[-1])
        """,
        wrong=(
            "rows, columns = map(int, input().split())\nprint(rows * columns)",
            "rows, columns = map(int, input().split())\nprint(2 ** (rows + columns - 2))",
        ),
        draw=lambda source: f"{source.randint(1, 9)} {source.randint(2, 9)}\n",
        edges=("1 5\n", "2 2\n"),
    ),
    Problem(
        "last_standing",
        level=3,
        statement=(
            "Numbers 1 to n stand in a circle. From 1 on, every k-th is taken out, counting on "
            "after each, until one is left. Read n and k on one line and print the last number."
        ),
        golden="""
            n, k = map(int, input().split())
            last = 0
            for size in range(2, n + 1):
                last = (last + k) % size
            print(last + 1)
        """,
        wrong=(
            "n, k = map(int, input().split())\nprint(n % k + 1)",
            "n, k = map(int, input().split())\nprint(n)",
        ),
        draw=lambda source: f"{source.randint(2, 40)} {source.randint(2, 7)}\n",
    ),
    Problem(
        "heaviest_bag",
        level=3,
        statement=(
            "Read the limit of a bag, then the weights of some things on the next line. Print the "
            "largest total weight of things that the bag can hold without going over its limit."
        ),
        golden="""
            limit, totals = int(input()), {0}
            for weight in map(int, input().split()):
                totals |= {total + weight for total in totals if total + weight <= limit}
            print(max(totals))
        """,
        wrong=(
            """
            limit, total = int(input()), 0
            for weight in sorted(map(int, input().split())):
                total += weight if total + weight <= limit else 0
            print(total)
            """,
            "limit = int(input())\nprint(min(limit, sum(map(int, input().split()))))",
        ),
        draw=lines(integer(10, 60), row(3, 7, 4, 30)),
        edges=("10\n6 5 5\n", "3\n5 7\n"),
    ),
)
