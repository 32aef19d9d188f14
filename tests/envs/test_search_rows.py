"""Rows of question-answering datasets as tasks, and how `search_env` is set up with them."""

import json

import pytest

from pettingllms.config.presets import find_preset
from pettingllms.data.presets import PRESETS
from pettingllms.data.rows import BadRowError
from pettingllms.data.tasks import load_splits
from pettingllms.envs import search_rows
from pettingllms.envs.search import SearchEnv, SearchOptions
from pettingllms.envs.search_corpus import WITHOUT_PASSAGES
from pettingllms.errors import RefusedError
from pettingllms.lint.engine import check_experiment
from pettingllms.types import Task

HOTPOT = {
    "id": "5a7a",
    "question": "Which river flows through the capital of Italy?",
    "answer": "the Tiber",
    "type": "bridge",
    "supporting_facts": {"title": ["Italy", "Rome", "Italy"], "sent_id": [0, 1, 1]},
    "context": {
        "title": ["Italy", "Rome", "Seine"],
        "sentences": [["Its capital", " is Rome."], ["Rome is old. ", "It lies on the Tiber."], ["A river."]],
    },
}


def test_hotpot_brings_its_paragraphs():
    assert search_rows.hotpot(HOTPOT) == {
        "id": "5a7a",
        "question": "Which river flows through the capital of Italy?",
        "answers": ["the Tiber"],
        "supporting": ["Italy", "Rome"],
        "context": [
            {"title": "Italy", "text": "Its capital is Rome."},
            {"title": "Rome", "text": "Rome is old. It lies on the Tiber."},
            {"title": "Seine", "text": "A river."},
        ],
    }


def test_hotpot_fullwiki_brings_none():
    found = search_rows.hotpot_fullwiki(HOTPOT)
    assert "context" not in found and found["supporting"] == ["Italy", "Rome"]


def test_flash_rag_keeps_all_right_answers_and_known_titles():
    row = {"id": "dev_3", "question": "Who?", "golden_answers": ["NYC", "New York", "NYC", "the"]}
    assert search_rows.flash_rag(row) == {
        "id": "dev_3",
        "question": "Who?",
        "answers": ["NYC", "New York"],
        "supporting": [],
    }
    facts = {"supporting_facts": {"title": ["A", "B"], "sent_id": [0, 0]}}
    assert search_rows.flash_rag(row | {"metadata": facts})["supporting"] == ["A", "B"]
    pairs = {"supporting_facts": [["A", 0], ["B", 1]]}
    assert search_rows.flash_rag(row | {"metadata": pairs})["supporting"] == ["A", "B"]
    assert search_rows.flash_rag(row | {"metadata": None})["supporting"] == []


@pytest.mark.parametrize("answers", [{"answer": "Rome"}, {"answers": "Rome"}, {"answers": ["Rome"]}])
def test_a_row_of_ones_own(answers):
    assert search_rows.own({"question": " Where? ", **answers}) == {
        "question": "Where?",
        "answers": ["Rome"],
        "supporting": [],
    }


def test_a_row_of_ones_own_may_bring_passages():
    row = {"question": "Where?", "answer": "Rome", "supporting": ["A"], "id": 7}
    passage = {"title": "A", "text": "It is in Rome."}
    found = search_rows.own(row | {"context": [passage | {"url": "x"}]})
    assert found["context"] == [passage] and found["supporting"] == ["A"] and found["id"] == 7


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"question": None}, "missing_field"),
        ({"question": " "}, "missing_field"),
        ({"question": 3}, "wrong_type"),
        ({"answer": None}, "missing_field"),
        ({"answer": 3}, "wrong_type"),
        ({"answers": []}, "empty_gold"),
        ({"answers": ["the", ".", " "]}, "empty_gold"),
        ({"answers": ["Rome", 3]}, "wrong_type"),
        ({"supporting": "Rome"}, "wrong_type"),
        ({"supporting": [1]}, "wrong_type"),
        ({"context": {"title": "x"}}, "wrong_type"),
        ({"context": ["x"]}, "wrong_type"),
        ({"context": [{"title": "x"}]}, "missing_field"),
        ({"context": [{"title": "x", "text": 3}]}, "wrong_type"),
        ({"context": [{"title": "x", "text": "Q: where is it? A: Rome"}]}, "leaked"),
    ],
)
def test_bad_rows_say_why(change, reason):
    row = {"question": "Where is it?", "answer": "Rome"} | change
    with pytest.raises(BadRowError) as caught:
        search_rows.own(row)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "context",
    [
        {"title": ["A"], "sentences": [["x"], ["y"]]},
        {"title": ["A"], "sentences": ["x"]},
        {"title": ["A"]},
        ["A"],
        None,
    ],
)
def test_paragraphs_that_are_none_make_a_bad_row(context):
    with pytest.raises(BadRowError):
        search_rows.hotpot(HOTPOT | {"context": context})


