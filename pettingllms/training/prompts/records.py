"""What reflection reads of an episode: the turns of one agent, what they earned and what came of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pettingllms.types import Episode, Turn

LONGEST_SHOWN = 2000
"""Characters of one text that reflection is shown."""


def records_of(episode: Episode, agent: str, frame: str) -> Iterator[dict[str, Any]]:
    """One record for each turn of `agent` in an episode; `frame`: its prompt with no task in it."""
    for turn in episode.turns:
        if turn.agent == agent:
            later = [_said(other) for other in episode.turns if other.index > turn.index]
            yield {
                "It was shown": _clipped(_inside(turn.prompt_text, frame)),
                **_answer(turn),
                **({"What the others did then": later} if later else {}),
                "Outcome": "The team solved the task." if episode.success else "The team failed the task.",
            }


def _answer(turn: Turn) -> Mapping[str, str]:
    sample = turn.samples[turn.chosen or 0]
    earned = "nothing: it could not be judged"
    if (reward := sample.reward) is not None:
        own = "" if reward.local is None else f"{reward.local:g} for itself, "
        earned = f"{own}{reward.team:g} for the team; reason: {reward.reason}"
    return {"Its answer": _clipped(sample.text) or "(empty)", "What the answer earned": earned}


def _said(turn: Turn) -> str:
    sample = turn.samples[turn.chosen or 0]
    because = f" (reason: {sample.reward.reason})" if sample.reward is not None else ""
    return f"{turn.agent}: {_clipped(sample.text)}{because}"


def _inside(text: str, frame: str) -> str:
    """What `text` has more than `frame`, which it begins and ends like."""
    begin = _alike(text, frame)
    end = _alike(text[begin:][::-1], frame[begin:][::-1])
    return text[begin : len(text) - end]


def _alike(one: str, other: str) -> int:
    """How many characters both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _clipped(text: str) -> str:
    half = LONGEST_SHOWN // 2
    return text.strip() if len(text) <= LONGEST_SHOWN else f"{text[:half]} … {text[-half:]}".strip()
