"""`serper`: results of Google Search by serper.dev; the key is in SERPER_API_KEY."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from pettingllms.retrieval.passages import Passage
from pettingllms.retrieval.web import WebRetriever, json_request


class Serper(WebRetriever):
    """Titles and snippets of the organic results."""

    name = "serper"
    address = "https://google.serper.dev/search"

    def request(self, query: str, k: int, key: str) -> urllib.request.Request:
        """A POST with the key in a header."""
        return json_request(self.address, {"q": query, "num": k}, {"X-API-KEY": key})

    def results(self, answer: Any) -> Sequence[Mapping[str, Any]]:
        """`organic`, which has to be there."""
        found: Sequence[Mapping[str, Any]] = answer["organic"]
        return found

    def passage(self, result: Mapping[str, Any]) -> Passage:
        """Some results have no snippet."""
        return Passage(result["title"], result.get("snippet", ""))
