"""Back ends that this process has opened: an index is built once, and shared by all environments."""

from __future__ import annotations

import importlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from pettingllms.retrieval import BACK_ENDS, fault_of
from pettingllms.retrieval.passages import Passage, Retriever

KEPT = 256
"""Back ends that stay open, the last used ones; tasks that bring passages of their own have one each."""

_opened: OrderedDict[tuple[str, object], Retriever] = OrderedDict()
_lock = threading.RLock()


def local_retriever(name: str, corpus: str, load: Callable[[], Iterable[Passage]]) -> Retriever:
    """The index `name` of the passages that `load` gives. `corpus`: names them, the same for the same ones.

    Raises RefusedError where the back end cannot be had here, and what `load` raises.
    """
    return _shared(name, corpus, lambda kind: kind(load()))


def web_retriever(name: str, seconds: float) -> Retriever:
    """The service `name`, with `seconds` for each query. Raises RefusedError where its key is not there."""
    return _shared(name, seconds, lambda kind: kind(os.environ[str(BACK_ENDS[name].key)].strip(), seconds))


def _shared(name: str, what: object, make: Callable[[Any], Retriever]) -> Retriever:
    with _lock:
        if (name, what) not in _opened:
            fault = fault_of(name)
            if fault is not None:
                raise fault
            module, _, attribute = BACK_ENDS[name].row.partition(":")
            _opened[name, what] = make(getattr(importlib.import_module(module), attribute))
            while len(_opened) > KEPT:
                _opened.popitem(last=False)
        _opened.move_to_end((name, what))
        return _opened[name, what]
