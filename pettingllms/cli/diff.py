"""`pettingllms diff`: what differs between two experiments or runs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pettingllms.cli.arguments import Overlays, Sets
from pettingllms.errors import UsageError

if TYPE_CHECKING:
    from pettingllms.compose.difference import Difference
    from pettingllms.documents.source import Place

RESOLVED = "resolved.toml"
Side = Annotated[
    Path,
    typer.Argument(help="An experiment file, a shipped preset, or a run's folder.", show_default=False),
]


def diff(
    left: Side,
    right: Side,
    sets: Sets = None,
    overlays: Overlays = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """Print what differs between LEFT and RIGHT after composition, with references resolved.

    Overrides and files laid over apply to RIGHT, unless it is a run's folder. Exit code 0: the
    same values; 1: they differ.
    """
    from pettingllms.cli.composed import composed
    from pettingllms.compose.difference import differences

    changes = [*(sets or []), *map(str, overlays or [])]
    if changes and right.is_dir():
        raise UsageError(f"{right} is a run; {changes[0]} cannot change it", help="name an experiment file")
    first = composed(_file(left), (), ())
    second = composed(_file(right), sets or (), overlays or ())
    found = differences((first[0].tree, first[1]), (second[0].tree, second[1]))
    if json:
        typer.echo(_as_json(found))
    else:
        typer.echo(_as_text(found) if found else f"{left} and {right} hold the same values")
    raise typer.Exit(int(bool(found)))


def _file(side: Path) -> Path:
    """The file to read for one side. Raises UsageError for a folder that is no run."""
    if not side.is_dir():
        return side
    if not (side / RESOLVED).is_file():
        raise UsageError(f"{side} is no run: it holds no {RESOLVED}", help="name a run's folder or a file")
    return side / RESOLVED


def _as_text(found: Sequence[Difference]) -> str:
    """Grouped by section; the keys at the root come first."""
    ordered = sorted(found, key=lambda difference: len(difference.path) > 1)
    sections = dict.fromkeys(_section(difference) for difference in ordered)
    grouped = sorted(ordered, key=lambda difference: list(sections).index(_section(difference)))
    blocks = []
    for section, members in groupby(grouped, key=_section):
        lines = [f"[{section}]"] if section else []
        blocks.append("\n".join([*lines, *map(_line, members)]))
    counts = {kind: sum(one.kind == kind for one in found) for kind in ("changed", "added", "removed")}
    blocks.append(", ".join(f"{count} {kind}" for kind, count in counts.items() if count))
    return "\n\n".join(blocks)


def _section(difference: Difference) -> str:
    from pettingllms.documents.source import dotted

    return dotted(difference.path[:1]) if len(difference.path) > 1 else ""


def _line(difference: Difference) -> str:
    from pettingllms.cli.explain import written
    from pettingllms.documents.source import dotted

    key = dotted(difference.path[1:] or difference.path)
    old, new = written(difference.old), written(difference.new)
    places = [_place(place, difference) for place in (difference.old_place, difference.new_place)]
    sign, values = {
        "added": ("+", new),
        "removed": ("-", old),
        "changed": ("~", f"{old} → {new}"),
    }[difference.kind]
    return f"{sign} {key} = {values}   # {' → '.join(place for place in places if place)}"


def _place(place: Place | None, difference: Difference) -> str | None:
    from pettingllms.compose.secrets import REDACTED, is_secret_path
    from pettingllms.compose.tree import COMMAND_LINE

    if place is None or place.source.name != COMMAND_LINE:
        return str(place) if place else None
    text = place.source.text
    return f"{text.partition('=')[0]}={REDACTED}" if is_secret_path(difference.path) else text


def _as_json(found: Sequence[Difference]) -> str:
    from json import dumps

    from pettingllms.documents.source import dotted

    def one(difference: Difference) -> dict[str, Any]:
        entry: dict[str, Any] = {"kind": difference.kind, "path": dotted(difference.path)}
        if difference.kind != "added":
            entry["old"] = difference.old
            entry["old_place"] = _place(difference.old_place, difference)
        if difference.kind != "removed":
            entry["new"] = difference.new
            entry["new_place"] = _place(difference.new_place, difference)
        return entry

    return dumps([one(difference) for difference in found], indent=2, ensure_ascii=False, default=str)
