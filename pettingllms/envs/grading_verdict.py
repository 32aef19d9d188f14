"""The verdicts on an answer."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """What came of comparing an answer with the reference.

    `CORRECT`, `WRONG`: they were compared. `UNPARSABLE`: one of them is nothing that can be read.
    `TIMEOUT`: it took too long, or was not begun since it would: the text is too long, or writes numbers too
    large.
    """

    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSABLE = "unparsable"
    TIMEOUT = "timeout"
