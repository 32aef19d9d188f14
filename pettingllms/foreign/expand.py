"""Shell variables put in place: assignments of a script followed in order, without running anything."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pettingllms.foreign.arithmetic import ArithmeticFault, evaluate
from pettingllms.foreign.shell import Assignment, Command
from pettingllms.foreign.shell_words import Piece, ScriptError, Word, read_inside

MAX_TEXT = 100_000
MAX_EXPANDED = 10_000_000
_MAX_DEPTH = 30
_PARAMETER = re.compile(
    r"([A-Za-z_]\w*|\d+|[@*#?$!-])(?:\[([^\]]*)\])?(?:(:?[-=?+]|%%?|##?)(.*)|())", re.DOTALL
)
_REFERENCE = re.compile(r"\$\{oc\.env:([A-Za-z_]\w*)(?:,(.*))?\}", re.DOTALL)
_PLAIN_DEFAULT = re.compile(r"(?:[\w/.+-]|\$\{oc\.env:(?:[^{}']|\{[^{}']*\})*\})+")
_DECLARE = ("export", "declare", "local", "readonly", "typeset")
_GIVERS = dict.fromkeys(("for", "select"), "a loop gives it its values")
_GIVERS["read"] = "it is read while the script runs"
_FIELD = re.compile(r"(?:\$\{[^}]{0,1000}\}|\S)+")


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that only a run of the script would show."""

    why: str
    line: int


Value = str | Unknown


@dataclass(slots=True)
class Field:
    """One word of a command after expansion; `unknown` is set where a part of it is not known."""

    text: str = ""
    line: int = 0
    unknown: Unknown | None = None

    def add(self, value: Value) -> None:
        """Put `value` behind what is there."""
        if isinstance(value, Unknown):
            self.unknown = self.unknown or value
            self.text += "…"
        else:
            self.text += value


