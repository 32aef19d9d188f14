"""PLM5, environment and data: what agents of `search_env` search in, and whether it can be searched here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pettingllms.data.sources import preset_of
from pettingllms.documents.source import Finding
from pettingllms.envs import ENVS
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.rule import Context, rule
from pettingllms.retrieval import fault_of, is_local

OPTIONS = ("env", "options")
SEARCH = "pettingllms.envs.search:SearchEnv"


def _options(context: Context) -> Any:
    """The options of `search_env`; None for another environment, and where PLM503 has something to say."""
    env = context.config.env
    # What an environment of one's own makes of its options, nobody else knows.
    if env.name not in ENVS or env.name in ENVS.announced or ENVS[env.name] != SEARCH:
        return None
    try:
        return ENVS.load(env.name).Options.model_validate(env.options)
    except ValidationError:
        return None


@rule(
    "PLM511",
    "nothing-to-search-in",
    Severity.ERROR,
    reads=["env.name", "env.dataset", "env.benchmark", "env.options"],
)
def nothing_to_search_in(context: Context) -> Iterator[Finding]:
    """What agents of `search_env` search in is not there, or cannot be searched.

    A retriever with an index here (`fts5`, `bm25`, `bm25s`) needs passages: those that the dataset brings
    (`hotpotqa`, `builtin:wiki`, rows with `context`), or a file of them in `env.options.corpus`. One on the
    web (`serper`, `tavily`, `brave`) needs a key from the environment, and reads no corpus. Nothing takes the
    place of what is missing. Files, packages and keys are only looked for where the facts are those of this
    very machine (`--here`, `train`, `sweep run`).
    """
    options = _options(context)
    if options is None:
        return
    local, here = is_local(options.retriever), context.facts is not None and context.facts.local
    if here and (fault := fault_of(options.retriever)) is not None:
        place = (*OPTIONS, "retriever") if "retriever" in context.config.env.options else ("env", "name")
        yield Finding(place, str(fault), fault.help)
    if options.corpus is None:
        yield from _without_passages(context) if local else ()
    elif not local:
        message = f"the retriever {options.retriever!r} searches the web, and reads no corpus"
        yield Finding((*OPTIONS, "corpus"), message, "leave the corpus out, or set retriever = 'fts5'")
    elif here:
        from pettingllms.envs.search_corpus import missing_corpus

        path = Path(options.corpus).expanduser()
        if path.suffix != ".jsonl" or not path.is_file():
            fault = missing_corpus(path)
            yield Finding((*OPTIONS, "corpus"), str(fault), fault.help)


def _without_passages(context: Context) -> Iterator[Finding]:
    """Presets that are known to bring none; what rows of a file bring is seen when they are read."""
    from pettingllms.envs.search_corpus import WITHOUT_PASSAGES, no_passages

    env = context.config.env
    for key, name in (("dataset", env.dataset), ("benchmark", env.benchmark)):
        if name is not None and preset_of(name) in WITHOUT_PASSAGES:
            fault = no_passages(f"{key} {name!r}")
            yield Finding(("env", key), str(fault), fault.help)
