"""`[tool.pettingllms.lint]` of a pyproject.toml: what a project wants of the linter."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from stat import S_ISREG
from typing import Any

from pettingllms.errors import UsageError
from pettingllms.lint.diagnostic import Severity
from pettingllms.registry import closest

FILE = "pyproject.toml"
KEYS = ("select", "ignore", "include", "exclude", "per-file-ignores", "fail-on", "assume", "baseline")
_TABLE = "tool.pettingllms.lint"
_TOOL = "pettingllms"


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern as in .gitignore: without a slash it fits at any depth; a folder fits with all it holds."""

    text: str
    pattern: re.Pattern[str]

    def fits(self, name: str) -> bool:
        """True for the file `name`, written from the folder of the patterns, with slashes."""
        return self.pattern.match(name) is not None


@dataclass(frozen=True, slots=True)
class LintSettings:
    """The settings of the files below `folder`; `file` holds them, None where no file does.

    `select` and `ignore` are beginnings of codes. `baseline` is the whole path. `include`, where there
    is any, names the only files of a folder that are checked.
    """

    folder: Path
    file: Path | None = None
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    include: tuple[Glob, ...] = ()
    exclude: tuple[Glob, ...] = ()
    per_file_ignores: tuple[tuple[Glob, tuple[str, ...]], ...] = ()
    fail_on: Severity | None = None
    assume: str | None = None
    baseline: Path | None = None

    def excludes(self, path: Path) -> bool:
        """True where `exclude` names `path`, or `include` is there and does not."""
        name = self._name(path)
        if name is None:
            return False
        unwanted = bool(self.include) and not any(glob.fits(name) for glob in self.include)
        return unwanted or any(glob.fits(name) for glob in self.exclude)

    def ignored_codes(self, path: Path) -> tuple[str, ...]:
        """The beginnings of codes that `ignore` and `per-file-ignores` leave out at `path`."""
        name = self._name(path)
        special = (codes for glob, codes in self.per_file_ignores if name is not None and glob.fits(name))
        return tuple(dict.fromkeys([*self.ignore, *(code for codes in special for code in codes)]))

    def _name(self, path: Path) -> str | None:
        """`path` from the folder on; None where it lies elsewhere."""
        try:
            return _absolute(path).relative_to(self.folder).as_posix()
        except ValueError:
            return None


def settings_for(folder: Path) -> LintSettings:
    """The settings of the nearest pyproject.toml that has some, in `folder` or above it.

    Raises UsageError where they are wrong; a file that does not speak of this package may be anything.
    """
    start = _absolute(folder)
    for parent in (start, *start.parents):
        file = parent / FILE
        try:
            status = file.stat()
        except OSError:
            continue
        found = _settings(file, status.st_mtime_ns, status.st_size) if S_ISREG(status.st_mode) else None
        if found is not None:
            return found
    return LintSettings(start)


@lru_cache(maxsize=64)
def _settings(file: Path, _time: int, _size: int) -> LintSettings | None:
    """The settings that `file` holds, read again where it has changed; None where it has no table of them."""
    try:
        raw = file.read_bytes()
    except OSError as cause:
        raise UsageError(f"{file} cannot be read: {cause.strerror}", help="check its permissions") from None
    if _TOOL.encode() not in raw:
        return None
    try:
        content = tomllib.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as cause:
        raise UsageError(f"{file} is not TOML: {cause}", help="its lint settings cannot be read") from None
    ours = _table(file, _table(file, content, "tool"), _TOOL)
    near = next((key for key in ours if key != "lint" and closest(key.lower(), ["lint"])), None)
    if near is not None:
        # What is nearly the table would be ignored without a word.
        raise UsageError(f"{file}: there is no table tool.{_TOOL}.{near}", help=f"did you mean {_TABLE}?")
    return _Reader(file, _table(file, ours, "lint")).settings() if "lint" in ours else None


