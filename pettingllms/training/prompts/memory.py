"""What a search for prompts has found out: scores and proposals, kept so that it can be repeated from them.

A search is a function of its seed, of scores and of proposals. One that is taken up again runs from its
start and is given what was found out before, so that no state of the searching library need be written.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(slots=True)
class Memory:
    """JSON values by what they answer; `step`: the step whose end it remembers, -1 before there is one.

    What was found out since is dropped when a step is not finished.
    """

    step: int = -1
    _found: dict[str, Any] = field(default_factory=dict)
    _settled: int = 0

    def known(self, question: Mapping[str, Any]) -> Any:
        """The answer to `question`, None where there is none yet."""
        return self._found.get(_key(question))

    def keep(self, question: Mapping[str, Any], answer: Any) -> None:
        """`answer`, a JSON value that is not None, is the answer to `question`."""
        self._found[_key(question)] = answer

    def settle(self, step: int) -> None:
        """`step` is finished: what is known belongs to the state of the search."""
        self.step, self._settled = step, len(self._found)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What a checkpoint holds: no tensors, and what was known at the end of the last finished step."""
        known = dict(list(self._found.items())[: self._settled])
        return {}, {"step": self.step, "found": copy.deepcopy(known)}

    def load_state(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:  # noqa: ARG002 - none
        """Know what `state` returned."""
        self.step, self._found = values["step"], copy.deepcopy(values["found"])
        self._settled = len(self._found)


def _key(question: Mapping[str, Any]) -> str:
    text = json.dumps(question, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
