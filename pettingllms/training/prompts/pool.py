"""`prompts.json`: the candidates of a search and which of them is the best, for people and other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pettingllms.training.prompts.steps import Pool
from pettingllms.training.prompts.texts import Candidate, component

PROMPTS = "prompts.json"
"""Its name in a run folder."""


def write_pool(pool: Pool, folder: Path, *, done: bool) -> None:
    """Write it into the run folder in one move. `done`: whether the search has ended."""
    candidates: list[dict[str, Any]] = [
        {
            "number": number,
            "parents": pool.parents[number],
            "val/success_rate": pool.scores[number],
            "agents": _by_agent(texts),
        }
        for number, texts in enumerate(pool.candidates)
    ]
    found = {"step": pool.step, "done": done, "best": pool.best, "candidates": candidates}
    partial = folder / f".{PROMPTS}.partial"
    partial.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(folder / PROMPTS)


def _by_agent(candidate: Candidate) -> dict[str, dict[str, str]]:
    """The texts of a candidate by agent and key."""
    found: dict[str, dict[str, str]] = {}
    for name, text in candidate.items():
        agent, key = component(name)
        found.setdefault(agent, {})[key] = text
    return found
