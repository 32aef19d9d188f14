"""What is found for a query, who finds it, and how finding it can fail."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

from pettingllms.errors import InfrastructureError

Fault = Literal["unreachable", "timeout", "key_refused", "rate_limited", "server_error", "bad_answer"]
"""Why a back end gave no answer."""


class Passage(NamedTuple):
    """A piece of text with the title of what it is from."""

    title: str
    text: str


class Retriever(Protocol):
    """Finds passages; one is shared by all environments of a process, and asked by several threads."""

    def search(self, query: str, k: int) -> list[Passage]:
        """At most `k` passages for `query`, best first; none where nothing fits.

        The same for the same query. Raises RetrievalError.
        """
        ...


class RetrievalError(InfrastructureError):
    """A back end gave no answer; what the policy asked is not to blame. `kind`: why, as a word."""

    def __init__(self, kind: Fault, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
