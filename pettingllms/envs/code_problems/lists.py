"""Built-in problems about a row of whole numbers."""

from random import Random

from pettingllms.envs.code_problems.draws import integer, lines, row
from pettingllms.envs.code_problems.problem import Problem

_ROW = row(3, 8, -30, 30)


def _pair_sum(source: Random) -> str:
    numbers = [source.randint(1, 30) for _ in range(source.randint(3, 7))]
    target = source.choice([sum(source.sample(numbers, 2)), source.randint(2, 60), 2 * numbers[0]])
    return f"{target}\n{' '.join(map(str, numbers))}\n"


PROBLEMS = (
    Problem(
        "total",
        level=1,
        statement="Read integers on one line. Print their sum.",
        golden="print(sum(map(int, input().split())))",
        wrong=("print(len(input().split()))", "print(max(map(int, input().split())))"),
        draw=_ROW,
    ),
    Problem(
        "largest",
        level=1,
        statement="Read integers on one line. Print the largest.",
        golden="print(max(map(int, input().split())))",
        wrong=("print(max(input().split()))", "print(min(map(int, input().split())))"),
        draw=row(3, 8, -60, 200),
        edges=("9 10\n", "-5 -20\n"),
    ),
    Problem(
        "smallest",
        level=1,
        statement="Read integers on one line. Print the smallest.",
        golden="print(min(map(int, input().split())))",
        wrong=("print(min(input().split()))", "print(input().split()[0])"),
        draw=row(3, 8, -60, 200),
        edges=("9 10\n", "30 4 5\n"),
    ),
    Problem(
        "how_many",
        level=1,
        statement="Read integers on one line. Print how many there are.",
        golden="print(len(input().split()))",
        wrong=("print(len(input()))", "print(len(set(input().split())))"),
        draw=row(1, 20, 0, 9),
        edges=("7 7\n", "5\n"),
    ),
    Problem(
        "row_backwards",
        level=1,
        statement="Read integers on one line. Print them in reverse order.",
        golden="print(*input().split()[::-1])",
        wrong=("print(input()[::-1])", "print(*sorted(map(int, input().split()), reverse=True))"),
        draw=row(3, 6, 10, 99),
        edges=("12 50 31\n",),
    ),
    Problem(
        "sorted_row",
        level=1,
        statement="Read integers on one line. Print them from small to large.",
        golden="print(*sorted(map(int, input().split())))",
        wrong=("print(*sorted(input().split()))", "print(*sorted(map(int, input().split()), reverse=True))"),
        draw=row(3, 7, 0, 200),
        edges=("9 10 100\n",),
    ),
    Problem(
        "all_plus_one",
        level=2,
        statement="Read integers on one line. Print each plus 1, on one line.",
        golden="print(*(int(number) + 1 for number in input().split()))",
        wrong=("print(sum(map(int, input().split())) + 1)", "print(input(), 1)"),
        draw=_ROW,
    ),
    Problem(
        "count_even",
        level=2,
        statement="Read integers on one line. Print how many of them are even.",
        golden="print(sum(int(number) % 2 == 0 for number in input().split()))",
        wrong=(
            "print(sum(int(number) % 2 for number in input().split()))",
            "print(sum(int(number) for number in input().split() if int(number) % 2 == 0))",
        ),
        draw=row(1, 14, 1, 99),
        edges=("2 4 5\n",),
    ),
    Problem(
        "sum_of_positive",
        level=2,
        statement="Read integers on one line. Print the sum of those above 0; 0 if there are none.",
        golden="print(sum(max(0, int(number)) for number in input().split()))",
        wrong=(
            "print(sum(map(int, input().split())))",
            "print(sum(int(number) > 0 for number in input().split()))",
        ),
        draw=_ROW,
        edges=("-1 -2\n", "5 -3\n"),
    ),
    Problem(
        "second_largest",
        level=2,
        statement="Read at least two different integers on one line. Print the second largest.",
        golden="print(sorted(map(int, input().split()))[-2])",
        wrong=("print(sorted(input().split())[-2])", "print(sorted(map(int, input().split()))[1])"),
        draw=lambda source: " ".join(map(str, source.sample(range(1, 150), source.randint(2, 7)))) + "\n",
        edges=("9 10 100 3\n",),
    ),
    Problem(
        "running_sums",
        level=2,
        statement=(
            "Read integers on one line. Print the sums of the first one, the first two, and so "
            "on, on one line."
        ),
        golden="""
            total, sums = 0, []
            for number in input().split():
                total += int(number)
                sums.append(total)
            print(*sums)
        """,
        wrong=("print(sum(map(int, input().split())))", "print(*map(int, input().split()))"),
        draw=row(2, 6, -20, 20),
    ),
    Problem(
        "spread",
        level=2,
        statement="Read integers on one line. Print the largest minus the smallest.",
        golden="numbers = list(map(int, input().split()))\nprint(max(numbers) - min(numbers))",
        wrong=(
            "numbers = list(map(int, input().split()))\nprint(numbers[-1] - numbers[0])",
            "print(max(map(int, input().split())))",
        ),
        draw=_ROW,
        edges=("5 1 3\n",),
    ),
    Problem(
        "without_repeats",
        level=2,
        statement="Read integers on one line. Print each number once, in order of first appearance.",
        golden="print(*dict.fromkeys(input().split()))",
        wrong=("print(*sorted(set(map(int, input().split()))))", "print(input())"),
        draw=row(4, 8, 1, 6),
        edges=("3 1 3 2\n", "2 2\n"),
    ),
    Problem(
        "turned",
        level=2,
        statement=(
            "Read a number k, then integers on the next line. Print the integers with the first "
            "k, which are fewer than all, moved to the end."
        ),
        golden="k = int(input())\nnumbers = input().split()\nprint(*numbers[k:], *numbers[:k])",
        wrong=(
            "k = int(input())\nnumbers = input().split()\nprint(*numbers[-k:], *numbers[:-k])",
            "k = int(input())\nprint(*input().split()[k:])",
        ),
        draw=lines(integer(1, 3), row(4, 7, 10, 99)),
        edges=("1\n1 2 3\n",),
    ),
    Problem(
        "pair_with_sum",
        level=3,
        statement=(
            "Read a target, then integers on the next line. Print yes if two of them, at "
            "different places, have the target as their sum, else no."
        ),
        golden="""
            target, numbers = int(input()), list(map(int, input().split()))
            seen, found = set(), False
            for number in numbers:
                found = found or target - number in seen
                seen.add(number)
            print('yes' if found else 'no')
        """,
        wrong=(
            """
            target, numbers = int(input()), list(map(int, input().split()))
            print('yes' if any(target - number in numbers for number in numbers) else 'no')
            """,
            """
            target, numbers = int(input()), list(map(int, input().split()))
            print('yes' if target == numbers[0] + numbers[1] else 'no')
            """,
        ),
        draw=_pair_sum,
        edges=("10\n5 1 2\n", "10\n5 5 1\n", "7\n1 3 6\n"),
    ),
    Problem(
        "best_stretch",
        level=3,
        statement="Read integers on one line. Print the largest sum of one or more neighbours.",
        golden="""
            numbers = list(map(int, input().split()))
            best = ending = numbers[0]
            for number in numbers[1:]:
                ending = max(number, ending + number)
                best = max(best, ending)
            print(best)
        """,
        wrong=(
            "print(sum(max(0, int(n)) for n in input().split()))",
            "print(max(map(int, input().split())))",
        ),
        draw=row(3, 8, -15, 15),
        edges=("-4 -2 -7\n", "3 -1 4\n", "5 -9 6\n"),
    ),
    Problem(
        "longest_run",
        level=3,
        statement="Read integers on one line. Print the length of the longest run of equal neighbours.",
        golden="""
            numbers = input().split()
            best = length = 1
            for before, number in zip(numbers, numbers[1:]):
                length = length + 1 if number == before else 1
                best = max(best, length)
            print(best)
        """,
        wrong=(
            "a = input().split()\nprint(max(map(a.count, a)))",
            "a = input().split()\nprint(sum(x == y for x, y in zip(a, a[1:])) + 1)",
        ),
        draw=row(2, 16, 1, 2),
        edges=("1 2 1\n", "1 1 2 2 2 1\n", "1 1 2 2\n"),
    ),
    Problem(
        "rising",
        level=3,
        statement=(
            "Read integers on one line. Print the length of the longest strictly rising selection "
            "that keeps their order."
        ),
        golden="""
            numbers = list(map(int, input().split()))
            best = []
            for place, number in enumerate(numbers):
                before = [best[k] for k in range(place) if numbers[k] < number]
                best.append(1 + max(before, default=0))
            print(max(best))
        """,
        wrong=(
            "a = list(map(int, input().split()))\nprint(sum(x < y for x, y in zip(a, a[1:])) + 1)",
            "print(len(set(input().split())))",
        ),
        draw=row(2, 14, 1, 40),
        edges=("5 1 2 1 3\n", "3 3 3\n", "1 9 2 8 3\n"),
    ),
)
