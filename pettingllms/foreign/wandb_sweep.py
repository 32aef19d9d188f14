"""The file of a W&B sweep as a draft."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pettingllms.compose.tree import MISSING, get
from pettingllms.documents.outline_data import Spelled
from pettingllms.documents.source import Document, KeyPath, Source, dotted
from pettingllms.foreign.draft import Draft
from pettingllms.foreign.expand import Field
from pettingllms.foreign.functions import Choice
from pettingllms.foreign.grammar import GrammarFault, Scalar
from pettingllms.foreign.hydra import METRIC, Hydra, parse_override
from pettingllms.foreign.launch import Launch, read_words
from pettingllms.foreign.script import import_launch
from pettingllms.registry import closest

PROJECT: KeyPath = ("training", "project_name")
_METHODS = {"grid": "grid", "random": "random", "bayes": "tpe"}
_SPEC = (
    "value", "values", "min", "max", "distribution", "q", "mu", "sigma", "probabilities", "parameters",
)  # fmt: skip
_KNOWN = (
    "method", "metric", "parameters", "program", "command", "name", "description", "project", "entity",
    "run_cap", "early_terminate",
)  # fmt: skip
_MACROS = {"${env}": "/usr/bin/env", "${interpreter}": "python"}


def is_wandb(data: dict[str, Any]) -> bool:
    """True for the data of a W&B sweep."""
    return isinstance(data.get("parameters"), dict) and ("method" in data or "program" in data)


def import_wandb(document: Document, name: str, draft: Draft, folder: Path | None = None) -> None:
    """Fill `draft` from the file of a W&B sweep."""
    data = document.data
    draft.head.append(f"Imported from the W&B sweep {name}")
    draft.head += str(data.get("description") or "").splitlines()
    hydra = _program(document, draft, folder)
    reader = _Parameters(document, draft, hydra)
    reader.read((), ("parameters",), data["parameters"])
    _study(document, draft)
    for key, value in data.items():
        line = _line(document, (key,))
        if key == "project":
            if get(draft.tree, PROJECT) is MISSING:
                draft.put(PROJECT, str(value), line)
            else:
                draft.say(f"project: {value}: the command sets {dotted(PROJECT)} itself", line)
        elif key in ("name", "entity"):
            draft.say(f"W&B {key}: {value}", line, comment=True)
        elif key not in _KNOWN:
            draft.leave_out(f"{key}: {value}"[:80], "it has no counterpart in an experiment file", line)


def _line(document: Document, path: KeyPath) -> int:
    return document.spans[path][0].line if path in document.spans else 0


def _program(document: Document, draft: Draft, folder: Path | None) -> Hydra:
    """Read `program` and `command`, whose arguments may name a configuration and set values."""
    program = str(document.data.get("program") or "train.py")
    words = document.data.get("command")
    line = _line(document, ("command",)) or _line(document, ("program",))
    launch: Launch | None = None
    if isinstance(words, list):
        fields = []
        for word in map(str, words):
            if word.startswith(("${args", "${json")):
                continue
            text = program if word == "${program}" else _MACROS.get(word, word)
            fields.append(Field(text.replace("${envvar:", "${oc.env:"), line))
        launch = read_words(fields, line)
        if launch is None:
            draft.say("the command is not understood; only its parameters are taken", line)
    draft.head.append(f"It starts {launch.program if launch else program}")
    return import_launch(launch, draft, folder) if launch else Hydra(draft, folder)


def _study(document: Document, draft: Draft) -> None:
    """`method`, `metric`, `run_cap` and `early_terminate` as `[sweep]`."""
    data, sweep = document.data, draft.sweep
    method, cap = data.get("method"), data.get("run_cap")
    sweep["sampler"] = _METHODS.get(str(method), "random")
    if str(method) not in _METHODS:
        line = _line(document, ("method",))
        draft.leave_out(f"method: {method}", "it is none of grid, random, bayes; set to random", line)
    line = _line(document, ("run_cap",))
    if type(cap) is int and sweep["sampler"] != "grid":
        sweep["trials"] = cap
    elif cap is not None:
        draft.leave_out(f"run_cap: {cap}", "a grid runs each of its combinations once", line)
    elif sweep["sampler"] != "grid":
        draft.say(f"without run_cap {method} goes on for ever; here sweep.trials ends it (20 by default)")
    metric = data.get("metric")
    if isinstance(metric, dict):
        goal = str(metric.get("goal") or "minimize")
        objective = {"metric": str(metric.get("name") or METRIC), "direction": goal}
        sweep["objectives"] = [objective]
        for key in metric:
            if key not in ("name", "goal"):
                why = "it has no counterpart in an objective"
                draft.leave_out(f"metric.{key}: {metric[key]}", why, _line(document, ("metric", key)))
    early = data.get("early_terminate")
    if isinstance(early, dict):
        rest = {str(key): value for key, value in early.items() if key != "type"}
        sweep["pruner"] = {"kind": str(early.get("type", "hyperband")), **rest}
        why = "The pruner counts reports of the metric, as early_terminate does: one at each validation"
        draft.say(why, _line(document, ("early_terminate",)), comment=True)


class _Parameters:
    def __init__(self, document: Document, draft: Draft, hydra: Hydra) -> None:
        self.document, self.draft, self.hydra = document, draft, hydra

    def read(self, prefix: tuple[str, ...], where: KeyPath, parameters: dict[str, Any]) -> None:
        """Take each parameter below `prefix` over."""
        for name, spec in parameters.items():
            path_there, line = (*where, name), _line(self.document, (*where, name))
            full = ".".join([*prefix, name])
            if isinstance(spec, dict) and isinstance(spec.get("parameters"), dict):
                self.read((*prefix, name), (*path_there, "parameters"), spec["parameters"])
                continue
            path = self.hydra.path(parse_override(f"{full}=${{}}", line))
            if path is None:
                continue
            try:
                if not isinstance(spec, dict):
                    raise GrammarFault("it has neither a value nor a range")
                self.draft.put(path, self.value(path, path_there, spec), line)
            except GrammarFault as fault:
                self.draft.leave_out(full, str(fault), line)

    def node(self, where: KeyPath) -> Any:
        """The value at `where` of the file as a node, with numbers as they are written."""
        value: Any = self.document.data
        for part in where:
            value = value[part]
        if isinstance(value, list):
            return [self.node((*where, index)) for index in range(len(value))]
        if isinstance(value, dict):
            return {str(key): self.node((*where, key)) for key in value}
        return Scalar(value, self.written(where, value), quoted=isinstance(value, str))

    def written(self, where: KeyPath, value: Any) -> str:
        span = self.document.spans.get(where)
        if isinstance(value, str) or span is None or span[1].line != span[1].end_line:
            return str(value)
        row = Source("", self.document.text).line(span[1].line)
        return row[span[1].column - 1 : span[1].end_column - 1]

    def value(self, path: KeyPath, where: KeyPath, spec: dict[str, Any]) -> Any:
        """The value, or the table of a swept one, that `spec` describes. Raises GrammarFault."""
        for key in spec:
            if key not in _SPEC:
                near = closest(str(key), _SPEC)
                raise GrammarFault(f"{key} is not understood" + (f"; did you mean {near}?" if near else ""))
        draft = self.draft
        if "value" in spec:
            return draft.value(path, self.node((*where, "value")))
        if "values" in spec:
            nodes = self.node((*where, "values"))
            if "probabilities" in spec:
                line = _line(self.document, (*where, "probabilities"))
                draft.leave_out(f"probabilities of {dotted(path)}", "all values are as likely", line)
            return draft.axis(path, Choice(tuple(nodes) if isinstance(nodes, list) else (nodes,)))
        return self.span(path, where, spec)

    def span(self, path: KeyPath, where: KeyPath, spec: dict[str, Any]) -> dict[str, Any]:
        """The table of a range of numbers."""
        whole = type(spec.get("min")) is int and type(spec.get("max")) is int
        draft, kind = self.draft, str(spec.get("distribution") or ("int_uniform" if whole else "uniform"))
        if kind not in _KINDS and "min" in spec:
            raise GrammarFault(f"the distribution {kind} has no counterpart here")
        low, high = _number(spec, "min", kind), _number(spec, "max", kind)
        step = _number({"q": 1, **spec}, "q", kind) if kind.startswith("q_") else None
        if kind in ("log_uniform", "q_log_uniform"):
            low, high = math.exp(min(low, 700)), math.exp(min(high, 700))
        if kind != "int_uniform" and step is None:
            low, high = float(low), float(high)
        log = "log" in kind
        if log and step is not None:
            line = _line(self.document, (*where, "q"))
            draft.leave_out(f"q of {dotted(path)}", "a logarithmic range has no step", line)
            step = None
        table = draft.span(path, low, high, step=step, log=log)
        for key, name in (("low", "min"), ("high", "max")):
            text = self.written((*where, name), spec[name])
            if isinstance(table[key], float) and _reads(text, table[key]):
                table[key] = Spelled(table[key], text)
        return table | {"default": table["low"]}


_KINDS = {
    "uniform", "int_uniform", "q_uniform", "log_uniform", "log_uniform_values", "q_log_uniform",
    "q_log_uniform_values",
}  # fmt: skip


def _number(spec: dict[str, Any], key: str, kind: str) -> int | float:
    value = spec.get(key)
    if value is None:
        raise GrammarFault(f"{kind} has no {key}, and a swept value needs bounds")
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise GrammarFault(f"{key} is {value!r}, no number")
    return value


def _reads(text: str, value: float) -> bool:
    try:
        return float(text) == value and ("." in text or "e" in text.lower())
    except ValueError:
        return False
