"""`bm25s`: BM25 in sparse matrices, by the package of that name (extra `search`), for large corpora."""

from __future__ import annotations

from collections.abc import Iterable

from pettingllms.retrieval.bm25 import K1, B
from pettingllms.retrieval.passages import Passage
from pettingllms.retrieval.words import words


class Bm25s:
    """An index with scores that are worked out beforehand; idf as in Lucene."""

    def __init__(self, passages: Iterable[Passage]) -> None:
        import bm25s

        self._passages = tuple(passages)
        corpus = [words(f"{one.title} {one.text}") for one in self._passages]
        self._known = {word for own in corpus for word in own}
        self._index = bm25s.BM25(k1=K1, b=B, method="lucene")
        # Without a single word the package fails; nothing is found then.
        if self._known:
            self._index.index(corpus, show_progress=False)

    def search(self, query: str, k: int) -> list[Passage]:
        """The `k` passages of the highest score above 0; of equal ones the first."""
        wanted = [word for word in dict.fromkeys(words(query)) if word in self._known]
        if not wanted:
            return []
        import numpy

        scores = self._index.get_scores(wanted)
        k = min(k, len(scores))
        least = numpy.partition(scores, -k)[-k]
        # Equal scores keep the order of the passages.
        places = numpy.flatnonzero((scores >= least) & (scores > 0))
        best = places[numpy.lexsort((places, -scores[places]))][:k]
        return [self._passages[place] for place in best]
