"""What the expressions in one string stand for: references looked up, resolvers called, texts joined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pettingllms.compose.expressions import Call, Expression, Items, Joined, Literal, Pairs, Reference
from pettingllms.compose.key_paths import AbsentError, Names, split_keys, step
from pettingllms.compose.reference_grammar import GrammarError, parse_element
from pettingllms.compose.resolution import Fallback, Resolution
from pettingllms.compose.resolvers import PURE, ResolverError, what
from pettingllms.compose.tree import MISSING, get
from pettingllms.documents.source import KeyPath, dotted
from pettingllms.registry import closest

UNKNOWN_REFERENCE, CYCLE, NOT_AVAILABLE = "PLM201", "PLM202", "PLM203"
MAX_TEXT = 1_000_000
MAX_TEXTS = 50 * MAX_TEXT
UNSET = "???"
KNOWN_KEYS = "refer to a key that this file sets"
RESOLVERS = ("oc.env", "oc.select", "oc.decode", *PURE)
# Frames of the interpreter's stack between one expression and the next inside it.
FRAMES = 6


class BrokenError(Exception):
    """A reference has no value; its finding was recorded."""


@dataclass(slots=True)
class Marks:
    """What was met while something was resolved: a value of the environment, a broken reference."""

    environment: bool = False
    broken: bool = False

    def add(self, other: Marks) -> None:
        """Take over what was met in a part."""
        self.environment |= other.environment
        self.broken |= other.broken


@dataclass(slots=True)
class Outcome:
    """What an expression gives: the value written at `target`, else `value`.

    `asked`: the absolute path that was asked for, where the expression is one reference.
    """

    value: Any = None
    target: KeyPath | None = None
    asked: KeyPath | None = None
    environment: bool = False


class Strings(Protocol):
    """The strings of the tree, which the one that is evaluated may refer to.

    `marks`: what was met in each string under way, the innermost last. `frames`: how deep it is.
    """

    data: dict[str, Any]
    environment: Mapping[str, str]
    result: Resolution
    marks: list[Marks]
    frames: int

    def string(self, path: KeyPath, raw: str) -> Outcome:
        """What another string stands for; raises BrokenError."""

    def node(self, path: KeyPath, raw: Any) -> Any:
        """A value of the tree, resolved all through."""

    def deeper(self, frames: int) -> None:
        """Count `frames` more; raises BrokenError where they are too many."""

    def fault(
        self, path: KeyPath, message: str, help_text: str | None = ..., *, code: str = ...
    ) -> BrokenError:
        """Record a finding, and return what to raise."""


class Evaluator:
    """Evaluates expressions; every method is told the path of the string that holds them."""

    def __init__(self, strings: Strings) -> None:
        self.strings = strings
        self.names = Names(strings.data)
        self.written = 0

    def evaluate(self, path: KeyPath, expression: Expression) -> Outcome:
        """What `expression`, a part of the string at `path`, stands for."""
        self.strings.deeper(FRAMES)
        match expression:
            case Reference():
                outcome = self.reference(path, expression)
            case Call():
                outcome = self.call(path, expression)
            case Joined(parts):
                outcome = self.derived(Outcome(self.joined(path, parts)), "${…}")
            case Items(items):
                outcome = Outcome([self.whole(self.evaluate(path, item)) for item in items])
            case Pairs(pairs):
                outcome = Outcome({key: self.whole(self.evaluate(path, item)) for key, item in pairs})
            case Literal(value):
                outcome = Outcome(value)
        self.strings.frames -= FRAMES
        return outcome

    def whole(self, outcome: Outcome) -> Any:
        """The value of `outcome`, resolved all through."""
        if outcome.target is None:
            return outcome.value
        return self.strings.node(outcome.target, get(self.strings.data, outcome.target))

    def joined(self, path: KeyPath, parts: tuple[Expression, ...]) -> str:
        """The text that `parts` make together."""
        texts: list[str] = []
        before = self.written
        for part in parts:
            texts.append(self.text_of(path, self.evaluate(path, part)))
            self.written += len(texts[-1])
            if self.written - before > MAX_TEXT:
                raise self.strings.fault(path, f"references here make more than {MAX_TEXT} characters")
            if self.written > MAX_TEXTS:
                raise self.strings.fault(path, f"references make texts of more than {MAX_TEXTS} characters")
        return "".join(texts)

    def text_of(self, path: KeyPath, outcome: Outcome) -> str:
        """A value as a part of a longer text."""
        value = outcome.value if outcome.target is None else get(self.strings.data, outcome.target)
        items = value if isinstance(value, list) else ()
        nested = any(isinstance(i, dict | list) or (isinstance(i, str) and "${" in i) for i in items)
        if isinstance(value, dict) or nested:
            name = "this" if outcome.asked is None or self.secret else dotted(outcome.asked)
            kind = "section" if isinstance(value, dict) else "list that holds more than plain values"
            message = f"{name} is a {kind}, which cannot be part of a text"
            raise self.strings.fault(path, message, "let the reference be the whole value")
        return str(value)

    def words(self, path: KeyPath, parts: tuple[str | Expression, ...], text: str) -> list[str]:
        """The parts of a path or of a resolver's name as texts."""
        words = [p if isinstance(p, str) else self.whole(self.evaluate(path, p)) for p in parts]
        for word in words:
            if not isinstance(word, str):
                message = f"{text}: what stands inside a path must be a text, not {what(word)}"
                raise self.strings.fault(path, message, "put quotes around the value that it refers to")
        return words

    def reference(self, path: KeyPath, reference: Reference) -> Outcome:
        """The value that `${a.b}` refers to."""
        inside = "".join(self.words(path, reference.parts, reference.text))
        try:
            outcome = self.walk(path, inside, reference.text)
        except AbsentError as absent:
            raise self.absent(path, inside, reference, absent) from None
        target = outcome.target
        if target is not None and len(target) < len(path) and path[: len(target)] == target:
            section = dotted(target) or "the whole file"
            message = f"references run in a circle: {dotted(path)} → {section}, which holds it"
            raise self.strings.fault(path, message, "refer to a single value", code=CYCLE)
        return outcome

    def walk(self, path: KeyPath, inside: str, text: str) -> Outcome:
        """What stands at the key `inside`, which `text` at `path` asks for; raises AbsentError."""
        found = split_keys(inside, path)
        if found is None:
            message = f"{text} goes above the root of the file (InterpolationKeyError)"
            raise self.strings.fault(path, message, "take away a dot", code=UNKNOWN_REFERENCE)
        start, keys = found
        asked, outcome = start, Outcome(target=start)
        for depth, key in enumerate(keys):
            whole, at = (*asked, *keys[depth:]), len(asked)
            container = None if outcome.target is None else get(self.strings.data, outcome.target)
            part = step(container, key)
            value: Any = MISSING if part is None else get(container, (part,))
            if value is MISSING or outcome.target is None or part is None:
                raise AbsentError(whole, at, container, "index" if part is None else "key")
            if isinstance(value, str) and value == UNSET:
                raise AbsentError(whole, at, container, "missing")
            asked, home = (*asked, part), (*outcome.target, part)
            holds_reference = isinstance(value, str) and "${" in value
            outcome = self.strings.string(home, value) if holds_reference else Outcome(target=home)
        return Outcome(outcome.value, outcome.target, asked)

    def call(self, path: KeyPath, call: Call) -> Outcome:
        """What `${name:argument,…}` gives. Arguments are resolved before, as OmegaConf does."""
        name = ".".join(self.words(path, call.name, call.text))
        if name not in RESOLVERS:
            near = closest(name, RESOLVERS)
            help_text = f"did you mean {near}?" if near else f"there are {', '.join(sorted(RESOLVERS))}"
            shown = "such resolver" if self.secret else f"resolver {name!r}"
            raise self.strings.fault(path, f"{call.text}: there is no {shown}", help_text)
        outcomes = [self.evaluate(path, argument) for argument in call.arguments]
        # A default that is a section stays as it is: it may not be needed, and may hold this string.
        defaults = outcomes[1:2] if name in ("oc.env", "oc.select") else []
        arguments = [None if defaults and n == 1 else self.whole(o) for n, o in enumerate(outcomes)]
        if self.strings.marks[-1].broken:
            raise BrokenError
        try:
            match name:
                case "oc.env":
                    return Outcome(self.env(arguments, defaults))
                case "oc.select":
                    return self.select(path, call.text, arguments, defaults)
                case "oc.decode":
                    return self.derived(self.decode(path, arguments), call.text)
                case _:
                    return self.derived(Outcome(PURE[name](arguments)), call.text)
        except ResolverError as error:
            raise self.strings.fault(path, f"{call.text}: {error}", error.help) from None

    def derived(self, outcome: Outcome, text: str) -> Outcome:
        """`outcome`; what was computed from the environment is as secret as the variable itself."""
        if self.secret:
            for word in _words(outcome.value):
                self.strings.result.secrets.setdefault(word, text if "${" not in text[2:] else "${…}")
        return outcome

    def env(self, arguments: list[Any], defaults: list[Outcome]) -> str | None:
        """`oc.env:NAME,default`: the variable's text, else the default as text, null as null."""
        if len(arguments) not in (1, 2) or not isinstance(arguments[0], str):
            message = "oc.env takes the name of a variable and a default"
            raise ResolverError(message, "write ${oc.env:NAME,default}")
        name, nested = arguments[0], self.secret
        self.strings.marks[-1].environment = True
        try:
            value = self.strings.environment[name]
        except (KeyError, UnicodeError):
            if not defaults:
                variable = "this environment variable" if nested else f"environment variable {name}"
                help_text = "set it, or write a default: ${oc.env:NAME,default}"
                raise ResolverError(f"{variable} is not set", help_text) from None
            default = self.whole(defaults[0])
            if isinstance(default, dict | list):
                raise ResolverError(f"the default of oc.env is a text, not {what(default)}") from None
            return None if default is None else str(default)
        if value:
            self.strings.result.secrets[value] = f"${{oc.env:{name}}}"
        return value

    def select(self, path: KeyPath, text: str, arguments: list[Any], defaults: list[Outcome]) -> Outcome:
        """`oc.select:key,default`: the value at the key, and the default only where there is none."""
        if len(arguments) not in (1, 2) or not isinstance(arguments[0], str):
            raise ResolverError("oc.select takes a key and a default", "write ${oc.select:a.b,default}")
        key = arguments[0]
        try:
            outcome = self.walk(path, key, text)
        except AbsentError as absent:
            if absent.why == "index":
                raise ResolverError("an item of a list is named by a whole number") from None
            asked = absent.asked
        else:
            if outcome.target is not None or outcome.value != UNSET:
                return outcome
            asked = outcome.asked or ()
        if not self.secret:
            self.strings.result.fallbacks.append(Fallback(path, asked, key.startswith(".")))
        return defaults[0] if defaults else Outcome(None)

    def decode(self, path: KeyPath, arguments: list[Any]) -> Outcome:
        """`oc.decode:text`: the text read as an argument is; null stays null."""
        if len(arguments) != 1 or not isinstance(arguments[0], str | None):
            found = f", not {what(arguments[0])}" if len(arguments) == 1 else ""
            raise ResolverError(f"oc.decode takes one text{found}")
        if arguments[0] is None:
            return Outcome(None)
        try:
            return self.evaluate(path, parse_element(arguments[0]))
        except GrammarError as error:
            why = "" if self.secret else f": {error}"
            raise ResolverError(f"oc.decode cannot read the text{why}") from None

    def absent(self, path: KeyPath, inside: str, reference: Reference, absent: AbsentError) -> BrokenError:
        """The finding for a reference to a key that does not exist, or whose value is still to be set."""
        if absent.why == "missing":
            name = "this value" if self.secret else dotted(absent.asked[: absent.depth + 1])
            message = f"{reference.text}: {name} is ???, which must be set (InterpolationToMissingValueError)"
            return self.strings.fault(path, message, "give it a value", code=UNKNOWN_REFERENCE)
        if not self.secret and not inside.startswith("."):
            self.strings.result.absolute_misses.append((path, absent.asked))
        near = None if self.secret else self.names.near(absent)
        help_text = f"did you mean ${{{_from(near, inside, path)}}}?" if near else KNOWN_KEYS
        name = "such key" if self.secret else f"key {dotted(absent.asked)[:200]}"
        message = f"{reference.text}: this file has no {name} (InterpolationKeyError)"
        return self.strings.fault(path, message, help_text, code=UNKNOWN_REFERENCE)

    @property
    def secret(self) -> bool:
        """True where what was found so far may not be shown, as it came from the environment."""
        return self.strings.marks[-1].environment


def _words(value: Any) -> Iterator[str]:
    """The texts and numbers in `value`, keys too, as they are shown."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _words(item)
    elif isinstance(value, list):
        for item in value:
            yield from _words(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _from(near: str, inside: str, path: KeyPath) -> str:
    """The absolute key `near`, written relative to `path` where `inside` is."""
    dots = inside[: len(inside) - len(inside.lstrip("."))]
    start = "".join(f"{key}." for key in path[: len(path) - len(dots)])
    return dots + near.removeprefix(start) if dots and near.startswith(start) else near
