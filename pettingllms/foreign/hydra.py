"""Hydra overrides to the keys of an experiment: values, sweeps, config groups and the sweeper's settings."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pettingllms.compose.names import options_of
from pettingllms.config.fields import all_keys
from pettingllms.documents.source import KeyPath, dotted
from pettingllms.foreign.draft import NULL, Draft
from pettingllms.foreign.functions import Choice, Interval, Range, Sweep, read_value
from pettingllms.foreign.grammar import GrammarFault, Node, Scalar

_OVERRIDE = re.compile(r"(\+\+|\+|~)?([^=@]*)(?:@([^=]*))?(?:(=)(.*))?", re.DOTALL)
_PART = r"""(?:[A-Za-z0-9_$-]+|"[^"]*"|'[^']*')"""
_PATH = re.compile(rf"{_PART}(?:\.{_PART})*")
_SAMPLERS = {
    "tpe": "tpe", "tpesampler": "tpe", "motpe": "tpe", "motpesampler": "tpe", "random": "random",
    "randomsampler": "random", "grid": "grid", "gridsampler": "grid", "cmaes": "cmaes",
    "cmaessampler": "cmaes", "nsgaii": "nsga2", "nsgaiisampler": "nsga2", "qmcsampler": "qmc", "qmc": "qmc",
}  # fmt: skip
METRIC = "val/success_rate"
_SHORT = 80
_DIRECTIONS = {"max": "maximize", "min": "minimize"}


@dataclass(frozen=True, slots=True)
class Override:
    """One override taken apart; `sign` is "", `+`, `++` or `~`; without an equals sign `value` is None."""

    text: str
    sign: str
    key: str
    package: str | None
    value: str | None
    line: int


