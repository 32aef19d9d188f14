"""Back ends that find passages here: the same words, the same ranking, no query language, no trap."""

import builtins
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from pettingllms import retrieval
from pettingllms.envs.search_corpus import corpus_in
from pettingllms.errors import RefusedError
from pettingllms.retrieval import BACK_ENDS, fault_of, has_fts5, is_local, opened
from pettingllms.retrieval.bm25 import Bm25
from pettingllms.retrieval.bm25s import Bm25s
from pettingllms.retrieval.fts5 import Fts5
from pettingllms.retrieval.passages import Passage
from pettingllms.retrieval.words import words

LOCAL = {"fts5": Fts5, "bm25": Bm25, "bm25s": Bm25s}
each_local = pytest.mark.parametrize("kind", LOCAL.values(), ids=LOCAL)
FEW = (
    Passage("Rome", "The capital of Italy lies on the Tiber."),
    Passage("Tiber", "A river in Italy that flows through Rome."),
    Passage("Paris", "The capital of France lies on the Seine."),
)


def test_the_tables_of_local_back_ends_and_of_options_are_one():
    from pettingllms.envs.search import SearchOptions

    assert [name for name in BACK_ENDS if is_local(name)] == list(LOCAL)
    named = SearchOptions.model_fields["retriever"].annotation.__args__
    assert tuple(BACK_ENDS) == named


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Rome, the Eternal City!", ["rome", "the", "eternal", "city"]),
        ("O'Neill's 3.5", ["o", "neill", "s", "3", "5"]),
        ("Zürich école", ["zurich", "ecole"]),
        ("snake_case", ["snake", "case"]),
        ('"title" NEAR(a b) * ^ - : AND', ["title", "near", "a", "b", "and"]),
        ("\ud800 \0 x", ["x"]),
        ("北京 ½", ["北京", "1", "2"]),
        ("", []),
    ],
)
def test_words_by_hand(text, expected):
    assert words(text) == expected


@each_local
def test_the_best_passage_comes_first(kind):
    found = kind(FEW).search("Which river flows through Rome?", 2)
    assert [one.title for one in found] == ["Tiber", "Rome"]
    assert found[0] == FEW[1]


@each_local
@pytest.mark.parametrize("query", ["", "zzz", "!?", '"', "\ud800\0"])
def test_nothing_fits_and_nothing_is_found(kind, query):
    assert kind(FEW).search(query, 3) == []


@each_local
def test_there_may_be_no_passages_or_none_with_a_word(kind):
    assert kind(()).search("rome", 3) == []
    assert kind([Passage("!", "?"), Passage("…", "—")]).search("rome", 3) == []
    assert [one.title for one in kind([Passage("a", "b")] * 1 + [Passage("c", "d")]).search("b", 9)] == ["a"]


@each_local
def test_more_may_be_asked_for_than_there_is(kind):
    assert len(kind(FEW).search("Italy", 100)) == 2


@each_local
@pytest.mark.parametrize(
    "query",
    [
        'Rome" OR "Paris',
        "rome AND NOT",
        "NEAR(rome",
        "title:rome",
        "rome*",
        "-rome",
        "^rome",
        "rome) (",
        "{rome} : +",
        "'; DROP TABLE passages; -- rome",
        "rome " * 3000,
        " ".join(f"w{number}" for number in range(3000)) + " rome",
    ],
)
def test_a_query_is_words_and_no_language(kind, query):
    assert "Rome" in [one.title for one in kind(FEW).search(query, 3)]


