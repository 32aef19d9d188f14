"""Seeds derived from the one seed of a run."""

from __future__ import annotations

import hashlib


def derive(*parts: str | int) -> int:
    """A number in [0, 2^31) that depends on all `parts` and nothing else."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") >> 1