@dataclass(slots=True)
class Hydra:
    """Applies overrides to a draft.

    `folder`: where config groups may lie; `complete`: no group lies anywhere else. `place`: where a
    key belongs in an experiment.
    """

    draft: Draft
    folder: Path | None = None
    place: Callable[[KeyPath], KeyPath | None] = lambda path: path
    complete: bool = False
    multirun: bool = False
    sweeper: str | None = None
    settings: dict[str, tuple[Any, int]] = field(default_factory=dict)

    def apply(self, overrides: list[tuple[str, int]]) -> None:
        """Apply overrides, each with its line, in order."""
        parsed = [parse_override(text, line) for text, line in overrides]
        for override in parsed:
            if self.is_setting(override):
                self.setting(override)
        for override in parsed:
            if not self.is_setting(override):
                self.override(override)

    def is_setting(self, override: Override) -> bool:
        """True for what configures Hydra itself."""
        return re.match(r"hydra(?:[./]|$)", override.key) is not None

    def setting(self, override: Override) -> None:
        """Remember a setting of the sweeper; say that others have no meaning here."""
        if override.key == "hydra/sweeper":
            self.sweeper = override.value or ""
        elif override.key == "hydra/sweeper/sampler":
            self.settings["sampler"] = (override.value, override.line)
        elif override.key == "hydra.mode":
            self.multirun = (override.value or "").upper() == "MULTIRUN"
        elif override.key.startswith("hydra.sweeper.params."):
            key = override.key.removeprefix("hydra.sweeper.params.")
            self.override(parse_override(f"{key}={override.value or ''}", override.line))
        elif override.key.startswith("hydra.sweeper."):
            try:
                node = self.read(override)
            except GrammarFault:
                node = None
            value: Any = override.value
            if isinstance(node, Scalar):
                value = node.value
            elif isinstance(node, list):
                value = [item.text for item in node if isinstance(item, Scalar)]
            self.settings[override.key.removeprefix("hydra.sweeper.")] = (value, override.line)
        else:
            self.draft.say(f"{_shown(override)}: how Hydra runs is not part of an experiment", override.line)

    def override(self, override: Override) -> None:
        """Take one override over, or say why not."""
        draft, line = self.draft, override.line
        if override.key.startswith(("/", "-")) or not override.key:
            draft.leave_out(_shown(override), "this is no override", line)
            return
        try:
            node = self.read(override)
        except GrammarFault as fault:
            draft.leave_out(_shown(override), str(fault), line)
            return
        if self.is_group(override, node):
            self.group(override, node)
            return
        if override.sign == "~":
            why = "a file cannot delete what its defaults set; give it to each command as -s"
            draft.leave_out(_shown(override), f"{why} '~{override.key}'", line)
            return
        path = self.path(override)
        if path is None:
            return
        if override.value is None:
            draft.leave_out(_shown(override), "an override needs a value: key=value", line)
        elif isinstance(node, Sweep):
            self.axis(override, path, node)
        elif node is not None:
            draft.put(path, draft.value(path, node), line)

    def path(self, override: Override) -> KeyPath | None:
        """Where the key belongs in the experiment; None, with a note, where it has no place."""
        draft, shown, line = self.draft, _shown(override), override.line
        key = override.key.rstrip(":")
        if override.package is not None or key.endswith("+") or not _PATH.fullmatch(key):
            index = re.search(r"\[\d+\]", key)
            why = f"{key!r} is no key" if not index else "an item of a list has no key; set the whole list"
            why = (
                "a file cannot append to a list of its defaults; set the whole list"
                if key[-1:] == "+"
                else why
            )
            draft.leave_out(shown, why, line)
            return None
        written = tuple(part.strip("\"'") for part in re.findall(_PART, key))
        path = self.place(written)
        if path is None:
            draft.leave_out(shown, "it has no counterpart in an experiment file", line)
            return None
        for length in range(1, len(path)):
            kinds = draft.schema.kinds(path[:length])
            if kinds == frozenset({"list"}):
                why = f"{dotted(path[:length])} is a list, whose items have no keys; set the whole list"
                draft.leave_out(shown, why, line)
                return None
        if draft.schema.kinds(path) == frozenset({"table"}) and not (override.value or "").startswith(
            ("{", "$")
        ):
            draft.leave_out(shown, f"{dotted(path)} is a section; set its keys", line)
            return None
        return path

    def read(self, override: Override) -> Node | Sweep | None:
        """The value of an override; text that is no value of Hydra's grammar stays text.

        Raises GrammarFault where it is meant as a call of a function.
        """
        if override.value is None:
            return None
        try:
            return read_value(override.value.strip())
        except GrammarFault as fault:
            if re.match(r"\s*[A-Za-z_]+\s*\(", override.value):
                raise
            message = f"{_shown(override)}: Hydra refuses this value ({fault}); taken as text"
            self.draft.say(message, override.line)
            return Scalar(override.value, override.value, quoted=True)

    def axis(self, override: Override, path: KeyPath, sweep: Sweep) -> None:
        """Write a swept value."""
        draft, shown, line = self.draft, _shown(override), override.line
        try:
            table = draft.axis(path, sweep, inclusive=self.optuna)
        except GrammarFault as fault:
            draft.leave_out(shown, str(fault), line)
            return
        if not self.multirun:
            draft.say(f"{shown}: without --multirun Hydra would refuse this; taken as a sweep", line)
        if isinstance(sweep, Range) and table["sweep"] != "choice":
            draft.say(f"{shown}: as in Hydra's Optuna sweeper, the end is one of the values", line)
        if sweep.remark:
            draft.say(f"{shown}: {sweep.remark}", line)
        draft.put(path, table, line)

    @property
    def optuna(self) -> bool:
        """True where trials are proposed by Optuna."""
        named = self.sweeper or str(self.settings.get("_target_", ("",))[0])
        marks = {"n_trials", "sampler", "direction", "study_name"} & set(self.settings)
        return "optuna" in named.lower() or bool(marks) or "sampler._target_" in self.settings

    def is_group(self, override: Override, node: Node | Sweep | None) -> bool:
        """True where the key names a config group: the value is then the name of a file."""
        key = override.key
        if override.package is not None or "/" in key:
            return True
        if override.sign == "++" or not re.fullmatch(r"[A-Za-z_][\w-]*", key):
            return False
        if self.complete or options_of(key, self.folder):
            return bool(options_of(key, self.folder))
        return self.may_be_group(key, node)

    def may_be_group(self, key: str, node: Node | Sweep | None) -> bool:
        """Where the configuration is not at hand: a plain word for a section, or for no key of the schema."""
        nodes = list(node.values) if isinstance(node, Choice) else [node]
        texts = [word.value for word in nodes if isinstance(word, Scalar)]
        if len(texts) < len(nodes) or any(not isinstance(text, str) or "${" in text for text in texts):
            return False
        kinds = self.draft.schema.kinds((key,))
        return kinds == frozenset({"table"}) or (kinds is None and not _is_leaf(key, self.draft))

    def group(self, override: Override, node: Node | Sweep | None) -> None:
        """Choose the file of a config group by an entry of `defaults`."""
        draft, shown, line = self.draft, _shown(override), override.line
        group = override.key + (f"@{override.package}" if override.package is not None else "")
        if isinstance(node, (Choice, Range, Interval)):
            why = "files of a config group cannot be swept; write one experiment for each"
            draft.leave_out(shown, why, line)
            return
        names: Any = dict(NULL)
        if isinstance(node, list):
            names = [item.text for item in node if isinstance(item, Scalar)]
        elif isinstance(node, Scalar) and node.value is not None and override.sign != "~":
            names = node.text
        if override.sign.startswith("+"):
            draft.defaults.append({group: names})
        elif draft.defaults:
            # The last choice of a group counts.
            draft.chosen = [entry for entry in draft.chosen if f"override {group}" not in entry]
            draft.chosen.append({f"override {group}": names})
        elif override.sign != "~":
            draft.defaults.append({group: names})
        draft.say(f"{shown} is taken as the choice of a file from the config group {group}", line)

    def finish(self) -> None:
        """Write `[sweep]` from the swept values and the sweeper's settings."""
        draft = self.draft
        if not draft.axes:
            if self.multirun:
                draft.say("--multirun is given, but no value is swept")
            return
        spans = [table for table in draft.axes.values() if table["sweep"] != "choice"]
        sampler = "tpe" if self.optuna else "grid"
        if spans and not self.optuna:
            sampler = "tpe"
            draft.say("Hydra's basic sweeper refuses intervals; the study is set to the sampler tpe")
        draft.sweep["sampler"] = sampler
        for name, (value, line) in self.settings.items():
            self.sweeper_setting(name, value, line)

    def sweeper_setting(self, name: str, value: Any, line: int) -> None:
        """Take one setting of the sweeper over."""
        draft, sweep = self.draft, self.draft.sweep
        shown = f"hydra.sweeper.{name}={value}"
        if name in ("sampler", "sampler._target_"):
            word = str(value).rpartition(".")[2].lower()
            if word in _SAMPLERS:
                sweep["sampler"] = _SAMPLERS[word]
            else:
                draft.leave_out(shown, f"there is no such sampler here; set to {sweep['sampler']}", line)
        elif name == "n_trials" and type(value) is int:
            sweep["trials"] = value
        elif name == "sampler.seed" and type(value) is int:
            sweep["seed"] = value
        elif name == "direction":
            directions = value if isinstance(value, list) else [value]
            sweep["objectives"] = [
                {"metric": "val/success_rate", "direction": _DIRECTIONS.get(str(one), str(one))}
                for one in directions
            ]
            why = f"Hydra optimises what the program returns; the metric is set to {METRIC}"
            draft.say(why, line, comment=True)
        elif name == "study_name":
            draft.say(
                f"Study name {value}: here a study is called as training.experiment_name", line, comment=True
            )
        elif name not in ("_target_", "n_jobs", "storage", "max_batch_size", "params") or value is None:
            if value is not None:
                draft.leave_out(shown, "it has no counterpart in [sweep]", line)
        elif name not in ("_target_", "params"):
            options = {"n_jobs": "--jobs", "storage": "--storage"}
            hint = f"give {options[name]} to `sweep run`" if name in options else "no meaning here"
            draft.say(f"{shown}: {hint}", line, comment=True)


def parse_override(text: str, line: int = 0) -> Override:
    """Split an override at its first equals sign."""
    match = _OVERRIDE.fullmatch(text.strip())
    if match is None:
        return Override(text, "", "", None, None, line)
    sign, key, package, equals, value = match.groups()
    return Override(text, sign or "", key.strip(), package, value if equals else None, line)


def _shown(override: Override) -> str:
    return override.text if len(override.text) <= _SHORT else override.text[: _SHORT - 1] + "…"


def _is_leaf(key: str, draft: Draft) -> bool:
    """True where the schema has, in some section, a value of this name."""
    table = frozenset({"table"})
    return any(path[-1] == key and draft.schema.kinds(path) != table for path in all_keys({}))
