"""Micro-batches that do not fit into memory: what was begun is done again with smaller ones."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor

from pettingllms.errors import RefusedError
from pettingllms.training.batching import Batch

T = TypeVar("T")

SAID = ("DefaultCPUAllocator", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What PyTorch's errors say, beside their type, where memory ran out."""


class TooLargeError(Exception):
    """A micro-batch did not fit. `tokens`: put through the model, with padding; `sequences`: responses."""

    def __init__(self, batch: Batch) -> None:
        super().__init__(f"{batch.input_BT.numel()} tokens do not fit into memory")
        self.tokens, self.sequences = batch.input_BT.numel(), len(batch.samples)


@contextmanager
def fitting(batch: Batch) -> Iterator[None]:
    """Raise TooLargeError where memory runs out inside the block, which works on `batch`."""
    try:
        yield
    except (MemoryError, RuntimeError) as cause:
        if ran_out(cause):
            raise TooLargeError(batch) from cause
        raise


def ran_out(error: Exception) -> bool:
    """Whether `error` is about memory, of a GPU or of the machine."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in SAID)


class Room:
    """What fits into this process's memory at once, by policy: all that is asked for, until some did not.

    `warn` is told of each time that it did not.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._largest: dict[str, tuple[int, int]] = {}
        """Tokens and sequences of a policy's micro-batch at most."""

    def tokens(self, policy: str, asked: int | None) -> int | None:
        """Tokens of a micro-batch where `asked` are configured; None is no limit."""
        return self._least(policy, asked, 0)

    def sequences(self, policy: str, asked: int | None) -> int | None:
        """The same for its responses."""
        return self._least(policy, asked, 1)

    def fit(self, policy: str, work: Callable[[], T]) -> T:
        """What `work` gives, which asks this for the size of its micro-batches and can be done again.

        It is done again, from its beginning, with half of what did not fit: nothing that was computed
        counts twice. Raises RefusedError where a response alone does not fit.
        """
        while True:
            try:
                return work()
            except TooLargeError as error:
                # What the error holds of the failed work must be free before the work is done again.
                tokens, sequences = error.tokens, error.sequences
            self._halve(policy, tokens, sequences)
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What a checkpoint keeps, as the cut of micro-batches decides how sums are rounded."""
        return {}, {policy: list(largest) for policy, largest in self._largest.items()}

    def load_state(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Take back what `state` gave."""
        self._largest = {policy: (tokens, sequences) for policy, (tokens, sequences) in values.items()}

    def _least(self, policy: str, asked: int | None, which: int) -> int | None:
        if asked is None or policy not in self._largest:
            return asked
        return min(asked, self._largest[policy][which])

    def _halve(self, policy: str, tokens: int, sequences: int) -> None:
        if sequences == 1:
            raise RefusedError(
                f"policy {policy!r}: one response with its prompt, {tokens} tokens, does not fit into memory",
                help="lower training.max_response_length or training.max_prompt_length, or set "
                "actor_rollout_ref.model.enable_gradient_checkpointing = true",
            )
        known = self._largest.get(policy, (tokens, sequences))
        self._largest[policy] = (min(known[0], tokens // 2), min(known[1], sequences // 2))
        self._warn(
            f"policy {policy!r}: {tokens} tokens in {sequences} responses did not fit into memory; "
            f"the next micro-batches have at most {tokens // 2} tokens or {sequences // 2} responses, which "
            "changes results by rounding only"
        )
