"""What is wrong with axes whose shape is right, each looked at by itself or with those zipped to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pettingllms.config.axes import Axis
from pettingllms.config.shape import MAX_ADVICE, written
from pettingllms.documents.source import Change, Finding, Fix, dotted
from pettingllms.registry import closest
from pettingllms.space.cells import duplicates, label

DUPLICATE, NO_CHOICE, MISSED, OUTSIDE, MISMATCH = "PLM402", "PLM403", "PLM406", "PLM408", "PLM412"


def axis_findings(axes: Sequence[Axis]) -> Iterator[Finding]:
    """What is wrong with axes whatever the sampler is."""
    zipped: dict[str, list[Axis]] = {}
    for axis in axes:
        yield from _steps(axis)
        yield from _default(axis)
        if axis.zip is None:
            yield from _duplicates(axis)
        else:
            zipped.setdefault(axis.zip, []).append(axis)
    # Names are compared with each other: where there are many, a misspelt one is not the trouble.
    names = list(zipped) if len(zipped) <= MAX_ADVICE else []
    for name, group in zipped.items():
        misfits = list(_misfits(name, group, names))
        yield from misfits or _rows(name, group)


def _duplicates(axis: Axis) -> Iterator[Finding]:
    for earlier, later in duplicates(axis.values or ()):
        assert axis.values is not None
        first, second = written(axis.values[earlier]), written(axis.values[later])
        same = f"{second} stands twice" if first == second else f"{second} equals {first}"
        path = (*axis.home, "values", later)
        message = f"{dotted(axis.path)}: {same} in values"
        fix = Fix(f"remove the second {second}", (Change("remove", path),))
        yield Finding(path, message, "remove one", code=DUPLICATE, fix=fix)


def _default(axis: Axis) -> Iterator[Finding]:
    name, default = dotted(axis.path), written(axis.default)
    path = (*axis.home, "default")
    numbers = axis.range
    if numbers is None:
        if label(axis.default) not in [label(value) for value in axis.values or ()]:
            message = f"{name}: the default {default} is none of the values"
            yield Finding(path, message, "add it to values", code=NO_CHOICE)
    elif not numbers.low <= axis.default <= numbers.high:
        message = f"{name}: the default {default} is not between {numbers.low} and {numbers.high}"
        yield Finding(path, message, code=OUTSIDE)
    elif not numbers.holds(axis.default):
        message = f"{name}: steps of {numbers.step} from {numbers.low} do not meet the default {default}"
        near = written(numbers.at(round((axis.default - numbers.low) / (numbers.step or 1))))
        yield Finding(path, message, help=f"the nearest is {near}", code=OUTSIDE)


def _steps(axis: Axis) -> Iterator[Finding]:
    last = axis.range.missed() if axis.range else None
    if last is None:
        return
    message = f"{dotted(axis.path)}: steps of {axis.step} from {axis.low} do not meet {axis.high}; "
    message += f"the last value tried is {last}"
    high = (*axis.home, "high")
    fix = Fix(f"set high to {last}", (Change("set", high, last),))
    yield Finding((*axis.home, "step"), message, help=f"write high = {last}", code=MISSED, fix=fix)


def _misfits(name: str, group: Sequence[Axis], names: Sequence[str]) -> Iterator[Finding]:
    first = group[0]
    if len(group) == 1:
        near = closest(name, [other for other in names if other != name])
        help_text = f'did you mean "{near}"?' if near else "remove it, or give it to the axes meant"
        message = f"{dotted(first.path)}: no other axis has zip = {written(name)}"
        yield Finding((*first.home, "zip"), message, help=help_text, code=MISMATCH)
    for axis in group:
        if axis.count is None:
            message = f"{dotted(axis.path)} is zipped, and has no end of values"
            help_text = "give it points" if axis.log else "give it step or points"
            yield Finding((*axis.home, "zip"), message, help=help_text, code=MISMATCH)
    for axis in group[1:]:
        if None not in (axis.count, first.count) and axis.count != first.count:
            counts = (
                f"{dotted(axis.path)} has {axis.count} values, and {dotted(first.path)} has {first.count}"
            )
            yield Finding((*axis.home, "zip"), f"{counts}: zipped axes have equally many", code=MISMATCH)
        if axis.when != first.when:
            message = (
                f"{dotted(axis.path)} and {dotted(first.path)} are zipped, and differ in their condition"
            )
            where = (*axis.home, "zip" if axis.when is None else "when")
            yield Finding(where, message, help="write the same when in both", code=MISMATCH)


def _rows(name: str, group: Sequence[Axis]) -> Iterator[Finding]:
    """Rows of zipped axes that stand twice, and defaults that stand in none."""
    columns = [axis.values for axis in group if axis.values is not None]
    if len(columns) < len(group):
        return
    rows = [tuple(map(label, row)) for row in zip(*columns, strict=True)]
    first: dict[tuple[str | int | float | bool, ...], int] = {}
    for later, row in enumerate(rows):
        if first.setdefault(row, later) != later:
            shown = ", ".join(written(column[later]) for column in columns)
            message = f"the axes that are zipped as {written(name)} have the row {shown} twice"
            places = [(*axis.home, "values", later) for axis in group]
            changes = tuple(Change("remove", place) for place in places)
            choices = all(axis.kind == "choice" for axis in group)
            fix = Fix("remove the second row", changes) if choices else None
            yield Finding(places[0], message, "remove one", code=DUPLICATE, fix=fix)
    own = all(label(axis.default) in map(label, axis.values or ()) for axis in group)
    if own and tuple(label(axis.default) for axis in group) not in first:
        shown = ", ".join(written(axis.default) for axis in group)
        message = f"the defaults of the axes that are zipped as {written(name)} are no row: {shown}"
        where = (*group[-1].home, "default")
        yield Finding(where, message, "take all of them from one row", code=NO_CHOICE)