def test_presets_of_search_bring_passages_or_are_known_to_bring_none():
    own = {name for name, preset in PRESETS.items() if preset.env == "search_env"}
    assert own == {*WITHOUT_PASSAGES, "hotpotqa"}


def lines(folder, rows):
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("".join(json.dumps(row) + "\n" for row in rows))


def flash_rows(count):
    return [
        {"id": f"q{n}", "question": f"Question {n}?", "golden_answers": [f"answer {n}"]} for n in range(count)
    ]


@pytest.mark.parametrize("name", ["bamboogle", "nq", "2wikimultihopqa"])
def test_a_mirror_of_flash_rag_is_read_by_its_folders(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PETTINGLLMS_DATA_DIR", str(tmp_path))
    for split in PRESETS[name].files:
        stem = "dev" if split == "val" else split
        lines(tmp_path / f"RUC-NLPIR/FlashRAG_datasets/{name}/{stem}.jsonl", flash_rows(3))
        lines(tmp_path / f"RUC-NLPIR/FlashRAG_datasets/other/{stem}.jsonl", flash_rows(9))
    corpus = tmp_path / "wiki.jsonl"
    lines(corpus, [{"title": "t", "text": "answer 1"}])
    options = SearchOptions(corpus=str(corpus))
    (tasks,) = load_splits(name, ["val"], options, 0, own=SearchEnv.rows, benchmark=True).values()
    assert len(tasks) == 3
    assert SearchEnv.verify([task.data for task in tasks], options) == [None] * 3
    env = SearchEnv(tasks[1], options)
    assert env.search("answer").reason == "found_answer"


def test_a_repository_with_several_sets_wants_one_to_be_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PETTINGLLMS_DATA_DIR", str(tmp_path))
    for name in ("nq", "popqa"):
        lines(tmp_path / f"RUC-NLPIR/FlashRAG_datasets/{name}/test.jsonl", flash_rows(3))
    with pytest.raises(RefusedError, match="several folders"):
        load_splits(
            "hf:RUC-NLPIR/FlashRAG_datasets", ["val"], SearchOptions(), 0, own=SearchEnv.rows, benchmark=True
        )


def test_a_set_without_passages_is_refused_before_anything_is_played():
    data = [search_rows.flash_rag(row) for row in flash_rows(2)]
    with pytest.raises(RefusedError, match="brings no passages") as caught:
        SearchEnv.verify(data, SearchOptions())
    assert "env.options.corpus" in caught.value.help
    with pytest.raises(RefusedError, match="is not there"):
        SearchEnv.verify(data, SearchOptions(corpus="nowhere.jsonl"))
    with pytest.raises(RefusedError, match="TAVILY_API_KEY"):
        SearchEnv.verify(data, SearchOptions(retriever="tavily"))


@pytest.fixture(autouse=True)
def without_keys(monkeypatch):
    for name in ("SERPER_API_KEY", "TAVILY_API_KEY", "BRAVE_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("level", ["L0_single_agent", "L1_prompt", "L2_lora", "L3_model"])
def test_shipped_presets_name_nothing_that_is_not_there(level):
    found = check_experiment(find_preset(f"search_{level}")).diagnostics
    assert {one.code for one in found} <= {"PLM007"}


def test_right_answers_stay_apart():
    found = search_rows.own({"question": "Where?", "answers": ["NYC", "New York"]})
    for answer, right in (("NYC", True), ("New York", True), ("NYC; New York", False), ("NYC New", False)):
        env = SearchEnv(Task("t", "train", found | {"context": []}), SearchOptions())
        env.propose(answer)
        assert env.success() is right
