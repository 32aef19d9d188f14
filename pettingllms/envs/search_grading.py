"""Grading of short answers: exact match and F1 over words, as HotpotQA and SQuAD evaluate them.

Sources: hotpot_evaluate_v1.py of Yang et al. 2018 (arXiv:1809.09600), and the evaluation of SQuAD 2.0,
Rajpurkar et al. 2018 (arXiv:1806.03822).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable
from typing import Literal

Variant = Literal["hotpot", "squad"]
"""`hotpot`: yes, no and noanswer have no partial overlap, and two answers without a word have F1 0. `squad`:
every word is like any other, and two answers without a word have F1 1."""

VERDICTS = ("yes", "no", "noanswer")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")


def normalised_answer(text: str) -> str:
    """`text` in small letters, then without ASCII punctuation, then without articles, with single blanks.

    Other punctuation, such as curly quotes and dashes, stays, as it does in the published figures.
    """
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def exact_match(gold: str, answer: str) -> bool:
    """Whether both are the same once normalised."""
    return normalised_answer(gold) == normalised_answer(answer)


def f1(gold: str, answer: str, variant: Variant = "hotpot") -> float:
    """The harmonic mean of precision and recall over the words of both, in [0, 1]; repeated words count."""
    wanted, given = normalised_answer(gold), normalised_answer(answer)
    if variant == "hotpot" and wanted != given and (wanted in VERDICTS or given in VERDICTS):
        return 0.0
    gold_words, words = wanted.split(), given.split()
    if variant == "squad" and not (gold_words and words):
        return float(gold_words == words)
    same = sum((Counter(gold_words) & Counter(words)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(words), same / len(gold_words)
    return 2 * precision * recall / (precision + recall)


def best_match(golds: Iterable[str], answer: str) -> bool:
    """Whether `answer` is one of the right ones."""
    return any(exact_match(gold, answer) for gold in golds)


def best_f1(golds: Iterable[str], answer: str, variant: Variant = "hotpot") -> float:
    """The F1 with the right answer that is most like `answer`."""
    return max((f1(gold, answer, variant) for gold in golds), default=0.0)


def holds(text: str, answers: Iterable[str]) -> bool:
    """Whether one of `answers` stands in `text` as whole words, both normalised."""
    padded = f" {normalised_answer(text)} "
    return any(f" {answer} " in padded for answer in map(normalised_answer, answers) if answer)
