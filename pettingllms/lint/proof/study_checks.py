"""What is wrong with `[sweep]`: objectives, and options of samplers and pruners."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pettingllms.compose.tree import get
from pettingllms.config.axes import Axis
from pettingllms.config.load import Draft
from pettingllms.config.sweep import PRUNER_OPTIONS, SAMPLER_OPTIONS
from pettingllms.documents.source import Change, Finding, Fix, KeyPath, dotted
from pettingllms.space.cells import default_cell
from pettingllms.space.expressions import ExpressionError
from pettingllms.space.units import ValueOf

MISSING, BAD_VALUE = "PLM004", "PLM006"
OF_ANOTHER, MANY_OBJECTIVES, NO_EFFECT = "PLM417", "PLM418", "PLM419"
ONE_OBJECTIVE, AT_RANDOM = "PLM422", "PLM423"
PRUNER: KeyPath = ("sweep", "pruner")
_ALL_PRUNER_OPTIONS = {option for options in PRUNER_OPTIONS.values() for option in options}


def sampler_of(value_of: ValueOf) -> str:
    """The sampler of the study; `grid` where it is none that there is."""
    found = _read(value_of, ("sweep", "sampler"))
    return found if found in SAMPLER_OPTIONS else "grid"


def study_findings(draft: Draft, value_of: ValueOf) -> Iterator[Finding]:
    """What is wrong with the keys of `[sweep]` beside their types."""
    sweep = get(draft.tree.data, ("sweep",))
    if not isinstance(sweep, dict):
        return
    faulty = {path[1] for path in draft.faulty_axes if path[:1] == ("sweep",) and len(path) > 1}
    set_keys = [key for key, value in sweep.items() if value is not None and key not in faulty]
    yield from _sampler(set_keys, sampler_of(value_of))
    for key in SAMPLER_OPTIONS:
        yield from _contradictions(key, _section(value_of, ("sweep", key)))
    yield from _pruner(_section(value_of, PRUNER), value_of)
    yield from _objectives(sampler_of(value_of), value_of)
    yield from _separable(draft, _section(value_of, ("sweep", "cmaes")))
    yield from _at_random(draft, sampler_of(value_of), value_of)


def _read(value_of: ValueOf, path: KeyPath) -> Any:
    """The value at `path`, axes at their defaults; None where there is none."""
    try:
        return value_of({}, path)
    except KeyError:
        return None


def _section(value_of: ValueOf, path: KeyPath) -> Mapping[str, Any]:
    found = _read(value_of, path)
    return (
        {key: value for key, value in found.items() if value is not None} if isinstance(found, dict) else {}
    )


def _sampler(set_keys: list[str], sampler: str) -> Iterator[Finding]:
    for key in set_keys:
        path = ("sweep", key)
        if key in SAMPLER_OPTIONS and key != sampler:
            help_text = f'remove it, or set sampler = "{key}"'
            fix = Fix(f"remove {dotted(path)}", (Change("remove", path),), safe=False)
            message = f'{dotted(path)} belongs to {key}, and the sampler is "{sampler}"'
            code = NO_EFFECT if sampler == "grid" else OF_ANOTHER
            yield Finding(path, message, help=help_text, at_key=True, code=code, fix=fix)
        elif key in ("trials", "seed") and sampler == "grid":
            message = f"{dotted(path)} has no effect in a grid, which runs each cell once"
            yield Finding(path, message, help="remove it, or choose a sampler", at_key=True, code=NO_EFFECT)


def _pruner(pruner: Mapping[str, Any], value_of: ValueOf) -> Iterator[Finding]:
    kind = pruner.get("kind")
    own = PRUNER_OPTIONS.get(kind) if isinstance(kind, str) else None
    if own is None:
        return
    for key in pruner:
        if key in _ALL_PRUNER_OPTIONS and key not in own:
            path = (*PRUNER, key)
            kinds = ", ".join(name for name, options in PRUNER_OPTIONS.items() if key in options)
            message = f'{dotted(path)} belongs to {kinds}, and the pruner is "{kind}"'
            fix = Fix(f"remove {dotted(path)}", (Change("remove", path),), safe=False)
            help_text = f"options of {kind}: {', '.join(own)}"
            yield Finding(path, message, help=help_text, at_key=True, code=OF_ANOTHER, fix=fix)
    needed = {"patient": ("patience",), "threshold": ("lower", "upper")}.get(str(kind), ())
    if needed and not any(key in pruner for key in needed):
        message = f'the pruner "{kind}" needs {" or ".join(needed)}'
        yield Finding((*PRUNER, needed[0]), message, help=f"add {needed[0]} = …", at_key=True, code=MISSING)
    lower, upper = pruner.get("lower"), pruner.get("upper")
    if _numbers(lower, upper) and lower >= upper:  # type: ignore[operator]
        yield _bad((*PRUNER, "lower"), "lower must be less than upper")
    least, most = pruner.get("min_resource"), pruner.get("max_resource")
    if _numbers(least, most) and least > most:  # type: ignore[operator]
        yield _bad((*PRUNER, "min_resource"), "min_resource is more than max_resource")
    if pruner.get("bootstrap_count") and most is None and kind == "hyperband":
        yield _bad((*PRUNER, "bootstrap_count"), "bootstrap_count needs max_resource")
    count = _objective_count(value_of)
    if count > 1:
        message = f"a pruner compares one objective, and there are {count}"
        yield Finding(PRUNER, message, help="remove the pruner", at_key=True, code=MANY_OBJECTIVES)


def _contradictions(key: str, options: Mapping[str, Any]) -> Iterator[Finding]:
    """Options of one sampler that Optuna refuses together."""
    path = ("sweep", key)
    if key == "tpe" and options.get("group") is True and options.get("multivariate") is False:
        yield _bad((*path, "group"), "group needs multivariate")
    if key == "nsga2" and options.get("crossover") in ("spx", "undx") and options.get("population_size") == 2:
        yield _bad((*path, "population_size"), f"{options['crossover']} combines 3 trials, not 2")
    if key == "nsga2" and "mutation_eta" in options and options.get("mutation") != "polynomial":
        where = (*path, "mutation_eta")
        message = f'{dotted(where)} belongs to mutation = "polynomial"'
        fix = Fix(f"remove {dotted(where)}", (Change("remove", where),), safe=False)
        yield Finding(
            where, message, help="remove it, or set mutation", at_key=True, code=OF_ANOTHER, fix=fix
        )
    if key == "cmaes":
        chosen = [
            name for name in ("use_separable_cma", "with_margin", "lr_adapt") if options.get(name) is True
        ]
        if len(chosen) > 1:
            yield _bad((*path, chosen[-1]), f"{' and '.join(chosen)} exclude each other")


def _bad(path: KeyPath, message: str) -> Finding:
    return Finding(path, f"{dotted(path[:-1])}: {message}", code=BAD_VALUE)


def _numbers(*values: Any) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _objectives(sampler: str, value_of: ValueOf) -> Iterator[Finding]:
    count = _objective_count(value_of)
    if sampler == "cmaes" and count > 1:
        message = f'the sampler "cmaes" takes one objective, and there are {count}'
        help_text = 'set sampler = "nsga2" or "tpe", or keep one objective'
        yield Finding(("sweep", "sampler"), message, help=help_text, code=ONE_OBJECTIVE)


def _objective_count(value_of: ValueOf) -> int:
    objectives = _read(value_of, ("sweep", "objectives"))
    return len(objectives) if isinstance(objectives, list) else 1


def _separable(draft: Draft, options: Mapping[str, Any]) -> Iterator[Finding]:
    numbers = [axis for axis in draft.axes if _by_itself(axis)]
    if options.get("use_separable_cma") is True and len(numbers) < 2:
        where = ("sweep", "cmaes", "use_separable_cma")
        yield _bad(where, "use_separable_cma needs two axes of numbers, without when and zip")


def _at_random(draft: Draft, sampler: str, value_of: ValueOf) -> Iterator[Finding]:
    """Axes that a sampler leaves to chance, whatever earlier trials have shown."""
    for axis in draft.axes:
        why = None
        if sampler == "cmaes" and not _by_itself(axis):
            why = "it has a condition" if axis.when else "it is zipped" if axis.zip else "it is a choice"
        elif sampler == "nsga2" and axis.when:
            why = "it has a condition"
        elif sampler == "qmc" and axis.when and axis.path not in _swept_by_default(draft, value_of):
            why = "its condition does not hold for the defaults"
        if why is not None:
            message = f"{sampler} draws {dotted(axis.path)} at random: {why}"
            help_text = 'sampler = "tpe" learns about all axes'
            yield Finding(axis.home, message, help=help_text, at_key=True, code=AT_RANDOM)


def _by_itself(axis: Axis) -> bool:
    """True for a number that is in every cell, and moves alone."""
    return axis.kind != "choice" and axis.when is None and axis.zip is None


def _swept_by_default(draft: Draft, value_of: ValueOf) -> frozenset[KeyPath]:
    try:
        return default_cell(draft.axes, value_of).active
    except ExpressionError:
        # A fault of a condition is a finding of its own.
        return frozenset(axis.path for axis in draft.axes)
