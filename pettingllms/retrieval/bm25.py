"""`bm25`: Okapi BM25 in pure Python, for a sqlite3 without FTS5; ranks as `fts5` does, more slowly."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from pettingllms.retrieval.passages import Passage
from pettingllms.retrieval.words import words

K1, B = 1.2, 0.75
"""How fast repetitions of a word saturate, and how much long passages are discounted."""
LEAST_WEIGHT = 1e-6
"""Of a word that more than half of the passages hold, whose weight would be negative."""


class Bm25:
    """An inverted index. Source: Robertson and Zaragoza 2009, with the weights that SQLite's FTS5 uses."""

    def __init__(self, passages: Iterable[Passage]) -> None:
        self._passages = tuple(passages)
        self._places: dict[str, list[tuple[int, int]]] = {}
        self._lengths: list[int] = []
        for place, passage in enumerate(self._passages):
            own = words(f"{passage.title} {passage.text}")
            self._lengths.append(len(own))
            for word, count in Counter(own).items():
                self._places.setdefault(word, []).append((place, count))
        self._mean_length = sum(self._lengths) / len(self._lengths) if any(self._lengths) else 1.0

    def search(self, query: str, k: int) -> list[Passage]:
        """The `k` passages of the highest score; of equal ones the first."""
        scores: dict[int, float] = {}
        for word in dict.fromkeys(words(query)):
            found = self._places.get(word, [])
            odds = (len(self._passages) - len(found) + 0.5) / (len(found) + 0.5)
            weight = max(math.log(odds), LEAST_WEIGHT)
            for place, count in found:
                discount = K1 * (1 - B + B * self._lengths[place] / self._mean_length)
                scores[place] = scores.get(place, 0.0) + weight * count * (K1 + 1) / (count + discount)
        best = sorted(scores, key=lambda place: (-scores[place], place))[:k]
        return [self._passages[place] for place in best]
