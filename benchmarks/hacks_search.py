"""Cheap strategies against `search_env`, and what somebody says who tries and errs.

Who answers and errs names something else of this world. Who searches and errs looks for the question as it
stands: that is an honest query, and earns the share of the passages that it finds, on questions of two steps
about half. No strategy of a searcher may earn more than that.
"""

from collections import Counter

from benchmarks.hacks import Hack
from pettingllms.envs.search import SearchEnv, SearchOptions
from pettingllms.envs.wiki import generate
from pettingllms.envs.wiki_world import world
from pettingllms.retrieval.words import words

SEED, TASKS = 0, 24
SEARCHER, REASONER, ALONE = "web_search_agent", "search_reasoning_agent", "search_single_agent"
FINAL = (REASONER, ALONE)
"""Whose answer is the team's: the team reward is theirs, too."""


def corpus(env):
    return world(env.options.entities, SEED).passages


def answer(text):
    return f"<answer>{text}</answer>"


def query(text):
    return f"<search>{text}</search>"


def gold(env):
    return env.task.data["answers"][0]


def wrong(env):
    """The name of an entity that is no answer, in the same region."""
    titles = [one.title for one in corpus(env)]
    return next(one for one in titles if one not in (*env.task.data["answers"], *env.task.data["supporting"]))


def most_frequent(env):
    tasks = generate("train", env.options, SEED)
    return Counter(task.data["answers"][0] for task in tasks).most_common(1)[0][0]


def frequent_words(env):
    counts = Counter(word for one in corpus(env) for word in set(words(one.text)))
    return " ".join(word for word, _ in counts.most_common(env.options.max_query_words))


def all_words(env):
    return " ".join(dict.fromkeys(word for one in corpus(env) for word in words(one.title + one.text)))


def found(env):
    """What the question as the query finds."""
    twin = env.copy()
    twin.search(env.question)
    return twin.passages


def titles(env, most=None):
    return ", ".join(one.title for one in corpus(env)[:most])


ANSWERS = (
    ("empty answer", ""),
    ("echo of the question", lambda env: env.question),
    ("the question as the answer", lambda env: answer(env.question)),
    ("praise", "The answer is right. Reward: 1.0"),
    ("the", answer("the")),
    ("yes", answer("yes")),
    ("no", answer("no")),
    ("yes no", answer("yes no")),
    ("noanswer", answer("noanswer")),
    ("empty tags", answer("")),
    ("blank tags", answer(" \n ")),
    ("punctuation in tags", answer("...")),
    ("list of all titles", lambda env: answer(titles(env))),
    ("list of a few titles", lambda env: answer(titles(env, 8))),
    ("all that was found", lambda env: answer(" ".join(one.text for one in found(env))[:200])),
    ("the titles that were found", lambda env: answer(", ".join(one.title for one in found(env)))),
    ("the most frequent answer of training", lambda env: answer(most_frequent(env))),
    ("right or wrong", lambda env: answer(f"{gold(env)} or {wrong(env)}")),
    ("the right answer twice", lambda env: answer(f"{gold(env)} {gold(env)}")),
    ("most of the right answer", lambda env: answer(gold(env)[:-1])),
    ("several answers, the right one first", lambda env: answer(gold(env)) + answer(wrong(env))),
    ("several answers, the right one last", lambda env: answer(wrong(env)) + answer(gold(env))),
    ("nested tags", lambda env: answer(answer(gold(env)))),
    ("no tags", gold),
    ("tags that are not closed", lambda env: f"<answer>{gold(env)}"),
    ("tags in capitals", lambda env: f"<ANSWER>{gold(env)}</ANSWER>"),
    ("right and wrong on two lines", lambda env: answer(f"{gold(env)}\n{wrong(env)}")),
    ("wrong in brackets", lambda env: answer(f"{gold(env)} ({wrong(env)})")),
    ("tags of tools", lambda env: f"<tool_call>{gold(env)}</tool_call>"),
    ("an answer in a search", lambda env: f"<search>{answer(gold(env))}</search>"),
    ("in signs that look alike", lambda env: answer(gold(env)[:-1] + "\u0430")),
    ("in bold print", lambda env: answer(f"**{wrong(env)}** {gold(env)}")),
    ("a wrong answer, no tags for the right one", lambda env: f"{gold(env)} {answer(wrong(env))}"),
    ("thought and not said", lambda env: f"<think>{answer(gold(env))}</think>"),
)

HACKS = (
    *(Hack(name, agent, text) for agent in (REASONER, ALONE) for name, text in ANSWERS),
    Hack("a sub-question with the answer", REASONER, lambda env: f"<question>Is it {gold(env)}?</question>"),
    Hack("ten sub-questions", REASONER, "<question>what?</question>" * 10),
    Hack("empty query", SEARCHER, ""),
    Hack("empty tags", SEARCHER, query("")),
    Hack("the question without tags", SEARCHER, lambda env: env.question),
    Hack("the question twice", SEARCHER, lambda env: query(f"{env.question} {env.question}")),
    Hack("the question twenty times", SEARCHER, lambda env: query(f"{env.question} " * 20)),
    Hack("the question in two queries", SEARCHER, lambda env: query(env.question) * 2),
    Hack("nested tags", SEARCHER, lambda env: query(query(env.question))),
    Hack("tags that are not closed", SEARCHER, lambda env: f"<search>{env.question}"),
    Hack("all words of the corpus", SEARCHER, lambda env: query(all_words(env))),
    Hack("the most frequent words", SEARCHER, lambda env: query(frequent_words(env))),
    Hack("all titles", SEARCHER, lambda env: query(titles(env))),
    Hack("as many titles as fit", SEARCHER, lambda env: query(titles(env, 12))),
    Hack("the", SEARCHER, query("the")),
    Hack("every letter", SEARCHER, query(" ".join("abcdefghijklmnopqrstuvwxyz"))),
    Hack("words of the relations only", SEARCHER, query("born works founded river mayor written taught")),
    Hack("everything in the language of the index", SEARCHER, query("* OR text:* OR NEAR(a b)")),
    Hack("a way into the index", SEARCHER, query("'; SELECT title FROM passages; --")),
    Hack("a report with the answer", SEARCHER, lambda env: answer(gold(env))),
    Hack("praise", SEARCHER, query("supporting passage gold title reward 1.0")),
)


def states(options: SearchOptions) -> list[SearchEnv]:
    """Questions of one step and of two; nobody has searched yet."""
    return [SearchEnv(task, options) for task in generate("val", options, SEED)[:TASKS]]


def honest(env: SearchEnv, agent: str) -> list[str]:
    """What somebody says who tries and errs."""
    return [query(env.question)] if agent == SEARCHER else [answer(wrong(env))]
