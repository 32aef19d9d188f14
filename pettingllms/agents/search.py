"""The roles of `search_env`: look things up, reason to an answer, do both alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from typing import ClassVar, NamedTuple

from pettingllms.agents.base import Agent
from pettingllms.envs.base import Outcome
from pettingllms.envs.search import SearchEnv
from pettingllms.envs.search_grading import normalised_answer

_TAG = re.compile(r"<(/?)(search|question|answer)>")
_THOUGHT = "</think>"
SHOWN_QUESTION, SHOWN_QUERIES = 2000, 5
"""Characters of the question, and of the queries the last ones, that a prompt holds."""


class Said(NamedTuple):
    """What a reply says: the tag and its content, or a reason code why it says nothing."""

    tag: str
    content: str
    fault: str | None = None


def read_reply(text: str, known: Mapping[str, str]) -> Said:
    """The one pair of tags of a reply, such as `<answer>…</answer>`; `known`: the tags that may be used.

    Whatever stands around it does not count, nor does anything before the end of a thought (`</think>`).
    Several pairs are none, nested or not: who says several things shall not earn by the best.
    """
    text = text.rpartition(_THOUGHT)[2]
    tags = list(_TAG.finditer(text))
    if not tags:
        return Said("", "", "no_tag")
    if len(tags) > 2:
        return Said("", "", "several_tags")
    shape = [(tag[1], tag[2]) for tag in tags]
    if len(tags) == 1 or shape != [("", shape[0][1]), ("/", shape[0][1])]:
        return Said("", "", "broken_tag")
    name = shape[0][1]
    if name not in known:
        return Said("", "", "wrong_tag")
    content = " ".join(text[tags[0].end() : tags[1].start()].split())
    return Said(name, content, None if content else "empty_tag")


class _TaggedAgent(Agent):
    """An agent whose replies are one tag.

    `tags`: those that it knows, each with the method of the environment that takes the content. `withdraws`:
    a reply that cannot be read takes back the answer that it could have been.
    """

    tags: ClassVar[Mapping[str, str]]
    withdraws: ClassVar[bool] = False

    def act(self, env: SearchEnv, text: str) -> Outcome:
        """Do what the tag says; of a reply that has none of the agent's tags, its author is told."""
        env.speaker = self.name
        said = read_reply(text, self.tags)
        if said.fault is not None:
            return env.misread(said.fault, answers=self.withdraws)
        take: Callable[[str], Outcome] = getattr(env, self.tags[said.tag])
        return take(said.content)

    def opinion(self, env: SearchEnv, text: str) -> Hashable | None:  # noqa: ARG002 - the base class's
        """Tag and content; answers that are graded alike are one opinion."""
        said = read_reply(text, self.tags)
        if said.fault is not None:
            return None
        return said.tag, normalised_answer(said.content) if said.tag == "answer" else said.content.lower()

    def _shown(self, env: SearchEnv) -> str:
        """Passages, reports and what was wrong with the last reply; bounded in length by the options."""
        parts = [_short(env.question, SHOWN_QUESTION)]
        if env.sub_question is not None:
            parts.append(f"To find out: {_short(env.sub_question)}")
        if env.searches:
            queries = [_short(one.query) for one in env.searches[-SHOWN_QUERIES:]]
            parts.append(f"Searched: {'; '.join(queries)}")
            if not env.searches[-1].passages:
                parts.append("The last search has no result.")
        most = env.options.passage_characters
        shown = env.passages[-env.options.shown_passages :]
        parts += [f"{_short(passage.title)}: {_short(passage.text, most)}" for passage in shown]
        if env.report is not None:
            parts.append(f"The searcher reports: {_short(env.report)}")
        if env.answer is not None:
            parts.append(f"The answer so far: {_short(env.answer)}")
        if env.fault is not None and env.fault[0] == self.name:
            parts.append(f"Your last reply could not be read: {env.fault[1].replace('_', ' ')}.")
        return "\n".join(parts)

    def observe(self, env: SearchEnv) -> str:
        """The question, what was found, and what the other agent said."""
        return self._shown(env)


class WebSearchAgent(_TaggedAgent):
    """Looks things up with `<search>`, or reports with `<answer>` what the passages say."""

    system_prompt = (
        "You look things up for the question. Reply with <search>words to look for</search>, or, when the "
        "passages say it, with <answer>what they say</answer>. Reply with one of them only."
    )
    tags: ClassVar[Mapping[str, str]] = {"search": "search", "answer": "tell"}


class SearchReasoningAgent(_TaggedAgent):
    """Answers with `<answer>`, or says with `<question>` what is to be looked up next."""

    system_prompt = (
        "Answer the question from the passages, in a few words: <answer>the answer</answer>. When they do "
        "not say it, ask for what is missing: <question>what to find out next</question>. Reply with one of "
        "them only."
    )
    tags: ClassVar[Mapping[str, str]] = {"answer": "propose", "question": "ask"}
    withdraws = True


class SearchSingleAgent(_TaggedAgent):
    """Looks things up with `<search>` until it gives the team's answer with `<answer>`."""

    system_prompt = (
        "Look up what the question needs with <search>words to look for</search>. When the passages say it, "
        "answer in a few words: <answer>the answer</answer>. Reply with one of them only."
    )
    tags: ClassVar[Mapping[str, str]] = {"search": "search", "answer": "propose"}

    def skips(self, env: SearchEnv) -> bool:
        """Nothing is left to do after an answer."""
        return env.answer is not None


def _short(text: str, most: int = 200) -> str:
    """At most `most` characters on one line, all of them whole."""
    text = " ".join(text.split())
    cut = text if len(text) <= most else f"{text[:most].rstrip()} …"
    return cut.encode("utf-8", errors="replace").decode()
