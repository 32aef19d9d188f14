"""`pettingllms explain`: where a value comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pettingllms.cli.arguments import File, Overlays, Sets, Words

if TYPE_CHECKING:
    from pettingllms.compose.explain import Explanation, Step

MAX_VALUE = 100


def explain(
    file: File,
    path: Annotated[str, typer.Argument(metavar="PATH", help="A key, or a section.", show_default=False)],
    words: Words = None,
    sets: Sets = None,
    overlays: Overlays = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per key.")] = False,
) -> None:
    """Print every layer that gave a value to a key, lowest precedence first, and its references.

    For a section: one line for each key below it, with the place of the value that counts.
    """
    from pettingllms.cli.composed import composed
    from pettingllms.compose.explain import explain as explain_path
    from pettingllms.compose.explain import read_path
    from pettingllms.config.fields import ExperimentSchema

    wanted = read_path(path)
    draft, resolution = composed(file, [*(sets or []), *(words or [])], overlays or ())
    explanations = explain_path(draft.tree, resolution, wanted, ExperimentSchema())
    if json:
        typer.echo(_as_json(explanations))
    elif len(explanations) == 1 and explanations[0].path == wanted:
        typer.echo(_in_full(explanations[0]))
    else:
        typer.echo("\n".join(_in_one_line(explanation) for explanation in explanations))


def _in_full(explanation: Explanation) -> str:
    head = f"{_dotted(explanation)} = {written(explanation.value)}"
    state = {
        "set": "",
        "default": "   (nothing sets it: the schema's default)",
        "unset": "   (nothing sets it)",
        "broken": "   (its reference has no value)",
    }[explanation.state]
    rows = [_row(step) for step in explanation.steps]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    lines = [f"  {row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}".rstrip() for row in rows]
    return "\n".join([head + state, *lines])


def _row(step: Step) -> tuple[str, str, str]:
    """What happened, the value, and remarks."""
    indent = "  " * step.depth
    if step.kind == "reference":
        from pettingllms.documents.source import dotted

        remark = (
            f"{dotted(step.path)} at {step.place}" if step.place else f"{dotted(step.path)}, which is not set"
        )
        return f"{indent}{step.name}", written(step.value) if step.place else "", f"→ {remark}"
    if step.kind == "environment":
        return f"{indent}{step.value}", "", f"→ the environment variable {step.name}"
    if step.kind == "sweep":
        return f"{indent}swept ({step.name})", written(step.value), "its default counts here"
    value = "deleted" if step.kind == "deleted" else written(step.value)
    where = step.name if step.place is None or _is_override(step) else str(step.place)
    return where, value, "; ".join(_remarks(step))


def _remarks(step: Step) -> list[str]:
    from pettingllms.documents.source import dotted

    remarks = ["this counts"] if step.wins else []
    if _is_override(step):
        remarks.append("override")
    if step.included:
        remarks.append("included by " + ", then ".join(str(place) for place in step.included))
    if step.package:
        remarks.append(f"mounted at {dotted(step.package)}")
    if step.note:
        remarks.append(step.note)
    return remarks


def _is_override(step: Step) -> bool:
    from pettingllms.compose.tree import COMMAND_LINE

    return step.place is not None and step.place.source.name == COMMAND_LINE


def _in_one_line(explanation: Explanation) -> str:
    winner = explanation.winner
    if explanation.state == "broken":
        origin = "its reference has no value"
    elif winner is None or winner.place is None:
        origin = "schema default"
    else:
        origin = winner.name if _is_override(winner) else str(winner.place)
    targets = [step.name for step in explanation.steps if step.kind == "reference" and step.depth == 1]
    through = f", through {', '.join(targets)}" if targets else ""
    return f"{_dotted(explanation)} = {written(explanation.value)}   # {origin}{through}"


def _dotted(explanation: Explanation) -> str:
    from pettingllms.documents.source import dotted

    return dotted(explanation.path)


def written(value: Any) -> str:
    """`value` on one line, cut where it is long."""
    from pettingllms.documents.literals import toml_value

    text = "null" if value is None else toml_value(value)
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"


def _as_json(explanations: list[Explanation]) -> str:
    from json import dumps

    from pettingllms.documents.source import dotted

    def step(one: Step) -> dict[str, Any]:
        return {
            "kind": one.kind,
            "path": dotted(one.path),
            "name": one.name,
            "value": one.value,
            "place": str(one.place) if one.place else None,
            "included": [str(place) for place in one.included],
            "package": dotted(one.package),
            "note": one.note,
            "depth": one.depth,
            "wins": one.wins,
        }

    found = [
        {
            "path": dotted(one.path),
            "value": one.value,
            "state": one.state,
            "steps": [step(each) for each in one.steps],
        }
        for one in explanations
    ]
    return dumps(found, indent=2, ensure_ascii=False, default=str)
