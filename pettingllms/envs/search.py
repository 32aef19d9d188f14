"""`search_env`: a question that has to be looked up, queries that find passages, an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field

from pettingllms.config.data import DataOptions
from pettingllms.data.comparing import normalised
from pettingllms.data.rows import BadRowError
from pettingllms.envs import DATASETS, search_rows
from pettingllms.envs.base import Env, Outcome
from pettingllms.envs.search_corpus import retriever_for
from pettingllms.envs.search_grading import VERDICTS, best_f1, best_match, holds, normalised_answer
from pettingllms.retrieval.passages import Passage
from pettingllms.retrieval.words import words
from pettingllms.types import Split, Task

LONGEST_ANSWER = 200
"""Characters of an answer, a sub-question or a report; longer texts are none."""


class SearchOptions(DataOptions):
    """`env.options` of `search_env`."""

    retriever: Literal["fts5", "bm25", "bm25s", "serper", "tavily", "brave"] = "fts5"
    """Who finds passages. In passages here: `fts5`, SQLite's index; `bm25`, the same ranking in pure Python;
    `bm25s`, a package for large corpora. On the web, with a key from the environment: `serper`
    (SERPER_API_KEY), `tavily` (TAVILY_API_KEY), `brave` (BRAVE_API_KEY)."""
    corpus: str | None = None
    """A file of passages, `*.jsonl` with `title` and `text` a line. Default: what the dataset brings."""
    top_k: int = Field(3, ge=1, le=20)
    """Passages that a query finds at most."""
    max_query_words: int = Field(32, ge=1, le=200)
    """Words of a query; a longer one is invalid."""
    shown_passages: int = Field(6, ge=1, le=40)
    """Passages that agents see, the last ones that were found."""
    passage_characters: int = Field(400, ge=40)
    """Of each passage that agents see; the rest is cut off."""
    search_seconds: float = Field(10.0, gt=0, le=600)
    """Time limit of a query on the web."""
    team: Literal["em", "f1"] = "em"
    """What an answer earns. `em`: 1 for exactly a right answer, else 0; `f1`: as far as words overlap."""
    format_reward: float = Field(0.0, ge=-1, le=0)
    """Local reward of a reply that cannot be read: no tag or several, nothing in it, or too much."""
    entities: int = Field(400, ge=60, le=4000)
    """People, towns, rivers, companies and books of `builtin:wiki`, and so its passages."""
    hops: list[Literal[1, 2]] = Field(default=[1, 2], min_length=1)
    """Steps of the questions of `builtin:wiki`; two need two passages."""
    train_size: int = Field(512, ge=1)
    """Training questions of `builtin:wiki`, at most."""
    test_size: int = Field(64, ge=0)
    """Test tasks, measured before the first and after the last step and never used to choose anything; held
    out as those for validation are."""


class Search(NamedTuple):
    """One query and what it found."""

    query: str
    passages: tuple[Passage, ...]


class SearchEnv(Env):
    """One question; solved when the last answer is exactly one of the right ones.

    `Task.data`: `question`; `answers`, all right ones; `supporting`, the titles of the passages that prove
    one, or nothing; `context`, passages of the task's own, or `corpus`, the world that it is of.
    """

    Options = SearchOptions
    rows = staticmethod(search_rows.own)
    hidden = ("answers", "supporting")
    only_for: ClassVar = dict.fromkeys(("entities", "hops", "train_size"), ("builtin:wiki",))

    def __init__(self, task: Task, options: SearchOptions) -> None:
        super().__init__(task, options)
        self.question: str = task.data["question"]
        self.searches: tuple[Search, ...] = ()
        self.sub_question: str | None = None
        self.report: str | None = None
        self.answer: str | None = None
        self.speaker: str | None = None
        self.fault: tuple[str | None, str] | None = None
        # The index stays with the process, and is no part of the state; what is missing is refused at once.
        retriever_for(task.data, options)

    @classmethod
    def tasks(cls, dataset: str, split: Split, options: SearchOptions, seed: int) -> Sequence[Task]:
        """All tasks of `split` of a generated set; the names of these are in `DATASETS`."""
        tasks: Sequence[Task] = DATASETS.load(dataset)(split, options, seed)
        if tasks:
            retriever_for(tasks[0].data, options)
        return tasks

    @classmethod
    def verify(
        cls, data: Sequence[Mapping[str, Any]], options: SearchOptions
    ) -> Sequence[BadRowError | None]:
        """Find nothing wrong with any row. Raises RefusedError where the first has nothing to search in."""
        if data:
            retriever_for(data[0], options)
        return [None] * len(data)

    def copy(self) -> Self:
        """A copy; every attribute is immutable, so sharing them is safe."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    @property
    def passages(self) -> tuple[Passage, ...]:
        """All that was found so far, each once, in the order in which it was found first."""
        return tuple(dict.fromkeys(one for search in self.searches for one in search.passages))

    def search(self, query: str) -> Outcome:
        """Look for `query`, and keep what is found.

        Local reward: the share of the supporting titles that this query is the first to find; where nobody
        said which these are, 1 when it is the first to find a passage that holds an answer; None where
        nothing can tell. A query of the same words as an earlier one is not asked again. Raises
        InfrastructureError.
        """
        wanted = words(query)
        if not wanted:
            return self.misread("empty_query")
        if len(wanted) > self.options.max_query_words:
            return self.misread("query_too_long")
        self.fault = None
        if set(wanted) in [set(words(one.query)) for one in self.searches]:
            return Outcome(0.0, "repeated_query")
        found = tuple(retriever_for(self.task.data, self.options).search(query, self.options.top_k))
        before = self.passages
        self.searches = (*self.searches, Search(query, found))
        if not found:
            return Outcome(0.0, "no_result")
        return self._worth(before)

    def ask(self, question: str) -> Outcome:
        """Take what the reasoner wants to be looked up next. It earns nothing by itself."""
        if len(question) > LONGEST_ANSWER:
            return self.misread("question_too_long")
        self.sub_question, self.fault = question, None
        return Outcome(0.0, "asked")

    def tell(self, report: str) -> Outcome:
        """Take what the searcher makes of the passages. It earns nothing by itself, and is no answer yet."""
        if len(report) > LONGEST_ANSWER:
            return self.misread("report_too_long")
        self.report, self.fault = report, None
        return Outcome(0.0, "reported")

    def propose(self, answer: str) -> Outcome:
        """Take `answer` as the team's. Local reward: what it is worth, as the option `team` says."""
        if len(answer) > LONGEST_ANSWER:
            return self.misread("answer_too_long", answers=True)
        self.answer, self.fault = answer, None
        worth = self.team_reward()
        return Outcome(worth, "correct" if self.success() else ("partly_correct" if worth else "wrong"))

    def misread(self, reason: str, *, answers: bool = False) -> Outcome:
        """A reply that cannot be read; its `speaker` is told. `answers`: it was to be the team's answer."""
        self.fault = self.speaker, reason
        if answers:
            self.answer = None
        return Outcome(self.options.format_reward, reason)

    def team_reward(self) -> float:
        """What the answer earns, as the option `team` says; 0 without one."""
        if self.answer is None:
            return 0.0
        golds = self.task.data["answers"]
        return best_f1(golds, self.answer) if self.options.team == "f1" else float(self.success())

    def success(self) -> bool:
        """Whether the answer is exactly one of the right ones."""
        return self.answer is not None and best_match(self.task.data["answers"], self.answer)

    def solved(self) -> bool:
        """The team has answered, right or not."""
        return self.answer is not None

    def metrics(self) -> Mapping[str, float]:
        """`f1` of the answer, `searches` that were made, and where supporting titles are known the share of
        them that was found, `recall`.
        """
        golds, gold_titles = self.task.data["answers"], self._gold_titles()
        found = {"f1": best_f1(golds, self.answer or ""), "searches": float(len(self.searches))}
        if gold_titles:
            titles = {_title(passage.title) for passage in self.passages}
            found["recall"] = len(gold_titles & titles) / len(gold_titles)
        return found

    def _worth(self, before: Sequence[Passage]) -> Outcome:
        """What the last search is worth. `before`: the passages that others had found."""
        if gold := self._gold_titles():
            known = gold & {_title(one.title) for one in before}
            now = gold & {_title(one.title) for one in self.passages}
            if now == known:
                return Outcome(0.0, "nothing_new")
            return Outcome(len(now - known) / len(gold), "found_all" if now == gold else "found_some")
        # A verdict stands in almost every text, and says nothing.
        told = [one for one in self.task.data["answers"] if normalised_answer(one) not in VERDICTS]
        if not told:
            return Outcome(None, "no_reference")
        fresh = any(_holds(one, told) for one in self.searches[-1].passages)
        if fresh and not any(_holds(one, told) for one in before):
            return Outcome(1.0, "found_answer")
        return Outcome(0.0, "nothing_new")

    def _gold_titles(self) -> set[str]:
        return {_title(title) for title in self.task.data["supporting"]}


def _title(title: str) -> str:
    """A title as it is compared; pages of Wikipedia on the web carry its name."""
    return normalised(title).removesuffix(" - wikipedia")


def _holds(passage: Passage, answers: Sequence[str]) -> bool:
    return holds(f"{passage.title}\n{passage.text}", answers)
