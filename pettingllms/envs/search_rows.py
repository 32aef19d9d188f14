"""Rows of question-answering datasets as tasks of `search_env`: HotpotQA, FlashRAG's sets, a user's own.

A task has all answers that are right (`answers`), the titles of the passages that prove one (`supporting`,
empty where nobody said which), and where its dataset brings passages, these (`context`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pettingllms.data.rows import ID, BadReason, BadRowError, kind, text_at, value_at
from pettingllms.envs.search_grading import holds, normalised_answer


def own(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row in the form of `Task.data`: `question`, and `answers` (a text or a list of them) or `answer`.

    `supporting` (titles), `context` (passages of `title` and `text`) and `id` may be missing.
    """
    answers = row.get("answers")
    answers = value_at(row, "answer") if answers is None else answers
    supporting = _texts(row.get("supporting") or [], "supporting")
    context = row.get("context")
    if context is not None:
        context = [_passage(one) for one in _list(context, "context")]
    return task_data(text_at(row, "question"), answers, supporting, context, row.get(ID))


def hotpot(row: Mapping[str, Any]) -> dict[str, Any]:
    """HotpotQA with its ten paragraphs: two that are needed, and eight that are alike."""
    context = value_at(row, "context")
    titles, paragraphs = _columns(context, "title", "sentences")
    passages = [
        {"title": title, "text": "".join(_texts(sentences, "sentences")).strip()}
        for title, sentences in zip(titles, paragraphs, strict=True)
    ]
    return hotpot_fullwiki(row) | {"context": passages}


def hotpot_fullwiki(row: Mapping[str, Any]) -> dict[str, Any]:
    """HotpotQA without its paragraphs, for a corpus of one's own or the web."""
    return task_data(
        text_at(row, "question"),
        value_at(row, "answer"),
        _facts(row.get("supporting_facts")),
        None,
        row.get(ID),
    )


def flash_rag(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of FlashRAG_datasets: `golden_answers`, and supporting facts where `metadata` has them.

    Its ids are those of the file, and repeat in the others.
    """
    metadata = row.get("metadata")
    facts = metadata.get("supporting_facts") if isinstance(metadata, Mapping) else None
    return task_data(
        text_at(row, "question"), value_at(row, "golden_answers"), _facts(facts), None, row.get(ID)
    )


def task_data(
    question: str,
    answers: Any,
    supporting: Sequence[str],
    context: Sequence[Mapping[str, str]] | None,
    name: Any = None,
) -> dict[str, Any]:
    """`Task.data`. Raises BadRowError where no answer has a word that counts, or a passage gives it away.

    Answers of which nothing is left once normalised, such as "the", are left out: nothing would be right.
    """
    golds = _texts([answers] if isinstance(answers, str) else _list(answers, "answers"), "answers")
    golds = [gold for gold in dict.fromkeys(gold.strip() for gold in golds) if normalised_answer(gold)]
    if not golds:
        raise BadRowError(BadReason.EMPTY_GOLD, "no answer has a word that counts")
    for passage in context or []:
        if holds(passage["text"], [question]) and holds(passage["text"], golds):
            raise BadRowError(BadReason.LEAKED, "a passage holds the question with its answer")
    titles = list(dict.fromkeys(supporting))
    data: dict[str, Any] = {"question": question.strip(), "answers": golds, "supporting": titles}
    if context is not None:
        data["context"] = list(context)
    return data | ({} if name is None else {ID: name})


def _facts(facts: Any) -> list[str]:
    """The titles of supporting facts: a table with columns, or a list of pairs of title and sentence."""
    if not facts:
        return []
    if isinstance(facts, Mapping):
        return _texts(value_at(facts, "title"), "supporting_facts.title")
    return _texts([one[0] for one in _list(facts, "supporting_facts")], "supporting_facts")


def _columns(table: Any, *names: str) -> tuple[list[Any], ...]:
    """Columns of equal length of a table that is stored as them."""
    if not isinstance(table, Mapping):
        raise BadRowError(BadReason.WRONG_TYPE, f"context is {kind(table)}, not an object")
    columns = tuple(_list(value_at(table, name), name) for name in names)
    if len({len(column) for column in columns}) > 1:
        raise BadRowError(BadReason.WRONG_TYPE, "context has more titles than paragraphs, or fewer")
    return columns


def _passage(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise BadRowError(BadReason.WRONG_TYPE, f"a passage is {kind(value)}, not an object")
    return {"title": text_at(value, "title"), "text": text_at(value, "text")}


def _texts(value: Any, field: str) -> list[str]:
    found = _list(value, field)
    for one in found:
        if not isinstance(one, str):
            raise BadRowError(BadReason.WRONG_TYPE, f"one of {field} is {kind(one)}, not a text")
    return found


def _list(value: Any, field: str) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise BadRowError(BadReason.WRONG_TYPE, f"{field} is {kind(value)}, not a list")
    return list(value)
