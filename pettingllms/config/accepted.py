"""Keys of real files that the schema does not have: left out, read as others, or refused, never silently."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pettingllms.compose.referred import absolute
from pettingllms.compose.tree import MISSING, get
from pettingllms.config.available import NOT_AVAILABLE
from pettingllms.config.edits import can_hold, edited, is_in
from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.fields import annotation_at, step
from pettingllms.config.key_meanings import (
    BelongsTo,
    DoneOnlyAs,
    Honoured,
    NoEffect,
    OldName,
    OldWord,
    SaysSo,
    SectionBelongsTo,
    Unset,
    Untrained,
    same,
)
from pettingllms.config.key_rows import AGENTS, Row, rows_of, section, told_with
from pettingllms.config.shape import written
from pettingllms.documents.source import Change, Finding, Fix, KeyPath, dotted

NO_EFFECT, HONOURED, MISPLACED, OLD_SPELLING = "PLM901", "PLM902", "PLM903", "PLM904"
SHOWN = 4


@dataclass(slots=True)
class Accepted:
    """A tree as the schema has it.

    `removed`: paths that are not in it any more. `moved`: new path → old path of keys that are read as
    another key. `values`: what stands at a path and is not what was written there, or at the old path.
    """

    data: dict[str, Any]
    findings: list[Finding] = field(default_factory=list)
    removed: set[KeyPath] = field(default_factory=set)
    moved: dict[KeyPath, KeyPath] = field(default_factory=dict)
    values: dict[KeyPath, Any] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """True where the tree is not the one that was given."""
        return bool(self.removed or self.values)

    def applied(self, tree: dict[str, Any]) -> dict[str, Any]:
        """Do to `tree`, another form of the tree that was given, what was done to that one."""
        taken = {new: get(tree, old) for new, old in self.moved.items()}
        return edited(tree, self.removed, {**taken, **self.values})


def accept(
    data: dict[str, Any], unsure: Collection[KeyPath] = (), referred: Collection[KeyPath] = ()
) -> Accepted:
    """Take out of a resolved tree what the schema does not have and real files hold.

    `unsure`: paths whose values are not known, as something is wrong with them. `referred`: keys that
    others refer to, which no safe fix takes away.
    """
    rows = rows_of(data)
    return _Acceptance(data, unsure, referred).of(rows) if rows else Accepted(data)


@dataclass(slots=True)
class _Idle:
    """Keys without effect of one section: path, value, and why."""

    section: KeyPath
    keys: list[tuple[KeyPath, Any, str]] = field(default_factory=list)

    def finding(self) -> Finding:
        """One finding for all of them, at the first."""
        first, value, _ = self.keys[0]
        count = sum(max(1, len(list(_leaves(value)))) for _, value, _ in self.keys)
        many = "1 key has" if count == 1 else f"{count} keys have"
        if len(self.keys) > 1:
            where = f"[{dotted(self.section)}]" if self.section else "the root"
            names = _listed(self.name(path) for path, _, _ in self.keys)
            message = f"{where}: {many} no effect here: {names}"
        elif isinstance(value, dict) and value:
            message = f"[{dotted(first)}]: {many} no effect here: {_listed(value)}"
        else:
            message = f"{dotted(first)} has no effect here"
        return Finding(first, message, self.reasons(), at_key=True, code=NO_EFFECT)

    def name(self, path: KeyPath) -> str:
        return dotted(path[len(self.section) :] or path[-1:])

    def reasons(self) -> str | None:
        reasons: dict[str, list[str]] = {}
        for path, _, why in self.keys:
            if why:
                reasons.setdefault(why, []).append(self.name(path))
        if len(reasons) == 1 and len(next(iter(reasons.values()))) == len(self.keys):
            return next(iter(reasons))
        told = (f"{_listed(names)}: {why}" for why, names in list(reasons.items())[:SHOWN])
        return "; ".join(told) or None


class _Acceptance:
    """Carries out what the rows of a tree mean."""

    def __init__(
        self, data: dict[str, Any], unsure: Collection[KeyPath], referred: Collection[KeyPath]
    ) -> None:
        self.data, self.unsure, self.referred = data, unsure, referred
        self.result = Accepted(data)
        self.idle: dict[KeyPath, _Idle] = {}
        self.honoured_sections: dict[KeyPath, None] = {}

    def of(self, rows: list[Row]) -> Accepted:
        """Carry out `rows`."""
        for row in rows:
            CARRIED_OUT[type(row.meaning)](self, row.path, row.value, row.meaning)
        result = self.result
        result.findings += [idle.finding() for idle in self.idle.values()]
        result.findings += [_honoured(path) for path in self.honoured_sections]
        # A section that the schema does not have goes as a whole.
        result.removed = {_unknown_part(path) for path in result.removed}
        if result.changed:
            result.data = result.applied(self.data)
        return result

    def no_effect(self, path: KeyPath, value: Any, meaning: NoEffect) -> None:
        self.leave_out(path, value, meaning.why)

    def leave_out(self, path: KeyPath, value: Any, why: str = "") -> None:
        self.result.removed.add(path)
        where = path if len(path) == 1 and isinstance(value, dict) else told_with(path)
        self.idle.setdefault(where, _Idle(where)).keys.append((path, value, why))

    def done_only_as(self, path: KeyPath, value: Any, meaning: DoneOnlyAs) -> None:
        if meaning.allows(value) or is_in(path, self.unsure):
            self.leave_out(path, value)
            return
        self.result.removed.add(path)
        available = [written(one) for one in meaning.values]
        available += [f"at most {meaning.at_most:g}"] if meaning.at_most is not None else []
        advice = f"available: {', '.join(available)}" if available else "remove it"
        message = f"{dotted(path)} = {written(value)} is not available in this version"
        self.find(path, message, "; ".join(filter(None, [advice, meaning.why])), NOT_AVAILABLE)

    def unset(self, path: KeyPath, value: Any, meaning: Unset) -> None:
        if same(value, meaning.values):
            self.leave_out(path, value, meaning.why)

    def belongs(self, path: KeyPath, value: Any, meaning: BelongsTo) -> None:
        new = absolute(meaning.to, path)
        there = get(self.data, new)
        taken = there is not MISSING
        if value is None or same(value, (*meaning.inert, there)):
            self.leave_out(path, value, f"{_any(new)} says it")
            return
        self.result.removed.add(path)
        message = f"{dotted(path)} has no effect here: it belongs at {_any(new)}"
        message += ", which is set too" if taken else ""
        fix = self.move((path, new)) if meaning.movable and not taken else None
        self.find(path, message, None, MISPLACED, fix, at_key=True)

    def section_belongs(self, path: KeyPath, value: Any, meaning: SectionBelongsTo) -> None:
        new = absolute(meaning.to, path)
        self.result.removed.add(path)
        known = [below for below in _leaves(value) if below and annotation_at((*new, *below)) is not None]
        free = [below for below in known if get(self.data, (*new, *below)) is MISSING]
        message = f"[{dotted(path)}] has no effect here: its keys belong in [{dotted(new)}]"
        there = f"{_listed(map(dotted, known))} would have an effect there"
        fix = self.move(*(((*path, *below), (*new, *below)) for below in free))
        help_text = there if known else "none of them would have an effect there"
        self.find(path, message, help_text, MISPLACED, fix, at_key=True)

    def old_name(self, path: KeyPath, value: Any, meaning: OldName) -> None:
        new = absolute(meaning.to, path)
        read, name, now = _word(meaning.words, value), dotted(new), self.now(new)
        if value is None or not can_hold(self.data, new):
            self.leave_out(path, value, f"{name} says it")
            return
        self.result.removed.add(path)
        if now is MISSING or now is None:
            self.result.moved[new] = path
            # Where a null stands at the new place, there is no room to move to.
            message = f"{dotted(path)} is read as {name}"
            fix = self.move((path, new)) if now is MISSING else None
            if read is not value:
                self.result.values[new] = read
                message += f" = {written(read)}"
                # Moved first, so that a comment comes along.
                changes = (*fix.changes, Change("set", new, read)) if fix else ()
                fix = fix and replace(fix, title=f"write {name}", changes=changes)
            self.find(path, message, None, OLD_SPELLING, fix, at_key=True)
        elif now == read:
            fix = self.change(f"remove {dotted(path)}", Change("remove", path))
            self.find(path, f"{dotted(path)} says what {name} says", None, OLD_SPELLING, fix, at_key=True)
        else:
            message = f"{dotted(path)} = {written(value)} is not read: {name} = {written(now)} wins"
            self.find(path, message, "remove one of them", OLD_SPELLING)

    def old_word(self, path: KeyPath, value: Any, meaning: OldWord) -> None:
        read = _word(meaning.words, value)
        if read is value or is_in(path, self.unsure):
            return
        self.result.values[path] = read
        message = f"{dotted(path)} = {written(value)} is read as {written(read)}"
        fix = None if read is None else self.change(f"write {written(read)}", Change("set", path, read))
        self.find(path, message, None, OLD_SPELLING, fix)

    def untrained(self, path: KeyPath, value: Any, _: Untrained) -> None:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or is_in(path, self.unsure):
            return
        self.result.removed.add(path)
        agents = {key: agent for key, agent in section(self.data, AGENTS).items() if isinstance(agent, dict)}
        changes: list[Change] = []
        winners: list[str] = []
        for key, agent in agents.items():
            new = (*AGENTS, key, "trained")
            if agent.get("name") not in names:
                continue
            if "trained" not in agent:
                self.result.values[new] = False
                self.result.moved[new] = path
                changes.append(Change("set", new, value=False))
            elif agent["trained"] is not False:
                winners.append(str(agent["name"]))
        there = [agent.get("name") for agent in agents.values()]
        unknown = [written(name) for name in names if name not in there]
        message = f"{dotted(path)} is read as trained = false of these agents"
        message += f"; but trained = true of {_listed(winners)} wins" if winners else ""
        help_text = f"no agent has the name {_listed(unknown)}" if unknown else None
        fix = self.change("write trained = false", *changes, Change("remove", path)) if changes else None
        # What a comment beside it says has no one place among the agents.
        fix = fix and replace(fix, safe=False)
        self.find(path, message, help_text, OLD_SPELLING, fix, at_key=True)

    def honoured(self, path: KeyPath, _: Any, __: Honoured) -> None:
        self.honoured_sections[path[:-1]] = None

    def says_so(self, path: KeyPath, _: Any, __: SaysSo) -> None:
        self.result.removed.add(path)

    def now(self, path: KeyPath) -> Any:
        """What stands at `path` by now."""
        if path in self.result.values:
            return self.result.values[path]
        return get(self.data, self.result.moved.get(path, path))

    def find(
        self,
        path: KeyPath,
        message: str,
        help_text: str | None,
        code: str,
        fix: Fix | None = None,
        *,
        at_key: bool = False,
    ) -> None:
        self.result.findings.append(Finding(path, message, help_text, at_key=at_key, code=code, fix=fix))

    def move(self, *pairs: tuple[KeyPath, KeyPath]) -> Fix | None:
        """A fix that moves each old path to its new one."""
        known = [
            (old, new) for old, new in pairs if annotation_at(new) is not None and can_hold(self.data, new)
        ]
        if not known:
            return None
        title = f"move it to {dotted(known[0][1])}" if len(known) == 1 else f"move {len(known)} keys there"
        return self.change(title, *(Change("move", old, to=new) for old, new in known))

    def change(self, title: str, *changes: Change) -> Fix:
        """A fix; not a safe one where another key refers to what it takes away."""
        taken = [change.path for change in changes if change.kind in ("move", "remove")]
        pairs = ((key, path) for key in self.referred for path in taken)
        safe = not any(key[: len(path)] == path or path[: len(key)] == key for key, path in pairs)
        return Fix(title, changes, safe)


CARRIED_OUT: Mapping[type, Callable[..., None]] = {
    NoEffect: _Acceptance.no_effect,
    DoneOnlyAs: _Acceptance.done_only_as,
    Unset: _Acceptance.unset,
    BelongsTo: _Acceptance.belongs,
    SectionBelongsTo: _Acceptance.section_belongs,
    OldName: _Acceptance.old_name,
    OldWord: _Acceptance.old_word,
    Untrained: _Acceptance.untrained,
    Honoured: _Acceptance.honoured,
    SaysSo: _Acceptance.says_so,
}


def _unknown_part(path: KeyPath) -> KeyPath:
    """The part of `path` down to the first key that the schema does not have; all of it where it has all."""
    annotation: Any = ExperimentConfig
    for length, key in enumerate(path, start=1):
        annotation = step(annotation, key)
        if annotation is None:
            return path[:length]
    return path


def _word(words: Mapping[Any, Any], value: Any) -> Any:
    return next((new for old, new in words.items() if same(value, (old,))), value)


def _honoured(path: KeyPath) -> Finding:
    message = f"[{dotted(path)}] is honoured, the same as [{dotted((*path[:-2], 'trainer'))}]"
    return Finding(path, message, at_key=True, code=HONOURED)


def _listed(names: Collection[str] | Iterator[str]) -> str:
    known = list(names)
    return ", ".join(known[:SHOWN]) + (", …" if len(known) > SHOWN else "")


def _any(path: KeyPath) -> str:
    """A path in words, in which `*` is any key."""
    return ".".join("*" if part == "*" else dotted((part,)) for part in path)


def _leaves(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """The paths below `value` at which no section stands."""
    if not isinstance(value, dict):
        yield path
        return
    for key, item in value.items():
        yield from _leaves(item, (*path, key))
