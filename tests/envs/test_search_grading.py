"""Exact match and F1 of short answers: hand tables, and properties against another statement of the rules."""

import string
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettingllms.envs.search_grading import best_f1, best_match, exact_match, f1, holds, normalised_answer

NORMALISED = [
    # small letters
    ("Paris", "paris"),
    ("PARIS", "paris"),
    ("ÉCOLE", "école"),
    ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ("İ", "i\u0307"),
    ("Straße", "straße"),
    # ASCII punctuation goes, and leaves no blank
    ("U.S.A.", "usa"),
    ("don't", "dont"),
    ("O'Neill", "oneill"),
    ("well-known", "wellknown"),
    ("1,234", "1234"),
    ("3.14", "314"),
    ("$5", "5"),
    ("50%", "50"),
    ("a_b", "ab"),
    ("AC/DC", "acdc"),
    ("(Paris)", "paris"),
    ('"Paris"', "paris"),
    ("Paris!", "paris"),
    ("#1", "1"),
    ("R&B", "rb"),
    ("C++", "c"),
    ("C#", "c"),
    ("me@home", "mehome"),
    ("x=y", "xy"),
    ("`code`", "code"),
    ("{x}", "x"),
    ("~5", "5"),
    ("a|b", "ab"),
    ("2^8", "28"),
    ("back\\slash", "backslash"),
    # other punctuation stays
    ("“Paris”", "“paris”"),
    ("1914–1918", "1914–1918"),
    ("it’s", "it’s"),
    ("Paris…", "paris…"),
    ("¿Qué?", "¿qué"),
    ("«Paris»", "«paris»"),
    ("50€", "50€"),
    # articles, as whole words, after punctuation
    ("The Beatles", "beatles"),
    ("a cat", "cat"),
    ("an apple", "apple"),
    ("cat and the hat", "cat and hat"),
    ("Theodore", "theodore"),
    ("another", "another"),
    ("La the", "la"),
    ("the", ""),
    ("The The", ""),
    ("A", ""),
    ("Vitamin A", "vitamin"),
    ("a.", ""),
    ("the-cat", "thecat"),
    ("T.H.E. cat", "cat"),
    ("an-other", "another"),
    ("A-Team", "ateam"),
    ("A.N. Other", "other"),
    ("the’s", "’s"),
    ("a–b", "–b"),
    ("thé", "thé"),
    ("áa", "áa"),
    ("the_cat", "thecat"),
    # white space
    ("  Paris ", "paris"),
    ("New   York", "new york"),
    ("New\tYork\n", "new york"),
    ("New\u00a0York", "new york"),
    ("New\u3000York", "new york"),
    ("", ""),
    (" \n ", ""),
    ("...", ""),
]


@pytest.mark.parametrize(("text", "expected"), NORMALISED)
def test_normalisation_by_hand(text, expected):
    assert normalised_answer(text) == expected


