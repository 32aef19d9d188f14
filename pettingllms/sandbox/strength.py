"""Whether the sandbox of this machine is strong enough for an experiment."""

from __future__ import annotations

from pettingllms.errors import RefusedError
from pettingllms.sandbox.probes import Probe, Strength, probed

_ORDER = list(Strength)


def require_strength(least: str, *, allow_weak: bool) -> Probe:
    """Try the sandbox of this process; returns what was found.

    Raises RefusedError where it is weaker than `least`, unless `allow_weak`.
    """
    found = probed()
    if not allow_weak and _ORDER.index(found.strength) < _ORDER.index(Strength(least)):
        missing = "".join(f"\n  {text}" for text in found.missing)
        raise RefusedError(
            f"this experiment runs programs that models write, and the sandbox here is {found.strength}, not "
            f"{least}:{missing}",
            help="`pettingllms doctor` shows what was tried; with sandbox.allow_weak = true it runs as it is",
        )
    return found


def weakness(found: Probe, least: str) -> str | None:
    """What reports say of a sandbox that is weaker than `least`; None of one that is not."""
    if _ORDER.index(found.strength) >= _ORDER.index(Strength(least)):
        return None
    return f"{found.strength}, not {least} (sandbox.allow_weak): {'; '.join(found.missing)}"