def _table(file: Path, around: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The table `key` of `around`, empty where there is none."""
    value = around.get(key, {})
    if not isinstance(value, dict):
        raise UsageError(f"{file}: {key} must be a table, not {_kind(value)}")
    return value


@dataclass(frozen=True, slots=True)
class _Reader:
    """The table of one file, value by value."""

    file: Path
    table: Mapping[str, Any]

    def settings(self) -> LintSettings:
        for key in self.table:
            if key not in KEYS:
                near = closest(key, KEYS)
                help_text = f"did you mean {near}?" if near else f"known: {', '.join(KEYS)}"
                raise self.wrong(key, "there is no such setting", help_text)
        baseline = self.text("baseline")
        return LintSettings(
            folder=self.file.parent,
            file=self.file,
            select=self.codes("select", self.table.get("select", [])),
            ignore=self.codes("ignore", self.table.get("ignore", [])),
            include=self.globs("include"),
            exclude=self.globs("exclude"),
            per_file_ignores=tuple(self.per_file_ignores()),
            fail_on=self.severity("fail-on"),
            assume=self.text("assume"),
            baseline=None if baseline is None else self.file.parent / baseline,
        )

    def wrong(self, key: str, message: str, help_text: str | None = None) -> UsageError:
        return UsageError(f"{self.file}: {_TABLE}.{key}: {message}", help=help_text)

    def text(self, key: str) -> str | None:
        value = self.table.get(key)
        if value is not None and (not isinstance(value, str) or not value):
            raise self.wrong(key, f"must be a text, not {_kind(value)}")
        return value

    def severity(self, key: str) -> Severity | None:
        value = self.text(key)
        if value is None:
            return None
        if value not in list(Severity):
            names = [severity.value for severity in Severity]
            near = closest(value, names)
            help_text = f"did you mean {near}?" if near else None
            raise self.wrong(key, f"must be one of {', '.join(names)}, not {value!r}", help_text)
        return Severity(value)

    def texts(self, key: str, value: Any) -> list[str]:
        if not isinstance(value, list):
            raise self.wrong(key, f"must be a list of texts, not {_kind(value)}")
        for item in value:
            if not isinstance(item, str) or not item:
                raise self.wrong(key, f"must be a list of texts; one item is {_kind(item)}")
        return value

    def codes(self, key: str, value: Any) -> tuple[str, ...]:
        found = tuple(text.strip().upper() for text in self.texts(key, value))
        if not found:
            return ()
        # Imported only for projects that name codes: the rules bring the whole schema with them.
        from pettingllms.lint.files.noqa import nearest_code
        from pettingllms.lint.rule import RULES

        for code in found:
            if not code or not any(known.startswith(code) for known in RULES):
                near = nearest_code(code)
                help_text = f"did you mean {near}?" if near else "`pettingllms rule` lists them"
                raise self.wrong(key, f"no rule's code starts with {code!r}", help_text)
        return found

    def globs(self, key: str) -> tuple[Glob, ...]:
        return tuple(self.glob(key, text) for text in self.texts(key, self.table.get(key, [])))

    def glob(self, key: str, text: str) -> Glob:
        parts = _parts(text)
        if text.startswith("!"):
            raise self.wrong(key, f"{text!r}: a pattern cannot take files back in", "leave out the !")
        if not parts or ".." in parts:
            raise self.wrong(key, f"{text!r} fits no file below {self.file.parent}")
        try:
            return Glob(text, _compiled(text, parts))
        except re.error:
            raise self.wrong(key, f"{text!r}: what stands in the brackets is no set of characters") from None

    def per_file_ignores(self) -> Iterator[tuple[Glob, tuple[str, ...]]]:
        key = "per-file-ignores"
        value = self.table.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, f"must be a table of patterns and codes, not {_kind(value)}")
        for text, codes in value.items():
            yield self.glob(key, text), self.codes(f'{key}."{text}"', codes)


def _kind(value: Any) -> str:
    """A value's type in words of TOML."""
    if value == "":
        return "an empty one"
    words = {bool: "a truth value", int: "a number", float: "a number", str: "a text"}
    return {**words, list: "a list", dict: "a table"}.get(type(value), "a date or time")


def _parts(text: str) -> list[str]:
    return [part for part in text.split("/") if part not in ("", ".")]


def _compiled(text: str, parts: list[str]) -> re.Pattern[str]:
    """The regular expression of a pattern as in .gitignore."""
    # A slash at the end does not fasten a pattern to the folder, and one elsewhere does.
    loose = "/" not in text.removesuffix("/")
    found = "(?:[^/]+/)*" if loose else ""
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            found += "[^/]+" if last else "(?:[^/]+/)*"
        else:
            found += "".join(
                _piece(piece) for piece in re.findall(r"\*+|\?|\[[!^]?\]?[^\]/]*\]|.", part, re.DOTALL)
            )
            found += "" if last else "/"
    # What fits a folder fits all below it; with a slash at the end it fits nothing else.
    return re.compile(found + ("/.*" if text.endswith("/") else "(?:/.*)?") + r"\Z", re.DOTALL)


def _piece(piece: str) -> str:
    if piece[0] == "*":
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    if len(piece) > 1:
        inside = piece[1:-1]
        negated = inside[:1] in ("!", "^")
        members = re.sub(r"([\\\[\]&~|^])", r"\\\1", inside[1:] if negated else inside)
        return f"(?!/)[{'^' if negated else ''}{members}]"
    return re.escape(piece)


def _absolute(path: Path) -> Path:
    """Without `..`, and without looking at the disk: links stay as they are named."""
    return Path(os.path.normpath(path.absolute()))