PLAIN = [
    # gold, answer, exact match, F1 = 2 P R / (P + R)
    ("Paris", "paris", True, 1),
    ("Paris", "Paris.", True, 1),
    ("Paris", "the Paris", True, 1),
    ("Paris", "Paris, France", False, Fraction(2, 3)),
    ("Paris, France", "Paris", False, Fraction(2, 3)),
    ("Paris", "London", False, 0),
    ("Paris", "", False, 0),
    ("Paris", "the", False, 0),
    ("Paris", "Pari s", False, 0),
    ("New York City", "New York", False, Fraction(4, 5)),
    ("New York", "York New", False, 1),
    ("New York", "new-york", False, 0),
    ("New York", "New York New York", False, Fraction(2, 3)),
    ("New New York", "New York", False, Fraction(4, 5)),
    ("New New York", "New New", False, Fraction(4, 5)),
    ("Barack Obama", "Obama", False, Fraction(2, 3)),
    ("Barack Obama", "Barack Hussein Obama", False, Fraction(4, 5)),
    ("Barack Obama", "Barack Hussein Obama II", False, Fraction(2, 3)),
    ("Barack Obama", "Michelle Obama", False, Fraction(1, 2)),
    ("1,234", "1234", True, 1),
    ("1234", "1234.0", False, 0),
    ("3.14", "314", True, 1),
    ("The Beatles", "Beatles", True, 1),
    ("Beatles", "a an the Beatles", True, 1),
    ("U.S.", "US", True, 1),
    ("U.S.", "U S", False, 0),
    ("1914–1918", "1914-1918", False, 0),
    ("1914–1918", "1914 – 1918", False, 0),
    ("it’s", "its", False, 0),
    ("it's", "its", True, 1),
    ("école", "ecole", False, 0),
    ("École", "école", True, 1),
    ("two", "2", False, 0),
    ("in 1984", "1984", False, Fraction(2, 3)),
    ("1984", "It was in 1984", False, Fraction(2, 5)),
    ("a b c d", "b c d", True, 1),
    ("b c d e", "x y z w", False, 0),
    ("b c d e", "b x y z", False, Fraction(1, 4)),
    ("b c d e", "b c d e f g h i", False, Fraction(2, 3)),
    ("b", "b b b b", False, Fraction(2, 5)),
    ("b b b b", "b", False, Fraction(2, 5)),
    ("Yes, Minister", "Yes Minister", True, 1),
]
HOTPOT = [
    *PLAIN,
    # yes, no and noanswer share nothing with what they are not
    ("yes", "yes", True, 1),
    ("yes", "Yes.", True, 1),
    ("yes", "the yes", True, 1),
    ("yes", "no", False, 0),
    ("yes", "yes it is", False, 0),
    ("yes it is", "yes", False, 0),
    ("no", "no", True, 1),
    ("no", "no, never", False, 0),
    ("no", "yes no", False, 0),
    ("yes", "yes no", False, 0),
    ("yes", "yes yes", False, 0),
    ("noanswer", "noanswer", True, 1),
    ("noanswer", "no answer", False, 0),
    ("no answer", "noanswer", False, 0),
    ("no answer", "no", False, 0),
    ("no man", "no", False, 0),
    ("no man", "no woman", False, Fraction(1, 2)),
    ("yes", "", False, 0),
    # two answers without a word: the same, and yet without overlap
    ("the", "a", True, 0),
    ("", "", True, 0),
    ("", "!", True, 0),
    ("the", "Paris", False, 0),
    ("", "yes", False, 0),
]


@pytest.mark.parametrize(("gold", "answer", "exact", "overlap"), HOTPOT)
def test_hotpot_by_hand(gold, answer, exact, overlap):
    assert exact_match(gold, answer) is exact
    assert f1(gold, answer) == pytest.approx(float(overlap))


SQUAD = [
    *PLAIN,
    # yes, no and noanswer are words like others; two answers without a word overlap in full
    ("yes", "yes", True, 1),
    ("yes", "no", False, 0),
    ("yes", "yes it is", False, Fraction(1, 2)),
    ("yes it is", "yes", False, Fraction(1, 2)),
    ("no", "no, never", False, Fraction(2, 3)),
    ("no", "yes no", False, Fraction(2, 3)),
    ("yes", "yes no", False, Fraction(2, 3)),
    ("yes", "yes yes", False, Fraction(2, 3)),
    ("no answer", "no", False, Fraction(2, 3)),
    ("no man", "no", False, Fraction(2, 3)),
    ("noanswer", "no answer", False, 0),
    ("yes", "", False, 0),
    ("the", "a", True, 1),
    ("", "", True, 1),
    ("", "!", True, 1),
    ("the", "Paris", False, 0),
    ("Paris", "an a", False, 0),
    ("", "Paris", False, 0),
    ("", "yes", False, 0),
]


@pytest.mark.parametrize(("gold", "answer", "exact", "overlap"), SQUAD)
def test_squad_by_hand(gold, answer, exact, overlap):
    assert exact_match(gold, answer) is exact
    assert f1(gold, answer, "squad") == pytest.approx(float(overlap))


