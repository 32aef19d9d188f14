"""What agents of `search_env` search in: a file of one's own, the passages that a task brings, or the web."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pettingllms.data.reading import rows_in
from pettingllms.data.rows import BadRowError, text_at
from pettingllms.envs.wiki_world import world_named
from pettingllms.errors import RefusedError
from pettingllms.retrieval import is_local
from pettingllms.retrieval.opened import local_retriever, web_retriever
from pettingllms.retrieval.passages import Passage, Retriever

WITHOUT_PASSAGES = (
    *("hotpotqa_fullwiki", "nq", "triviaqa", "popqa", "flashrag_hotpotqa"),
    *("2wikimultihopqa", "musique", "bamboogle"),
)
"""Presets whose rows have questions and answers only."""
SUFFIX = ".jsonl"
MAX_PASSAGE_BYTES = 2**24
"""Of a line of a corpus."""


def retriever_for(data: Mapping[str, Any], options: Any) -> Retriever:
    """Who finds passages for the task with this data, under these options of `search_env`; opened once.

    Raises RefusedError where there is nothing to search in, or the back end cannot be had.
    """
    name = options.retriever
    if not is_local(name):
        return web_retriever(name, options.search_seconds)
    if options.corpus is not None:
        path = Path(options.corpus).expanduser().absolute()
        return local_retriever(name, f"file {path}", lambda: corpus_in(path))
    if (world := data.get("corpus")) is not None:
        return local_retriever(name, world, lambda: world_named(world).passages)
    if (context := data.get("context")) is not None:
        found = [Passage(one["title"], one["text"]) for one in context]
        digest = hashlib.sha256(repr(found).encode("utf-8", errors="replace")).hexdigest()
        return local_retriever(name, f"context {digest}", lambda: found)
    raise no_passages("the dataset")


def no_passages(what: str) -> RefusedError:
    """Nothing is there to search in."""
    return RefusedError(
        f"{what} brings no passages to search in",
        help="name a file of them, one object with `title` and `text` a line, in env.options.corpus; or "
        "search the web: env.options.retriever = 'serper', 'tavily' or 'brave'",
    )


def corpus_in(path: Path) -> Iterator[Passage]:
    """The passages of a file. Raises RefusedError for a line that is none, and for a file without any."""
    if path.suffix != SUFFIX or not path.is_file():
        raise missing_corpus(path)
    empty = True
    for number, row in rows_in(path, MAX_PASSAGE_BYTES):
        try:
            if isinstance(row, BadRowError):
                raise row
            passage = Passage(text_at(row, "title"), text_at(row, "text"))
            "".join(passage).encode()
        except BadRowError as error:
            raise _bad_line(path, number, str(error)) from None
        except UnicodeEncodeError:
            raise _bad_line(path, number, "non_utf8: half a character, which no text can hold") from None
        empty = False
        yield passage
    if empty:
        raise RefusedError(f"the corpus {path} has no passages", help="write one a line: title and text")


def missing_corpus(path: Path) -> RefusedError:
    """The file is not there, or of another kind."""
    what = f"is no *{SUFFIX} file" if path.exists() else "is not there"
    return RefusedError(
        f"the corpus {path} {what}",
        help="a corpus is a file of JSON lines, each an object with `title` and `text`; relative paths start "
        "in the current folder",
    )


def _bad_line(path: Path, number: int, why: str) -> RefusedError:
    help_text = "mend the line: a passage is an object with the texts `title` and `text`"
    return RefusedError(f"{path}:{number} is no passage: {why}", help=help_text)
