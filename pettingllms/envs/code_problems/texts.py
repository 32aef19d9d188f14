"""Built-in problems about the letters of a text."""

from random import Random

from pettingllms.envs.code_problems.draws import integer, lines, sentence, word
from pettingllms.envs.code_problems.problem import Problem

_WORD = word(3, 9)


def _maybe_palindrome(source: Random) -> str:
    half = "".join(source.choices("abc", k=source.randint(1, 3)))
    middle = source.choice(["", "x"])
    return source.choice([half + middle + half[::-1], half + middle + half + "d"]) + "\n"


def _maybe_anagram(source: Random) -> str:
    letters = source.choices("abcd", k=source.randint(3, 5))
    other = list(letters)
    source.shuffle(other)
    if source.random() < 0.5:
        other[0] = source.choice("abcde")
    return "".join(letters) + "\n" + "".join(other) + "\n"


def _brackets(source: Random) -> str:
    text = source.choice(["()", "(())", "()()"])
    for _ in range(source.randint(0, 3)):
        text = source.choice([f"({text})", text + "()", "()" + text, text[::-1], text + ")"])
    return text + "\n"


PROBLEMS = (
    Problem(
        "echo",
        level=1,
        statement="Read a line. Print it.",
        golden="print(input())",
        wrong=("print('input')", "print(input().upper())"),
        draw=sentence(1, 4),
    ),
    Problem(
        "hello",
        level=1,
        statement="Read a name. Print Hello, then a space and the name.",
        golden="print('Hello', input())",
        wrong=("print('Hello')", "print('Hello,', input())"),
        draw=_WORD,
    ),
    Problem(
        "length",
        level=1,
        statement="Read a word. Print how many letters it has.",
        golden="print(len(input()))",
        wrong=("print(len(input()) + 1)", "print(len(set(input())))"),
        draw=word(1, 30),
        edges=("aaaa\n", "noon\n"),
    ),
    Problem(
        "upper",
        level=1,
        statement="Read a word in lowercase letters. Print it in uppercase letters.",
        golden="print(input().upper())",
        wrong=("print(input())", "print(input().capitalize())"),
        draw=_WORD,
    ),
    Problem(
        "lower",
        level=1,
        statement="Read a word in uppercase letters. Print it in lowercase letters.",
        golden="print(input().lower())",
        wrong=("print(input())", "print(input().upper())"),
        draw=word(3, 9, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    ),
    Problem(
        "reverse",
        level=1,
        statement="Read a word. Print it backwards.",
        golden="print(input()[::-1])",
        wrong=("print(input())", "print(''.join(sorted(input(), reverse=True)))"),
        draw=_WORD,
    ),
    Problem(
        "first_letter",
        level=1,
        statement="Read a word. Print its first letter.",
        golden="print(input()[0])",
        wrong=("print(input()[1])", "print(min(input()))"),
        draw=_WORD,
    ),
    Problem(
        "last_letter",
        level=1,
        statement="Read a word. Print its last letter.",
        golden="print(input()[-1])",
        wrong=("print(input()[0])", "print(max(input()))"),
        draw=_WORD,
    ),
    Problem(
        "twice",
        level=1,
        statement="Read a word. Print it twice, with nothing between.",
        golden="print(input() * 2)",
        wrong=("print(input())", "word = input()\nprint(word, word)"),
        draw=_WORD,
    ),
    Problem(
        "joined",
        level=1,
        statement="Read two words, one per line. Print them joined, with nothing between.",
        golden="print(input() + input())",
        wrong=("print(input(), input())", "print(input())"),
        draw=lines(_WORD, _WORD),
    ),
    Problem(
        "exclaim",
        level=1,
        statement="Read a word. Print it with an exclamation mark after it.",
        golden="print(input() + '!')",
        wrong=("print(input(), '!')", "print('!' + input())"),
        draw=_WORD,
    ),
    Problem(
        "repeat",
        level=1,
        statement=(
            "Read a word, then a number n on the next line. Print the word n times, with nothing between."
        ),
        golden="print(input() * int(input()))",
        wrong=("word = input()\nprint(word * 2)", "word = input()\nprint(word, int(input()))"),
        draw=lines(word(1, 5), integer(1, 6)),
        edges=("ab\n1\n",),
    ),
    Problem(
        "without_spaces",
        level=1,
        statement="Read a line of words. Print it without its spaces.",
        golden="print(input().replace(' ', ''))",
        wrong=("print(input())", "print(input().split()[0])"),
        draw=sentence(2, 4),
    ),
    Problem(
        "count_a",
        level=1,
        statement="Read a word. Print how often the letter a is in it.",
        golden="print(input().count('a'))",
        wrong=("print(len(input()))", "print(int('a' in input()))"),
        draw=word(3, 24, "aab"),
    ),
    Problem(
        "palindrome",
        level=2,
        statement="Read a word. Print yes if it reads the same backwards, else no.",
        golden="word = input()\nprint('yes' if word == word[::-1] else 'no')",
        wrong=("word = input()\nprint('yes' if word[0] == word[-1] else 'no')", "print('no')"),
        draw=_maybe_palindrome,
        edges=("abca\n", "abba\n"),
    ),
    Problem(
        "vowels",
        level=2,
        statement="Read a word in lowercase letters. Print how many of its letters are a, e, i, o or u.",
        golden="print(sum(letter in 'aeiou' for letter in input()))",
        wrong=(
            "print(sum(letter not in 'aeiou' for letter in input()))",
            "print(len(set(input()) & set('aeiou')))",
        ),
        draw=word(4, 18, "aeioubcdfg"),
        edges=("aaa\n",),
    ),
    Problem(
        "swap_case",
        level=2,
        statement=("Read a word. Print it with small letters made capital and capital letters made small."),
        golden="print(input().swapcase())",
        wrong=("print(input().upper())", "print(input().lower())"),
        draw=word(4, 9, "abcdefgABCDEFG"),
        edges=("aBcD\n",),
    ),
    Problem(
        "stutter",
        level=2,
        statement="Read a word. Print it with every letter doubled, as aabbcc for abc.",
        golden="print(''.join(letter * 2 for letter in input()))",
        wrong=("print(input() * 2)", "print(' '.join(letter * 2 for letter in input()))"),
        draw=_WORD,
        edges=("ab\n",),
    ),
    Problem(
        "anagram",
        level=2,
        statement=(
            "Read two words, one per line. Print yes if they have the same letters equally often, else no."
        ),
        golden="print('yes' if sorted(input()) == sorted(input()) else 'no')",
        wrong=(
            "print('yes' if set(input()) == set(input()) else 'no')",
            "print('yes' if len(input()) == len(input()) else 'no')",
        ),
        draw=_maybe_anagram,
        edges=("aab\nabb\n", "abc\nabd\n"),
    ),
    Problem(
        "caesar",
        level=3,
        statement=(
            "Read a shift from 1 to 25, then a word in lowercase letters on the next line. Print "
            "the word with each letter moved on by the shift, where a follows z."
        ),
        golden="""
            shift = int(input())
            print(''.join(chr((ord(letter) - 97 + shift) % 26 + 97) for letter in input()))
        """,
        wrong=(
            "shift = int(input())\nprint(''.join(chr(ord(letter) + shift) for letter in input()))",
            "shift = int(input())\nprint(''.join(chr((ord(c) - 97 - shift) % 26 + 97) for c in input()))",
        ),
        draw=lines(integer(1, 25), _WORD),
        edges=("1\nxyz\n", "2\nabc\n"),
    ),
    Problem(
        "runs",
        level=3,
        statement=(
            "Read a word. Print it with each run of equal letters as the letter and the length of "
            "the run, as a3b1 for aaab."
        ),
        golden="""
            word = input()
            result, begin = '', 0
            for end in range(1, len(word) + 1):
                if end == len(word) or word[end] != word[begin]:
                    result += word[begin] + str(end - begin)
                    begin = end
            print(result)
        """,
        wrong=(
            "word = input()\nprint(''.join(c + str(word.count(c)) for c in dict.fromkeys(word)))",
            "print(''.join(c + '1' for c in input()))",
        ),
        draw=word(4, 12, "ab"),
        edges=("abab\n", "aaab\n"),
    ),
    Problem(
        "brackets",
        level=3,
        statement="Read a line of round brackets. Print yes if they are balanced, else no.",
        golden="""
            depth, balanced = 0, True
            for bracket in input():
                depth += 1 if bracket == '(' else -1
                balanced = balanced and depth >= 0
            print('yes' if balanced and depth == 0 else 'no')
        """,
        wrong=(
            "line = input()\nprint('yes' if line.count('(') == line.count(')') else 'no')",
            "print('yes' if input().startswith('(') else 'no')",
        ),
        draw=_brackets,
        edges=(")(\n", "(()\n", "())(()\n"),
    ),
)
