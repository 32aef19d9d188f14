"""The winner of a search for prompts as an experiment file of its own, in the run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.winning_prompts import resolved_with_prompts, with_prompts
from pettingllms.documents.atomic import write_text
from pettingllms.documents.read import read_document

PROMPTS = "prompts.json"
"""What the worker leaves: all candidates and the number of the best one."""


def write_best(folder: Path, config: ExperimentConfig) -> Path | None:
    """Write `best.toml` (`best.yaml` where the source is YAML) into a run folder; returns it.

    It is the experiment as it was written, with the winner's prompts and what overrides and a sweep set; a
    file that builds on others which are not found from there is written as it was resolved. None where the
    run found no winner.
    """
    if not (folder / PROMPTS).is_file():
        return None
    pool = json.loads((folder / PROMPTS).read_text(encoding="utf-8"))
    texts = {
        agent: {key: _value(key, text) for key, text in own.items()}
        for agent, own in pool["candidates"][pool["best"]]["agents"].items()
    }
    source = next(path for path in folder.glob("experiment.*") if path.suffix in (".toml", ".yaml"))
    resolved = read_document(folder / "resolved.toml")
    text, target = with_prompts(read_document(source), resolved, config, texts), f"best{source.suffix}"
    if text is None:
        text, target = resolved_with_prompts(resolved, config, texts), "best.toml"
    write_text(folder / target, text, force=True)
    return folder / target


def best_of(folder: Path) -> Path | None:
    """The file that `write_best` wrote into a run folder, None where there is none."""
    return next((path for path in (folder / "best.toml", folder / "best.yaml") if path.is_file()), None)


def _value(key: str, text: str) -> Any:
    return json.loads(text) if key == "examples" else text