@dataclass(slots=True)
class Variables:
    """What is known about the variables of a script. `remarks`: what was assumed on the way."""

    values: dict[str, list[Value]] = field(default_factory=dict)
    arrays: set[str] = field(default_factory=set)
    exported: dict[str, int] = field(default_factory=dict)
    remarks: dict[str, int] = field(default_factory=dict)
    depth: int = 0
    expanded: int = 0

    def execute(self, command: Command) -> None:
        """Follow the assignments of a command that does nothing else, or that exports."""
        name = command.words[0][0].text if command.words and command.words[0] else ""
        operands = command.words[1:]
        if not command.words:
            for made in command.assignments:
                self.assign(made, command.inside)
        elif name in _DECLARE:
            self.declare(command, exports=name == "export")
        elif name in _GIVERS:
            for word in operands if name == "read" else operands[:1]:
                self.values[word[0].text] = [Unknown(f"{word[0].text}: {_GIVERS[name]}", command.line)]
        elif name in ("source", ".") and operands:
            self.remarks[f"{self.text(operands[0])} is not read, nor what it assigns"] = command.line
        elif name in (":", "unset"):
            self.expand_or_forget(operands, forget=name == "unset")

    def expand_or_forget(self, operands: list[Word], *, forget: bool) -> None:
        """`: ${X:=5}` gives a variable its value on the way; `unset X` takes it away."""
        for word in operands:
            if forget:
                self.values.pop(word[0].text, None)
            else:
                self.fields(word)

    def declare(self, command: Command, *, exports: bool) -> None:
        """Follow `export NAME=value …`."""
        from pettingllms.foreign.shell import assignment

        for made in command.assignments:
            self.assign(made, command.inside)
        for word in command.words[1:]:
            match = re.match(r"([A-Za-z_]\w*)(\+?)=", word[0].text) if word else None
            if match:
                self.assign(assignment(word, match), command.inside)
            if exports and word and (name := re.match(r"[A-Za-z_]\w*", word[0].text)):
                self.exported[name.group()] = command.line

    def assign(self, made: Assignment, inside: Iterable[str] = ()) -> None:
        """Give a variable its value; inside a block nobody knows whether it gets it."""
        block = next((kind for kind in inside if kind != "group"), None)
        if block:
            where = {"if": "under a condition", "case": "under a condition"}.get(block, f"in a {block}")
            self.values[made.name] = [Unknown(f"{made.name} is assigned {where}", made.line)]
            self.arrays.discard(made.name)
            return
        before = self.values.setdefault(made.name, []) if made.append else []
        if made.array:
            before += [one.unknown or one.text for word in made.words for one in self.fields(word)]
            self.values[made.name] = before
            self.arrays.add(made.name)
        else:
            value = self.text(self._home(made.words[0]))
            self.values[made.name] = [_joined([*before, value])] if made.append else [value]
            self.arrays.discard(made.name)

    @staticmethod
    def _home(word: Word) -> Word:
        """A tilde at the start of an assigned value is the home folder."""
        if word and not word[0].quoted and re.match(r"~(/|$)", word[0].text):
            home = Piece("variable", "HOME", quoted=True, line=word[0].line)
            rest = Piece("text", word[0].text[1:], quoted=False, line=word[0].line)
            return (home, rest, *word[1:])
        return word

    def text(self, word: Word) -> Value:
        """The value of `word` without splitting it into fields."""
        return _joined([part for piece in word for part in self.piece(piece)])

    def fields(self, word: Word) -> list[Field]:
        """The words that `word` becomes: unquoted values are split at blanks."""
        line = word[0].line if word else 0
        done: list[Field] = []
        current, kept = Field(line=line), False
        for piece in word:
            for part in self.parts(piece):
                if part is not None:
                    current.add(part)
                    # A field in quotes is one even where it is empty.
                    kept = kept or piece.quoted or bool(current.text)
                    continue
                if kept:
                    done.append(current)
                current, kept = Field(line=line), False
        return [*done, current] if kept else done

    def parts(self, piece: Piece) -> list[Value | None]:
        """The values of one piece, with None for each border between two fields."""
        values = self.piece(piece)
        parts: list[Value | None] = []
        for index, value in enumerate(values):
            parts += [None] if index else []
            split = not piece.quoted and piece.kind != "text" and isinstance(value, str)
            parts += _split(value) if split and isinstance(value, str) else [value]
        return parts

    def piece(self, piece: Piece) -> list[Value]:
        """The values of one piece: several for a list of words."""
        if piece.kind == "text":
            return [piece.text]
        if piece.kind == "command":
            shown = " ".join(piece.text.split())
            return [Unknown(f"$({shown[:60]}) is not run", piece.line)]
        if piece.kind == "arithmetic":
            return [self.arithmetic(piece)]
        match = _PARAMETER.fullmatch(piece.text)
        if match is None or self.depth > _MAX_DEPTH:
            return [Unknown(f"${{{piece.text[:60]}}} is not understood", piece.line)]
        self.depth += 1
        try:
            values = self.parameter(piece, match)
        finally:
            self.depth -= 1
        self.expanded += sum(20 + len(value) for value in values if isinstance(value, str))
        if self.expanded > MAX_EXPANDED:
            raise ScriptError("the variables of the script make too long a text", piece.line)
        return values

    def parameter(self, piece: Piece, match: re.Match[str]) -> list[Value]:
        """The value of `$NAME` or `${NAME…}`."""
        name, index, word = match.group(1), match.group(2), match.group(4) or ""
        operator = match.group(3) or ""
        known = self.values.get(name)
        if name in self.arrays and known is not None and not operator:
            return self.items(piece, known, index)

        def inside() -> Value:
            return self.text(read_inside(word, piece.line, quoted=piece.quoted))

        if known is None and not name.isidentifier():
            return [self.argument(piece, name, operator, inside)]
        value = known[0] if known else None
        return [value if isinstance(value, Unknown) else self.changed(piece, name, value, operator, inside)]

    def changed(
        self, piece: Piece, name: str, value: str | None, operator: str, inside: Callable[[], Value]
    ) -> Value:
        """The value of a variable behind an operator such as `:-`; None where it is not assigned."""
        if operator in ("%", "%%", "#", "##"):
            return _trimmed(piece, value, operator, inside())
        if operator.endswith("+"):
            missing = Unknown(f"{name} is not assigned in the script", piece.line)
            return missing if value is None else "" if value == "" and operator[0] == ":" else inside()
        defaults = operator[-1:] in ("-", "=")
        reference = _REFERENCE.fullmatch(value) if value and defaults else None
        source = (
            reference.group(1) if reference and not reference.group(2) else name if value is None else None
        )
        if defaults and (source or (value == "" and operator[0] == ":")):
            value_or_fault = _environment(source, inside()) if source else inside()
            if operator[-1] == "=":
                self.values[name] = [value_or_fault]
            return value_or_fault
        return f"${{oc.env:{name}}}" if value is None else value

    def items(self, piece: Piece, known: list[Value], index: str | None) -> list[Value]:
        """Words of a list: all of them for `[@]` and `[*]`, else one."""
        if index in ("@", "*"):
            return list(known)
        number = int(index or 0) if (index or "0").isdecimal() else len(known)
        if number >= len(known):
            return [Unknown(f"${{{piece.text}}} is no item of that list", piece.line)]
        return [known[number]]

    def argument(self, piece: Piece, name: str, operator: str, default: Callable[[], Value]) -> Value:
        """What is given to the script when it is started: only its default is known."""
        if name.isdecimal() and name != "0" and operator[-1:] in ("-", "="):
            self.remarks[f"${name} is taken as its default, as for a start without arguments"] = piece.line
            return default()
        why = "is given when the script is started" if name in "@*" or name.isdecimal() else "is not known"
        return Unknown(f"${name} {why}", piece.line)

    def arithmetic(self, piece: Piece) -> Value:
        """The value of `$((…))`: whole numbers, as the shell computes them."""

        def number(name: str) -> str:
            value = self.values.get(name, [None])[0]
            reference = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
            if reference and reference.group(2):
                self.remarks[f"$(({piece.text.strip()})) is computed with the default of {name}"] = piece.line
                return reference.group(2)
            if not isinstance(value, str):
                raise ArithmeticFault(value.why if value else f"{name} is not assigned in the script")
            return value

        try:
            return str(evaluate(piece.text, number))
        except ArithmeticFault as fault:
            return Unknown(f"$(({piece.text.strip()})): {fault}", piece.line)


