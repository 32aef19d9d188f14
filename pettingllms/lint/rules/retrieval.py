"""PLM5, environment and data: what agents of `search_env` search in, and whether it can be searched here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pydantic import ValidationError

from pettingllms.config.agents import EnvConfig
from pettingllms.data.sources import preset_of
from pettingllms.documents.source import Finding, KeyPath
from pettingllms.envs import ENVS
from pettingllms.envs.homes import played_at
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.rule import Context, rule
from pettingllms.retrieval import fault_of, is_local

if TYPE_CHECKING:
    from pettingllms.envs.search import SearchOptions

SEARCH = "pettingllms.envs.search:SearchEnv"


class _Searching(NamedTuple):
    """`search_env` as the environment of the run, or of a part of it; `place`: where its keys are."""

    place: KeyPath
    written: Mapping[str, Any]
    options: SearchOptions


def _searching(env: EnvConfig) -> Iterator[_Searching]:
    """All of them but those whose options PLM503 has something to say about."""
    for place, name, part in played_at(env):
        # What an environment of one's own makes of its options, nobody else knows.
        if name not in ENVS or name in ENVS.announced or ENVS[name] != SEARCH:
            continue
        with suppress(ValidationError):
            options = ENVS.load(name).Options.model_validate(part.get("options", {}))
            yield _Searching(place, part, cast("SearchOptions", options))


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
    here = context.facts is not None and context.facts.local
    for one in _searching(context.config.env):
        yield from _nothing_there(one, here=here)


def _nothing_there(one: _Searching, *, here: bool) -> Iterator[Finding]:
    options, below = one.options, (*one.place, "options")
    local = is_local(options.retriever)
    if here and (fault := fault_of(options.retriever)) is not None:
        written = "retriever" in options.model_fields_set
        place = (*below, "retriever") if written else one.place if len(one.place) > 1 else ("env", "name")
        yield Finding(place, str(fault), fault.help, at_key=place == one.place)
    if options.corpus is None:
        yield from _without_passages(one) if local else ()
    elif not local:
        message = f"the retriever {options.retriever!r} searches the web, and reads no corpus"
        yield Finding((*below, "corpus"), message, "leave the corpus out, or set retriever = 'fts5'")
    elif here:
        from pettingllms.envs.search_corpus import missing_corpus

        path = Path(options.corpus).expanduser()
        if path.suffix != ".jsonl" or not path.is_file():
            fault = missing_corpus(path)
            yield Finding((*below, "corpus"), str(fault), fault.help)


def _without_passages(one: _Searching) -> Iterator[Finding]:
    """Presets that are known to bring none; what rows of a file bring is seen when they are read."""
    from pettingllms.envs.search_corpus import WITHOUT_PASSAGES, no_passages

    for key in ("dataset", "benchmark"):
        name = one.written.get(key)
        if isinstance(name, str) and preset_of(name) in WITHOUT_PASSAGES:
            fault = no_passages(f"{key} {name!r}")
            yield Finding((*one.place, key), str(fault), fault.help)
