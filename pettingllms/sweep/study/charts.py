"""Pictures of a study as SVG, which browsers and papers take: parallel coordinates, and bars."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from pettingllms.documents.source import dotted
from pettingllms.errors import RefusedError
from pettingllms.sweep.study.importances import measured
from pettingllms.sweep.study.outcome import short_names
from pettingllms.sweep.study.reading import Reading
from pettingllms.sweep.trial import shown

HEIGHT, TOP, SIDE, GAP = 420, 70, 90, 150
BAR, BAR_WIDTH, LABEL_WIDTH = 28, 420, 320
LONGEST = 24
"""Characters of a value beside its axis."""
WORST, BEST = (68, 1, 84), (253, 180, 36)
"""Colours of the lines, dark to bright, which are told apart also without colour."""
MOST_TICKS = 12


def parallel_coordinates(reading: Reading, metric: str) -> str:
    """One vertical line per axis and one for `metric`; each trial that completed goes through its values.

    Bright is good. Raises RefusedError where no trial has completed.
    """
    values = measured(reading, metric)
    if not values:
        raise RefusedError(f"no trial has completed with {metric}", help="`sweep status` shows how it stands")
    rows = [reading.rows[number] for number in values]
    names = short_names(reading.axes)
    columns = [
        (names[path], [row.swept.get(dotted(path)) for row in rows], _is_log(reading, dotted(path)))
        for path in reading.axes
    ]
    columns.append((metric, list(values.values()), False))
    width = 2 * SIDE + GAP * max(len(columns) - 1, 1)
    parts, heights = [], []
    for place, (name, column, log) in enumerate(columns):
        scale, ticks = _scale(column, log)
        x = SIDE + GAP * place
        heights.append([scale(value) for value in column])
        parts.append(_line([(x, TOP), (x, HEIGHT - TOP / 2)], "#555", 1))
        parts.append(_text(x, TOP - 26 - 16 * (place % 2), name, "middle", bold=True))
        parts += [_text(x + 6, y + 4, text, "start") for y, text in ticks]
    goals = {objective.metric: objective.direction for objective in reading.sweep.objectives}
    worth = [values[row.number] * _sign(goals.get(metric)) for row in rows]
    worst, best = min(worth), max(worth)
    lines = []
    for i in sorted(range(len(rows)), key=worth.__getitem__):
        # The better ones lie on top.
        points = [(SIDE + GAP * place, column[i]) for place, column in enumerate(heights)]
        share = 1.0 if best == worst else (worth[i] - worst) / (best - worst)
        said = f"trial {rows[i].number}: {metric} = {values[rows[i].number]:.4g}"
        lines.append(_line(points, _colour(share), 2, said))
    title = _text(SIDE / 2, 20, f"{reading.study.name}: {len(rows)} trials", "start", bold=True)
    return _svg(width, HEIGHT, [title, *lines, *parts])


def bars(title: str, shares: Mapping[str, float]) -> str:
    """One bar for each of `shares`, in their order."""
    height = TOP + BAR * len(shares)
    top = max(shares.values(), default=1.0) or 1.0
    parts = [_text(20, 24, title, "start", bold=True)]
    for place, (name, share) in enumerate(shares.items()):
        y = 44 + BAR * place
        length = BAR_WIDTH * share / top
        parts.append(_text(LABEL_WIDTH - 8, y + 14, name, "end"))
        size = f'x="{LABEL_WIDTH}" y="{y}" width="{length:.1f}" height="{BAR - 9}"'
        parts.append(f'<rect {size} fill="{_colour(0.35)}"/>')
        parts.append(_text(LABEL_WIDTH + length + 8, y + 14, f"{share:.3f}", "start"))
    return _svg(LABEL_WIDTH + BAR_WIDTH + 80, height, parts)


def _scale(column: Sequence[Any], log: bool) -> tuple[Callable[[Any], float], list[tuple[float, str]]]:
    """From a value to its height, and the heights that are labelled; None lies at the foot of numbers."""
    foot = HEIGHT - TOP / 2
    low, high = foot - 12, TOP + 12
    there = [value for value in column if value is not None]
    if there and all(isinstance(value, int | float) and not isinstance(value, bool) for value in there):
        log = log and min(there) > 0
        ends = [math.log(value) if log else float(value) for value in (min(there), max(there))]
        span = ends[1] - ends[0]

        def height(value: Any) -> float:
            if value is None:
                return foot
            number = math.log(value) if log else float(value)
            return (low + high) / 2 if span == 0 else low + (high - low) * (number - ends[0]) / span

        distinct = sorted(set(there))
        ticks = distinct if len(distinct) <= MOST_TICKS else [distinct[0], distinct[-1]]
        absent = [(foot, "-")] if len(there) < len(column) else []
        return height, [(height(value), f"{value:.4g}") for value in ticks] + absent
    texts = list(dict.fromkeys(map(_value, column)))
    step = (low - high) / max(len(texts) - 1, 1)
    places = {text: low - step * place for place, text in enumerate(texts)}
    return (lambda value: places[_value(value)]), [(y, _cut(text)) for text, y in places.items()]


def _value(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else shown(value)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _is_log(reading: Reading, name: str) -> bool:
    axis = reading.header.get("lock", {}).get("space", {}).get(name, {})
    return isinstance(axis, dict) and bool(axis.get("log"))


def _sign(direction: str | None) -> int:
    return -1 if direction == "minimize" else 1


def _colour(share: float) -> str:
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(WORST, BEST, strict=True))


def _line(points: Sequence[tuple[float, float]], colour: str, width: float, said: str = "") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    title = f"<title>{escape(said)}</title>" if said else ""
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}">{title}</polyline>'
    )


def _text(x: float, y: float, text: str, anchor: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    printable = "".join(one for one in text if one.isprintable())
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}'
    # A white rim, as lines run below.
    return f'<text {place} paint-order="stroke" stroke="white" stroke-width="3">{escape(printable)}</text>'


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
    head += f' viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
    ground = f'<rect width="{width}" height="{height}" fill="white"/>'
    return "\n".join([head, ground, *parts, "</svg>"]) + "\n"
