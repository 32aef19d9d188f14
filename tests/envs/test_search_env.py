"""`search_env` and its agents: strict tags, what searches and answers earn, what agents are shown."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettingllms.agents import AGENTS
from pettingllms.agents.search import read_reply
from pettingllms.config.agents import AgentConfig
from pettingllms.envs import search
from pettingllms.envs.search import SearchEnv, SearchOptions
from pettingllms.errors import RefusedError
from pettingllms.lint.rules.environment import family
from pettingllms.retrieval.passages import RetrievalError
from pettingllms.rollout.border import Failed, guarded
from pettingllms.types import Task

ITALY = {"title": "Italy", "text": "The capital of Italy is Rome."}
ROME = {"title": "Rome", "text": "Rome lies on the Tiber."}
SEINE = {"title": "Seine", "text": "The Seine is a river of France."}
DATA = {
    "question": "Which river flows through the capital of Italy?",
    "answers": ["Tiber", "the Tiber river"],
    "supporting": ["Italy", "Rome"],
    "context": [ITALY, ROME, SEINE],
}
KNOWN = {"search": "search", "answer": "tell"}


def env_of(data=None, **options):
    options = {"top_k": 1} | options
    return SearchEnv(Task("t", "train", DATA | (data or {})), SearchOptions(**options))


def agent(name):
    return AGENTS.load(name)(AgentConfig(name=name, policy_name="p"))


def act(env, name, text):
    outcome = agent(name).act(env, text)
    return outcome.local, outcome.reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<search>rome</search>", ("search", "rome", None)),
        ("I look it up. <search> rome \n river</search> Then I see.", ("search", "rome river", None)),
        ("<think>maybe <answer>x</answer></think><search>rome</search>", ("search", "rome", None)),
        ("rome", ("", "", "no_tag")),
        ("rome\nItaly", ("", "", "no_tag")),
        ("", ("", "", "no_tag")),
        ("**Search Query:** rome", ("", "", "no_tag")),
        ("<SEARCH>rome</SEARCH>", ("", "", "no_tag")),
        ("< search>rome</ search>", ("", "", "no_tag")),
        ("<search>rome", ("", "", "broken_tag")),
        ("rome</search>", ("", "", "broken_tag")),
        ("</search>rome<search>", ("", "", "broken_tag")),
        ("<search>rome<search>", ("", "", "broken_tag")),
        ("<search>rome</answer>", ("", "", "broken_tag")),
        ("<search></search>", ("search", "", "empty_tag")),
        ("<search> \n </search>", ("search", "", "empty_tag")),
        ("<search>a</search><search>b</search>", ("", "", "several_tags")),
        ("<search>a</search><answer>b</answer>", ("", "", "several_tags")),
        ("<search><search>a</search></search>", ("", "", "several_tags")),
        ("<search><answer>a</search></answer>", ("", "", "several_tags")),
        ("<search>" * 100, ("", "", "several_tags")),
        ("<question>a</question>", ("", "", "wrong_tag")),
        ("<think><search>a</search>", ("search", "a", None)),
        ("<search>a</search></think>", ("", "", "no_tag")),
    ],
)
def test_a_reply_is_one_tag_or_nothing(text, expected):
    assert read_reply(text, KNOWN) == expected


PIECES = st.sampled_from([*"<>/ ab", "<search>", "</search>", "<answer>", "</answer>"])


@given(st.lists(PIECES, max_size=12).map("".join))
def test_a_reply_says_something_or_why_it_does_not(text):
    said = read_reply(text, KNOWN)
    if said.fault is None:
        assert f"<{said.tag}>" in text and said.content and text.count(f"<{said.tag}>") == 1
    else:
        assert said.fault in ("no_tag", "several_tags", "broken_tag", "wrong_tag", "empty_tag")


def test_a_search_earns_the_share_of_supporting_titles_that_it_is_first_to_find():
    env = env_of()
    assert act(env, "web_search_agent", "<search>capital of Italy</search>") == (0.5, "found_some")
    assert act(env, "web_search_agent", "<search>France Seine</search>") == (0.0, "nothing_new")
    assert act(env, "web_search_agent", "<search>Rome Tiber</search>") == (0.5, "found_all")
    assert act(env, "web_search_agent", "<search>Rome lies</search>") == (0.0, "nothing_new")
    assert env.metrics() == {"f1": 0.0, "searches": 4.0, "recall": 1.0}
    assert env.team_reward() == 0 and not env.success()


def test_one_search_may_find_all():
    env = env_of(top_k=3)
    assert act(env, "web_search_agent", "<search>Italy Rome</search>") == (1.0, "found_all")


def test_a_query_of_the_same_words_is_not_asked_again(monkeypatch):
    asked = []
    real = search.retriever_for

    class Counting:
        def search(self, query, k):
            asked.append(query)
            return real(DATA, SearchOptions()).search(query, k)

    env = env_of()
    monkeypatch.setattr(search, "retriever_for", lambda *arguments: Counting())
    assert act(env, "web_search_agent", "<search>Rome Tiber</search>") == (0.5, "found_some")
    for again in ("Rome Tiber", "tiber, ROME", "Rome Rome Tiber!"):
        assert act(env, "web_search_agent", f"<search>{again}</search>") == (0.0, "repeated_query")
    assert asked == ["Rome Tiber"] and len(env.searches) == 1


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("zzz", "no_result"),
        ("!?", "empty_query"),
        ("w " * 33, "query_too_long"),
        ("the of is", "nothing_new"),
    ],
)
def test_a_query_that_finds_nothing_earns_nothing(query, reason):
    env = env_of({"supporting": ["Nowhere"]})
    assert act(env, "web_search_agent", f"<search>{query}</search>") == (0.0, reason)


def test_without_titles_a_passage_with_the_answer_counts_once():
    env = env_of({"supporting": []})
    assert act(env, "web_search_agent", "<search>Italy</search>") == (0.0, "nothing_new")
    assert act(env, "web_search_agent", "<search>Rome Tiber</search>") == (1.0, "found_answer")
    assert act(env, "web_search_agent", "<search>Rome lies</search>") == (0.0, "nothing_new")
    assert "recall" not in env.metrics()


def test_without_titles_a_verdict_says_nothing_of_a_passage():
    env = env_of({"supporting": [], "answers": ["yes", "Yes!"]})
    assert act(env, "web_search_agent", "<search>Rome</search>") == (None, "no_reference")


def test_titles_are_compared_without_case_and_wikipedia_s_name():
    env = env_of({"supporting": ["rome"], "context": [{"title": "ROME - Wikipedia", "text": "Rome"}]})
    assert act(env, "web_search_agent", "<search>rome</search>") == (1.0, "found_all")


@pytest.mark.parametrize(
    ("answer", "local", "reason"),
    [
        ("Tiber", 1.0, "correct"),
        ("the tiber.", 1.0, "correct"),
        ("Tiber River", 1.0, "correct"),
        ("Rome", 0.0, "wrong"),
        ("the", 0.0, "wrong"),
        ("no", 0.0, "wrong"),
        ("river", 0.0, "wrong"),
        ("Tiber or Seine", 0.0, "wrong"),
        ("Which river flows through the capital of Italy?", 0.0, "wrong"),
        ("x" * 201, 0.0, "answer_too_long"),
    ],
)
def test_answers_are_graded_by_exact_match_with_any_right_one(answer, local, reason):
    env = env_of()
    assert act(env, "search_reasoning_agent", f"<answer>{answer}</answer>") == (local, reason)
    assert (env.team_reward(), env.success()) == (local, bool(local))
    assert env.solved() is (reason != "answer_too_long")


def test_f1_pays_for_shared_words_and_success_does_not():
    env = env_of(team="f1")
    assert act(env, "search_reasoning_agent", "<answer>Tiber valley</answer>") == (
        pytest.approx(2 / 3),
        "partly_correct",
    )
    assert env.team_reward() == pytest.approx(2 / 3) and not env.success()
    assert env.metrics()["f1"] == pytest.approx(2 / 3)


def test_a_sub_question_and_a_report_earn_nothing_and_are_no_answer():
    env = env_of()
    assert act(env, "search_reasoning_agent", "<question>What is the capital?</question>") == (0.0, "asked")
    assert act(env, "web_search_agent", "<answer>Tiber</answer>") == (0.0, "reported")
    assert env.answer is None and env.team_reward() == 0 and not env.solved()
    shown = agent("search_reasoning_agent").observe(env)
    assert "To find out: What is the capital?" in shown and "The searcher reports: Tiber" in shown
    assert act(env, "search_reasoning_agent", f"<question>{'x' * 201}</question>") == (
        0.0,
        "question_too_long",
    )
    assert act(env, "web_search_agent", f"<answer>{'x' * 201}</answer>") == (0.0, "report_too_long")


def test_an_unreadable_reply_takes_the_answer_back_and_its_author_is_told():
    env = env_of(format_reward=-0.5)
    act(env, "search_reasoning_agent", "<answer>Tiber</answer>")
    assert act(env, "web_search_agent", "rome") == (-0.5, "no_tag")
    assert env.success()
    assert "Your last reply could not be read: no tag." in agent("web_search_agent").observe(env)
    assert "could not be read" not in agent("search_reasoning_agent").observe(env)
    assert act(env, "search_reasoning_agent", "It is the Tiber.") == (-0.5, "no_tag")
    assert env.answer is None and env.team_reward() == 0
    act(env, "search_reasoning_agent", "<answer>Tiber</answer>")
    assert "could not be read" not in agent("search_reasoning_agent").observe(env)


def test_the_last_answer_counts():
    env = env_of()
    act(env, "search_reasoning_agent", "<answer>Tiber</answer>")
    act(env, "search_reasoning_agent", "<answer>Seine</answer>")
    assert env.team_reward() == 0
    act(env, "search_reasoning_agent", "<question>Is it?</question>")
    assert env.answer == "Seine"


@pytest.mark.parametrize("name", ["search_single_agent", "single_agent"])
def test_one_agent_searches_and_answers_and_leaves_the_rest_out(name):
    env, alone = env_of(), agent(name)
    assert not alone.skips(env)
    assert act(env, name, "<search>Rome Tiber</search>") == (0.5, "found_some")
    assert not alone.skips(env) and "Rome: Rome lies on the Tiber." in alone.messages(env)[-1].content
    assert act(env, name, "<question>what?</question>") == (0.0, "wrong_tag")
    assert act(env, name, "<answer>Tiber</answer>") == (1.0, "correct")
    assert alone.skips(env) and env.success()


def test_what_is_found_is_shown_within_limits():
    context = [{"title": f"T{n} " + "t" * 500, "text": f"Rome {n} " + "x" * 5000} for n in range(40)]
    env = env_of(
        {"context": context, "question": "Q" * 10_000}, top_k=20, shown_passages=3, passage_characters=100
    )
    for n in range(40):
        env.search(f"{n} {'y' * 1000}")
    act(env, "search_reasoning_agent", f"<question>{'q' * 200}</question>")
    for name in ("web_search_agent", "search_reasoning_agent", "search_single_agent"):
        shown = agent(name).observe(env)
        # 2000 of the question, 5 queries of 200, 3 passages of 200 and 100, and what stands between them.
        assert len(shown) < 2000 + 5 * 203 + 3 * 306 + 200 + 200
        assert "T39" in shown and "T0 " not in shown


def test_no_result_is_said():
    env = env_of()
    env.search("zzz")
    assert "The last search has no result." in agent("search_reasoning_agent").observe(env)


def test_neither_answers_nor_titles_are_shown():
    data = {"answers": ["SECRET"], "supporting": ["HIDDEN"]}
    env = env_of(data)
    for name, text in (
        ("web_search_agent", "<search>Rome</search>"),
        ("search_reasoning_agent", "<answer>Tiber</answer>"),
        ("web_search_agent", "nothing"),
    ):
        act(env, name, text)
        for other in ("web_search_agent", "search_reasoning_agent", "search_single_agent"):
            shown = agent(other).observe(env)
            assert "SECRET" not in shown and "HIDDEN" not in shown


def test_a_back_end_that_fails_is_the_machinery_s_fault(monkeypatch):
    class Broken:
        def search(self, query, k):
            raise RetrievalError("rate_limited", "serper answered HTTP 429")

    env = env_of()
    monkeypatch.setattr(search, "retriever_for", lambda *arguments: Broken())
    searcher = agent("web_search_agent")
    found = guarded("the searcher failed", lambda: searcher.act(env, "<search>Rome</search>"))
    assert found == Failed("infrastructure", "RetrievalError: rate_limited: serper answered HTTP 429")
    assert env.searches == ()


def test_a_key_that_is_not_there_ends_the_run_and_nothing_is_made_up(monkeypatch):
    monkeypatch.delenv("SERPER_API_KEY", raising=False)
    with pytest.raises(RefusedError, match="SERPER_API_KEY"):
        guarded("set up", lambda: env_of(retriever="serper"))
    with pytest.raises(RefusedError, match="SERPER_API_KEY"):
        SearchEnv.tasks("builtin:wiki", "train", SearchOptions(retriever="serper"), 0)


def test_an_unknown_set_is_refused():
    with pytest.raises(RefusedError, match="unknown dataset 'builtin:wikis'"):
        SearchEnv.tasks("builtin:wikis", "train", SearchOptions(), 0)


def test_a_corpus_of_ones_own_takes_the_place_of_the_tasks_passages(tmp_path):
    file = tmp_path / "own.jsonl"
    file.write_text(json.dumps({"title": "Mine", "text": "Rome is mine."}))
    env = env_of(corpus=str(file))
    env.search("Rome")
    assert [one.title for one in env.passages] == ["Mine"]


@pytest.mark.parametrize("retriever", ["fts5", "bm25", "bm25s"])
def test_every_local_back_end_plays(retriever):
    env = env_of(retriever=retriever)
    assert env.search("Rome Tiber").reason == "found_some"


def test_copies_share_the_index_and_no_state():
    env = env_of()
    twin = env.copy()
    twin.search("Rome")
    assert env.searches == () and len(twin.searches) == 1
    assert not [value for value in vars(twin).values() if hasattr(value, "search") and value is not twin]


def test_answers_that_are_graded_alike_are_one_opinion():
    reasoner, env = agent("search_reasoning_agent"), env_of()
    said = {reasoner.opinion(env, f"<answer>{text}</answer>") for text in ("The Tiber", "tiber.", "TIBER")}
    assert said == {("answer", "tiber")}
    assert reasoner.opinion(env, "Tiber") is None
    assert agent("web_search_agent").opinion(env, "<search>Rome A</search>") == ("search", "rome a")


@given(st.text(max_size=80))
@settings(max_examples=60, deadline=None)
def test_any_text_in_tags_is_played(text):
    env = env_of()
    for name, tag in (
        ("web_search_agent", "search"),
        ("web_search_agent", "answer"),
        ("search_reasoning_agent", "question"),
        ("search_reasoning_agent", "answer"),
    ):
        local, _ = act(env, name, f"<{tag}>{text}</{tag}>")
        assert 0 <= local <= 1
        agent(name).observe(env).encode()


def test_all_agents_of_the_family_are_made_for_it():
    for name in ("web_search_agent", "search_reasoning_agent", "search_single_agent"):
        assert family(name) == "search_env"