def _joined(values: list[Value]) -> Value:
    unknown = next((value for value in values if isinstance(value, Unknown)), None)
    text = "".join(value for value in values if isinstance(value, str))
    if len(text) > MAX_TEXT:
        return Unknown(f"a variable holds more than {MAX_TEXT} characters", 0)
    return text if unknown is None else unknown


def _split(value: str) -> list[Value | None]:
    """Fields of an unquoted value, with None for each border between them and at its ends."""
    made: list[Value | None] = [None] if value[:1].isspace() else []
    for index, match in enumerate(_FIELD.finditer(value)):
        made += [None, match.group()] if index else [match.group()]
    return [*made, None] if value[-1:].isspace() else made


def _trimmed(piece: Piece, value: str | None, operator: str, pattern: Value) -> Value:
    """`${NAME%pattern}` and its like."""
    if value is None or "${" in value or isinstance(pattern, Unknown) or len(value) > 1000:
        return Unknown(f"${{{piece.text}}} is not known before the script runs", piece.line)
    matches = re.compile(fnmatch.translate(pattern)).match
    lengths = range(len(value) + 1) if len(operator) == 1 else range(len(value), -1, -1)
    for length in lengths:
        cut = value[len(value) - length :] if operator[0] == "%" else value[:length]
        if matches(cut):
            return value[: len(value) - length] if operator[0] == "%" else value[length:]
    return value


def _environment(name: str, default: Value) -> Value:
    """The reference to an environment variable with a default."""
    if isinstance(default, Unknown):
        return default
    if not _PLAIN_DEFAULT.fullmatch(default):
        escaped = default.replace("\\", "\\\\").replace("'", "\\'")
        default = f"'{escaped}'"
    return f"${{oc.env:{name},{default}}}"
