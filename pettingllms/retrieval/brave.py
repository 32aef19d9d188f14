"""`brave`: results of the Brave Search API; the key is in BRAVE_API_KEY."""

from __future__ import annotations

import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from pettingllms.retrieval.passages import Passage
from pettingllms.retrieval.web import WebRetriever


class Brave(WebRetriever):
    """Titles and descriptions of the web results."""

    name = "brave"
    address = "https://api.search.brave.com/res/v1/web/search"

    def request(self, query: str, k: int, key: str) -> urllib.request.Request:
        """A GET with the key in a header."""
        asked = urllib.parse.urlencode({"q": query, "count": k, "text_decorations": "false"})
        headers = {"Accept": "application/json", "X-Subscription-Token": key}
        return urllib.request.Request(f"{self.address}?{asked}", headers=headers)

    def results(self, answer: Any) -> Sequence[Mapping[str, Any]]:
        """`web.results`; where nothing was found there is no `web`, but the query is repeated."""
        if "web" not in answer and "query" in answer:
            return []
        found: Sequence[Mapping[str, Any]] = answer["web"]["results"]
        return found

    def passage(self, result: Mapping[str, Any]) -> Passage:
        """Some results have no description."""
        return Passage(result["title"], result.get("description", ""))
