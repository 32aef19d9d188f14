"""`fts5`: SQLite's full-text index in memory, ranked by its BM25; part of Python's standard library."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterable

from pettingllms.retrieval.passages import Passage
from pettingllms.retrieval.words import words


class Fts5:
    """An index of words that were taken out of the passages before, so that every back end has the same."""

    def __init__(self, passages: Iterable[Passage]) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._connection.close)
        self._connection.execute(
            "CREATE VIRTUAL TABLE passages USING fts5(title UNINDEXED, text UNINDEXED, words)"
        )
        rows = ((one.title, one.text, " ".join(words(f"{one.title} {one.text}"))) for one in passages)
        self._connection.executemany("INSERT INTO passages VALUES (?, ?, ?)", rows)
        self._connection.commit()

    def search(self, query: str, k: int) -> list[Passage]:
        """The `k` passages of the highest score; of equal ones the first."""
        # What FTS5 is asked is a language of its own: each word is quoted, and holds no quote itself.
        wanted = " OR ".join(f'"{word}"' for word in dict.fromkeys(words(query)))
        if not wanted:
            return []
        # bm25() is the negative score.
        asked = (
            "SELECT title, text FROM passages WHERE passages MATCH ? ORDER BY bm25(passages), rowid LIMIT ?"
        )
        with self._lock:
            return [Passage(*row) for row in self._connection.execute(asked, (wanted, k))]
