"""What training shares with other splits, against a search by brute force."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettingllms.data.contamination import COMMON, WORDS, overlap_of
from pettingllms.envs.stateful import StatefulEnv, StatefulOptions
from pettingllms.games import GAMES
from pettingllms.types import Task


def tasks(split, texts):
    return [Task(f"{split}/{number}", split, {"question": text}) for number, text in enumerate(texts)]


def task(name, **data):
    return Task(name, "train", data)


def compare(held, train):
    return overlap_of("test", tasks("test", held), tasks("train", train))


LONG = "one two three four five six seven eight nine ten eleven twelve thirteen"


def test_the_same_question_is_found_whatever_its_case_characters_and_blanks():
    found = compare(["What is ½ of  Ａ?", "fresh"], ["other", "what is 1⁄2 of a? ".replace("⁄", "\u2044")])
    assert (found.exact, found.words, found.train) == (1, 0, 1)
    assert found.pairs == (("test/0", "train/1", "exact"),)
    assert not found.clean


def test_thirteen_words_in_a_row_are_found_and_twelve_are_not():
    twelve = LONG.removesuffix(" thirteen")
    held = [f"Say, {LONG}!", f"{twelve}; then?"]
    found = compare(held, [f"So: {LONG.replace(' ', ', ')} and so on", f"{twelve} ends"])
    assert (found.exact, found.words, found.short, found.train) == (0, 1, 0, 1)
    assert found.pairs == (("test/0", "train/0", "words"),)


def test_short_questions_are_compared_as_a_whole_and_counted():
    found = compare(["What is 1 + 1?", "What is 2 + 2?"], ["what is 1 + 1?"])
    assert (found.exact, found.words, found.short) == (1, 0, 2)


def test_a_phrase_of_many_training_tasks_is_none_of_a_task():
    phrase = f"{LONG} give the answer"
    held = [f"{phrase} held"]
    assert compare(held, [f"{phrase} {n}" for n in range(COMMON)]).words == 1
    assert compare(held, [f"{phrase} {n}" for n in range(COMMON + 1)]).words == 0
    # A task that is there as a whole is found all the same.
    assert compare(held, [*held, *(f"{phrase} {n}" for n in range(COMMON + 1))]).exact == 1


def test_nothing_shared_is_clean():
    found = compare([LONG, "b"], ["c", LONG.replace("seven", "7")])
    assert found.clean and found.pairs == () and found.tasks == 2


def test_tasks_without_a_question_are_compared_by_all_but_their_id():
    assert overlap_of("test", [task("a", id=1, grid=[1, 2])], [task("b", id=2, grid=[1, 2])]).exact == 1
    assert overlap_of("test", [task("a", id=1, grid=[1, 2])], [task("b", id=1, grid=[2, 1])]).exact == 0


SENTENCES = st.lists(st.sampled_from("abc"), max_size=WORDS + 4).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(st.lists(SENTENCES, max_size=5), st.lists(SENTENCES, max_size=25))
def test_it_finds_what_brute_force_finds(held, train):
    def rows(text):
        words = re.findall(r"\w+", text)
        return {tuple(words[begin : begin + WORDS]) for begin in range(len(words) - WORDS + 1)}

    holders = [rows(text) for text in train]
    exact = [text in train for text in held]
    words = [any(0 < sum(row in one for one in holders) <= COMMON for row in rows(text)) for text in held]
    found = compare(held, train)
    assert found.exact == sum(exact)
    assert found.words == sum(near and not same for near, same in zip(words, exact, strict=True))


def test_words_in_a_row_are_of_one_text_and_no_numbers_of_a_board_are_words():
    # Two plans of a puzzle have moves in common; two texts under a name of one's own may be one text.
    moves = [["A", "C"], ["A", "B"], ["C", "B"]] * 9
    puzzles = [task(name, state=[name], solution=moves[begin:]) for begin, name in enumerate("xy")]
    assert overlap_of("test", puzzles[:1], puzzles[1:]).clean
    words = " ".join(f"w{number}" for number in range(WORDS))
    told = [task(name, prompt=[{"content": f"{name} {words} {name}"}]) for name in "xy"]
    assert overlap_of("test", told[:1], told[1:]).words == 1
    split = [task("x", first="w0 w1 w2", then=words[9:]), task("y", prompt=words)]
    assert overlap_of("test", split[:1], split[1:]).clean


@pytest.mark.parametrize("game", sorted(GAMES))
def test_splits_of_puzzles_share_nothing(game):
    options = StatefulOptions(train_size=30, validation_size=4, test_size=4)
    found = StatefulEnv.split_tasks(f"builtin:{game}", ("train", "val", "test"), options, 0)
    for split in ("val", "test"):
        assert overlap_of(split, found[split], found["train"]).clean
