"""What makes a finding the same one in another run, though its line has moved."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from pettingllms.lint.diagnostic import Diagnostic
from pettingllms.lint.formats.parts import posix


def fingerprint(diagnostic: Diagnostic, file: str) -> str:
    """A hash over the code, `file`, the key path and the words of the line.

    The message is left out: it may name other lines, which move.
    """
    words = (diagnostic.code, file, diagnostic.path, diagnostic.source_line.strip())
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def unique_fingerprints(diagnostics: Sequence[Diagnostic]) -> list[str]:
    """One fingerprint for each diagnostic; equal ones are numbered in their order."""
    seen: Counter[str] = Counter()
    found = []
    for diagnostic in diagnostics:
        plain = fingerprint(diagnostic, posix(diagnostic.file))
        seen[plain] += 1
        found.append(f"{plain}:{seen[plain]}")
    return found
