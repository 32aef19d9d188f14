"""Back ends that find passages for a query: a table of them, and what each needs of this machine."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import NamedTuple

from pettingllms.errors import RefusedError


class BackEnd(NamedTuple):
    """`row`: `module:Class`. `key`: the environment variable with the key of a service on the web; None for a
    back end that has an index of passages here. `package`: what has to be installed for it.
    """

    row: str
    key: str | None = None
    package: str | None = None


BACK_ENDS = {
    "fts5": BackEnd("pettingllms.retrieval.fts5:Fts5"),
    "bm25": BackEnd("pettingllms.retrieval.bm25:Bm25"),
    "bm25s": BackEnd("pettingllms.retrieval.bm25s:Bm25s", package="bm25s"),
    "serper": BackEnd("pettingllms.retrieval.serper:Serper", key="SERPER_API_KEY"),
    "tavily": BackEnd("pettingllms.retrieval.tavily:Tavily", key="TAVILY_API_KEY"),
    "brave": BackEnd("pettingllms.retrieval.brave:Brave", key="BRAVE_API_KEY"),
}


def is_local(name: str) -> bool:
    """Whether the back end has an index of passages here, rather than a service on the web."""
    return BACK_ENDS[name].key is None


def fault_of(name: str) -> RefusedError | None:
    """What keeps the back end from working here; None for nothing. No other one takes its place."""
    _, key, package = BACK_ENDS[name]
    if key is not None and not os.environ.get(key, "").strip():
        return RefusedError(
            f"the retriever {name!r} needs a key, and the environment variable {key} is not set",
            help=f"export {key}=…, or search in passages here with env.options.retriever = 'fts5'",
        )
    if package is not None and find_spec(package) is None:
        return RefusedError(
            f"the retriever {name!r} needs {package}, which is not installed",
            help="install with: uv sync --extra search; or set env.options.retriever = 'fts5'",
        )
    if name == "fts5" and not has_fts5():
        return RefusedError(
            "this Python's sqlite3 has no FTS5, which the retriever 'fts5' needs",
            help="set env.options.retriever = 'bm25', which ranks the same in pure Python",
        )
    return None


def has_fts5() -> bool:
    """Whether SQLite here was built with ENABLE_FTS5."""
    import sqlite3

    connection = sqlite3.connect(":memory:")
    try:
        return ("ENABLE_FTS5",) in connection.execute("PRAGMA compile_options").fetchall()
    finally:
        connection.close()
