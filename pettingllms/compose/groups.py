"""Config groups on the command line: which overrides choose files instead of values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from pettingllms.compose.defaults import INVALID_DEFAULTS, Entry
from pettingllms.compose.names import options_of
from pettingllms.compose.tree import COMMAND_LINE
from pettingllms.documents.source import Finding, Place, Source, Span
from pettingllms.registry import closest

INVALID_OVERRIDE, UNKNOWN_KEY = "PLM009", "PLM003"
_GROUP = re.compile(r"(?P<sign>\+|~)?(?P<group>[\w./-]+?)(?P<at>@(?P<package>[\w.]*))?(?:=(?P<value>.*))?")


@dataclass(slots=True)
class Choice:
    """A group that is chosen: by the command line, or by an `override` entry of a defaults list."""

    names: tuple[str, ...]
    place: Place
    several: bool = False
    used: bool = False


@dataclass(slots=True)
class Choices:
    """What the overrides choose. `values`: the overrides that set values, in order.

    `chosen` and `deleted` are keyed as Hydra keys them: `group`, or `group@package`.
    """

    chosen: dict[str, Choice] = field(default_factory=dict)
    deleted: dict[str, Choice] = field(default_factory=dict)
    appended: list[Entry] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    undecided: dict[str, str] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)

    def settled(self) -> tuple[list[str], list[Finding]]:
        """After all defaults lists were walked: the overrides that set values, and the faults of choices.

        `env=code` chooses a file only where a defaults list has the group `env`; otherwise it is
        the plain override of a key.
        """
        unused = {
            text
            for text, key in self.undecided.items()
            if not (self.chosen.get(key) or self.deleted[key]).used
        }
        groups = {text for text in unused if re.search(r"[@/]", text.partition("=")[0])}
        values = [text for text in self.values if text not in self.undecided or text in unused - groups]
        findings = [self._unknown(text) for text in self.values if text in groups]
        for key, choice in self.chosen.items():
            if not choice.used and choice.place.source.name != COMMAND_LINE:
                message = f"no defaults list has the group {key}, so that there is nothing to override"
                findings.append(Finding((), message, place=choice.place, code=INVALID_DEFAULTS))
        return values, findings

    def advised(self, finding: Finding) -> Finding:
        """The finding of an override with better help, where it was meant to choose a file."""
        text = finding.place.source.text if finding.place is not None else ""
        if text in self.undecided and not text.startswith("~"):
            return replace(finding, help=f"{finding.help}; +{text} adds the file of that name")
        near = closest(str(finding.path[0]), self.known) if len(finding.path) == 1 else None
        known = near is not None and finding.code == UNKNOWN_KEY
        return replace(finding, help=f"did you mean {near}=…?") if known else finding

    def _unknown(self, text: str) -> Finding:
        key = self.undecided[text]
        group = key.partition("@")[0]
        same = [known for known in self.known if known.partition("@")[0] == group]
        added = None if text.startswith("~") else f"to add it write +{text}"
        help_text = f"did you mean {' or '.join(same)}?" if same else added
        message = f"no defaults list has the group {key}"
        return Finding((), message, help=help_text, place=place_of(text), code=INVALID_OVERRIDE)


def read_choices(texts: list[str], folder: Path) -> Choices:
    """Sort `texts` into choices of groups and overrides of values; `folder` is that of the main file."""
    choices = Choices()
    for text in texts:
        if not _read(text, folder, choices):
            choices.values.append(text)
    return choices


def _read(text: str, folder: Path, choices: Choices) -> bool:
    """Note the choice that `text` makes; False where it can only be an override of a value."""
    match = _GROUP.fullmatch(text.strip())
    if match is None or (match["value"] is None and match["sign"] != "~"):
        return False
    group, explicit = match["group"], bool(match["at"] or "/" in match["group"])
    options = options_of(group, folder) if explicit or "." not in group else []
    if not explicit and not options:
        return False
    names, several = _names(match["value"])
    if match["sign"] == "+":
        if not explicit and not set(names) <= set(options):
            return False
        absolute = group.startswith("/")
        place = place_of(text)
        package = match["package"] if match["at"] else None
        entry = Entry(place, group.lstrip("/"), names, package, True, several=several, absolute=absolute)
        choices.appended.append(entry)
        return True
    key = group + (match["at"] or "")
    known = choices.deleted if match["sign"] == "~" else choices.chosen
    known[key] = Choice(names, place_of(text), several)
    choices.undecided[text] = key
    choices.values.append(text)
    return True


def _names(value: str | None) -> tuple[tuple[str, ...], bool]:
    """The file names that `value` lists, and whether it is a list."""
    value = (value or "").strip()
    if value.startswith("[") and value.endswith("]"):
        words = [word.strip().strip("\"'") for word in value[1:-1].split(",")]
        return tuple(word for word in words if word), True
    value = value.strip("\"'")
    return () if value in ("", "null") else (value,), False


def place_of(text: str) -> Place:
    """The whole override `text` as a place."""
    return Place(Source(COMMAND_LINE, text), Span(1, 1, 1, len(text) + 1))