def test_the_tables_are_long_enough():
    assert min(len(NORMALISED), len(HOTPOT), len(SQUAD)) >= 60
    assert len({row[:2] for row in HOTPOT}) == len(HOTPOT) and len({row[:2] for row in SQUAD}) == len(SQUAD)


def words_again(text):
    """The rules stated once more, letter by letter: no regular expression, no table of characters."""
    kept = "".join(sign for sign in text.lower() if sign not in set(string.punctuation))
    found, word = [], ""
    for sign in [*kept, " "]:
        if sign.isalnum() or sign == "_":
            word += sign
        else:
            found += [" " if word in ("a", "an", "the") else word, sign]
            word = ""
    return "".join(found).split()


def f1_again(gold, answer, *, squad):
    """By removing equal words pair by pair; as one fraction 2 s / (g + a)."""
    wanted, given_words = words_again(gold), words_again(answer)
    verdicts = (["yes"], ["no"], ["noanswer"])
    if not squad and wanted != given_words and (wanted in verdicts or given_words in verdicts):
        return 0.0
    if squad and (not wanted or not given_words):
        return 1.0 if wanted == given_words else 0.0
    left, same = list(wanted), 0
    for word in given_words:
        if word in left:
            left.remove(word)
            same += 1
    return 0.0 if same == 0 else 2 * same / (len(wanted) + len(given_words))


SIGNS = st.one_of(
    st.characters(),
    st.sampled_from(["the", "The", " a ", "an", "yes", "no", " ", "\u00a0", ".", "-", "’", "b", "c"]),
)
TEXTS = st.lists(SIGNS, max_size=12).map("".join)


@given(TEXTS)
def test_normalisation_agrees_with_another_statement_of_it(text):
    assert normalised_answer(text).split() == words_again(text)
    assert " ".join(words_again(text)) == normalised_answer(text)


@given(TEXTS)
def test_normalisation_leaves_one_blank_between_words_and_no_punctuation(text):
    found = normalised_answer(text)
    assert found == " ".join(found.split())
    assert not set(found) & set(string.punctuation)


@given(TEXTS, TEXTS, st.booleans())
def test_f1_agrees_with_another_statement_of_it(gold, answer, squad):
    assert f1(gold, answer, "squad" if squad else "hotpot") == pytest.approx(
        f1_again(gold, answer, squad=squad)
    )


@given(TEXTS, TEXTS)
def test_f1_is_symmetric_within_bounds_and_1_only_for_the_same_words(gold, answer):
    for variant in ("hotpot", "squad"):
        found = f1(gold, answer, variant)
        assert found == pytest.approx(f1(answer, gold, variant)) and 0 <= found <= 1
        assert (found > 1 - 1e-9) <= (sorted(words_again(gold)) == sorted(words_again(answer)))


def test_the_best_of_several_right_answers_counts():
    golds = ["New York City", "NYC", "the Big Apple"]
    assert best_match(golds, "nyc") and best_match(golds, "Big Apple") and not best_match(golds, "York")
    assert best_f1(golds, "New York") == pytest.approx(0.8)
    assert best_f1([], "x") == 0.0 and not best_match([], "x")


@pytest.mark.parametrize(
    ("text", "answers", "expected"),
    [
        ("She lives in New York.", ["New York"], True),
        ("She lives in Newyork.", ["New York"], False),
        ("The Eiffel Tower", ["Tower, the"], True),
        ("towering", ["tower"], False),
        ("anything", ["the"], False),
        ("anything", [], False),
        ("x", ["y", "X"], True),
    ],
)
def test_a_text_holds_an_answer_as_whole_words(text, answers, expected):
    assert holds(text, answers) is expected


@pytest.mark.parametrize(
    "answer", ["the", "no", "York", "New", "of York", "New Jersey", "New York is the answer", "e"]
)
def test_a_shared_word_or_a_part_of_the_answer_is_not_the_answer(answer):
    assert not exact_match("New York", answer)
