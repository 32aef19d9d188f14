"""What a rule could not check, and why: a few texts that many rules share."""

from __future__ import annotations

from pettingllms.lint.model_files import is_hub_id, settings_at
from pettingllms.lint.rule import Context

MACHINE = {"gpus": "GPU count", "gpu_memory": "GPU memory", "disk_free": "disk space"}
"""Facts in words."""


def machine_fact(context: Context, fact: str) -> int | None:
    """A fact of the machine; where it is not known that is noted."""
    found: int | None = getattr(context.facts, fact, None)
    if found is None:
        why = "no --here or --assume" if context.facts is None else "not known of this machine"
        context.unchecked.add(f"{MACHINE[fact]} ({why})")
    return found


def model_is_unknown(context: Context, path: str) -> None:
    """Note that nothing was checked that depends on the `config.json` of the model at `path`.

    A path that leads nowhere is the fault of another rule.
    """
    if settings_at(path) is not None:
        context.unchecked.add(f"size of {path} (not in its config.json)")
    elif is_hub_id(path):
        context.unchecked.add(f"size of {path} (not a local folder)")