@given(st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_no_text_makes_a_back_end_fail(query):
    for index in INDEXES:
        assert len(index.search(query, 2)) <= 2


INDEXES = [kind(FEW) for kind in LOCAL.values()]


def synthetic(count, seed=0):
    """Passages whose words are as frequent as those of a language: few of them are everywhere."""
    source = random.Random(seed)
    vocabulary = [f"w{number}" for number in range(3000)]
    weights = [1 / (number + 10) for number in range(3000)]
    return [
        Passage(f"t{place}", " ".join(source.choices(vocabulary, weights, k=source.randint(20, 60))))
        for place in range(count)
    ], [" ".join(source.choices(vocabulary, weights, k=5)) for _ in range(100)]


def test_rankings_agree_with_rank_bm25_on_a_thousand_passages():
    passages, queries = synthetic(1000)
    oracle = BM25Okapi([words(f"{one.title} {one.text}") for one in passages], k1=1.2, b=0.75)
    indexes = {name: kind(passages) for name, kind in LOCAL.items()}
    shares = dict.fromkeys(LOCAL, 0)
    for query in queries:
        scores = oracle.get_scores(list(dict.fromkeys(words(query))))
        best = sorted(range(1000), key=lambda place: (-scores[place], place))[:5]
        for name, index in indexes.items():
            found = [passages.index(one) for one in index.search(query, 5)]
            if name != "bm25s":
                # Another order only where scores are equal but for rounding.
                assert [scores[one] for one in found] == pytest.approx([scores[one] for one in best])
            shares[name] += len(set(found) & set(best))
    # bm25s has Lucene's weights of words, which are never negative.
    assert shares["fts5"] >= 495 and shares["bm25"] >= 495 and shares["bm25s"] >= 450, shares


def test_fts5_and_pure_python_give_the_same_order():
    passages, queries = synthetic(300, seed=1)
    ours, theirs = Bm25(passages), Fts5(passages)
    assert [ours.search(query, 5) for query in queries] == [theirs.search(query, 5) for query in queries]


def test_an_order_by_hand():
    # Four passages, mean length 3; x and y stand in one each: weight ln(3.5 / 1.5) for both.
    # y is there once in 2 words: 2.2 / (1 + 1.2 (0.25 + 0.75 * 2/3)) = 1.158,
    # x twice in 4: 4.4 / (2 + 1.2 (0.25 + 0.75 * 4/3)) = 1.257
    for kind in LOCAL.values():
        index = kind([Passage("y", "z"), Passage("x", "x v w"), Passage("q", "q q"), Passage("r", "r r")])
        assert [one.title for one in index.search("y x", 4)] == ["x", "y"]


def test_what_is_missing_is_said_and_nothing_takes_its_place(monkeypatch):
    monkeypatch.delenv("BRAVE_API_KEY", raising=False)
    assert "BRAVE_API_KEY is not set" in str(fault_of("brave"))
    monkeypatch.setenv("BRAVE_API_KEY", " \n")
    assert "BRAVE_API_KEY is not set" in str(fault_of("brave"))
    monkeypatch.setattr(retrieval, "find_spec", lambda name: None)
    assert fault_of("bm25s").help.startswith("install with: uv sync --extra search")
    assert has_fts5()
    monkeypatch.setattr(retrieval, "has_fts5", lambda: False)
    assert "retriever = 'bm25'" in fault_of("fts5").help
    with pytest.raises(RefusedError, match="no FTS5"):
        opened.local_retriever("fts5", "x", lambda: FEW)
    assert fault_of("bm25") is None


def test_an_index_is_built_once_and_shared():
    built = []

    def load():
        built.append(1)
        return FEW

    first = opened.local_retriever("bm25", "shared once", load)
    assert opened.local_retriever("bm25", "shared once", load) is first and built == [1]
    assert opened.local_retriever("fts5", "shared once", load) is not first and built == [1, 1]


def test_of_many_indexes_the_last_used_ones_stay(monkeypatch):
    monkeypatch.setattr(opened, "KEPT", 2)
    kept = opened.local_retriever("bm25", "many 0", lambda: FEW)
    for number in range(1, 4):
        opened.local_retriever("bm25", f"many {number}", lambda: FEW)
        assert opened.local_retriever("bm25", "many 0", lambda: ()) is kept


def test_bm25s_is_only_imported_where_it_is_asked_for(monkeypatch):
    real = builtins.__import__
    refused = []

    def without(name, *arguments, **keywords):
        if name == "bm25s":
            refused.append(name)
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    assert Fts5(FEW).search("Rome", 1) and not refused
    with pytest.raises(ImportError):
        Bm25s(FEW)


def test_a_corpus_is_read_line_by_line(tmp_path):
    file = tmp_path / "c.jsonl"
    file.write_text('{"title": "A", "text": "b"}\n\n{"title": "C", "text": "d", "id": 3}\n')
    assert list(corpus_in(file)) == [Passage("A", "b"), Passage("C", "d")]


@pytest.mark.parametrize(
    ("content", "words_of"),
    [
        (
            '{"title": "A", "text": "b"}\n{"title": "A"}\n',
            "c.jsonl:2 is no passage: missing_field: there is no text",
        ),
        ('{"title": "A", "text": 3}\n', "c.jsonl:1 is no passage: wrong_type"),
        ('{"title": "A", "text": " "}\n', "c.jsonl:1 is no passage: missing_field"),
        ('{"title": "A", "text": "\\ud800"}\n', "c.jsonl:1 is no passage: non_utf8"),
        ("not json\n", "c.jsonl:1 is no passage: bad_json"),
        ("\n", "c.jsonl has no passages"),
    ],
)
def test_a_line_that_is_no_passage_is_refused_with_its_place(content, words_of, tmp_path):
    file = tmp_path / "c.jsonl"
    file.write_text(content)
    with pytest.raises(RefusedError) as caught:
        list(corpus_in(file))
    assert words_of in str(caught.value)


@pytest.mark.parametrize(("name", "what"), [("no.jsonl", "is not there"), ("c.txt", "is no *.jsonl file")])
def test_a_corpus_that_is_no_file_of_lines_is_refused(name, what, tmp_path):
    (tmp_path / "c.txt").write_text("x")
    with pytest.raises(RefusedError) as caught:
        list(corpus_in(tmp_path / name))
    assert what in str(caught.value)
