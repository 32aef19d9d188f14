"""`tavily`: results of tavily.com; the key is in TAVILY_API_KEY."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from pettingllms.retrieval.passages import Passage
from pettingllms.retrieval.web import WebRetriever, json_request


class Tavily(WebRetriever):
    """Titles and extracts of the results, without the answer that the service could write itself."""

    name = "tavily"
    address = "https://api.tavily.com/search"

    def request(self, query: str, k: int, key: str) -> urllib.request.Request:
        """A POST with the key as a bearer token."""
        body = {"query": query, "max_results": k, "include_answer": False}
        return json_request(self.address, body, {"Authorization": f"Bearer {key}"})

    def results(self, answer: Any) -> Sequence[Mapping[str, Any]]:
        """`results`, which has to be there."""
        found: Sequence[Mapping[str, Any]] = answer["results"]
        return found

    def passage(self, result: Mapping[str, Any]) -> Passage:
        """Title and content."""
        return Passage(result["title"], result["content"])
