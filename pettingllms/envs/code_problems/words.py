"""Built-in problems about the words of a line."""

from pettingllms.envs.code_problems.draws import integer, lines, sentence
from pettingllms.envs.code_problems.problem import Problem

_LINE = sentence(2, 6)

PROBLEMS = (
    Problem(
        "count_words",
        level=1,
        statement="Read a line of words. Print how many words it has.",
        golden="print(len(input().split()))",
        wrong=("print(len(input()))", "print(input().count(' '))"),
        draw=sentence(1, 20),
        edges=("one\n",),
    ),
    Problem(
        "first_word",
        level=1,
        statement="Read a line of words. Print the first word.",
        golden="print(input().split()[0])",
        wrong=("print(input()[0])", "print(input().split()[-1])"),
        draw=_LINE,
    ),
    Problem(
        "last_word",
        level=1,
        statement="Read a line of words. Print the last word.",
        golden="print(input().split()[-1])",
        wrong=("print(input()[-1])", "print(input().split()[1])"),
        draw=sentence(3, 6),
    ),
    Problem(
        "one_per_line",
        level=1,
        statement="Read a line of words. Print each word on a line of its own.",
        golden="print('\\n'.join(input().split()))",
        wrong=("print(input())", "print('\\n'.join(input()))"),
        draw=_LINE,
    ),
    Problem(
        "dashes",
        level=1,
        statement="Read a line of words. Print it with a dash in place of each space.",
        golden="print(input().replace(' ', '-'))",
        wrong=("print(input().replace(' ', '_'))", "print('-'.join(input()))"),
        draw=_LINE,
    ),
    Problem(
        "words_backwards",
        level=2,
        statement="Read a line of words. Print the words in reverse order.",
        golden="print(*reversed(input().split()))",
        wrong=("print(input()[::-1])", "print(*sorted(input().split(), reverse=True))"),
        draw=_LINE,
        edges=("apple moon bird\n",),
    ),
    Problem(
        "longest_word",
        level=2,
        statement=("Read a line of words. Print the longest word, the first of them if there are several."),
        golden="print(max(input().split(), key=len))",
        wrong=("print(max(input().split()))", "print(min(input().split(), key=len))"),
        draw=_LINE,
        edges=("door bird kite\n", "moon apple water\n"),
    ),
    Problem(
        "initials",
        level=2,
        statement=(
            "Read a line of words. Print the first letter of each, in uppercase, with nothing between."
        ),
        golden="print(''.join(word[0] for word in input().split()).upper())",
        wrong=("print(''.join(word[0] for word in input().split()))", "print(input()[0].upper())"),
        draw=_LINE,
    ),
    Problem(
        "sorted_words",
        level=2,
        statement="Read a line of words. Print them in alphabetical order.",
        golden="print(*sorted(input().split()))",
        wrong=("print(*sorted(input().split(), key=len))", "print(*input().split())"),
        draw=sentence(3, 6),
    ),
    Problem(
        "different_words",
        level=2,
        statement="Read a line of words. Print how many different words it has.",
        golden="print(len(set(input().split())))",
        wrong=("print(len(input().split()))", "print(len(set(input())))"),
        draw=sentence(4, 24),
        edges=("tree tree\n", "moon tree moon\n"),
    ),
    Problem(
        "word_lengths",
        level=2,
        statement="Read a line of words. Print the length of each word, with spaces between.",
        golden="print(*(len(word) for word in input().split()))",
        wrong=("print(len(input().split()))", "print(*sorted(len(word) for word in input().split()))"),
        draw=_LINE,
        edges=("apple moon\n",),
    ),
    Problem(
        "nth_word",
        level=2,
        statement="Read a number n, then a line of words. Print the n-th word; the first one is 1.",
        golden="n = int(input())\nprint(input().split()[n - 1])",
        wrong=(
            "n = int(input())\nprint(input().split()[n % 3])",
            "n = int(input())\nprint(input().split()[0])",
        ),
        draw=lines(integer(1, 4), sentence(4, 6)),
    ),
    Problem(
        "most_common_word",
        level=3,
        statement=(
            "Read a line of words. Print the word that comes most often, the first of them in the "
            "line if there are several."
        ),
        golden="""
            words = input().split()
            print(max(words, key=words.count))
        """,
        wrong=("print(max(input().split(), key=len))", "print(input().split()[0])"),
        draw=sentence(5, 12),
        edges=("moon tree tree\n", "sun fire moon fire\n"),
    ),
)
