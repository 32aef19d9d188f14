"""Comments that silence findings: `# noqa: PLM101` behind a value, `# noqa-file: PLM3` for a whole file.

`# pettingllms: ignore PLM101` says the same as `# noqa: PLM101`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pettingllms.lint.rules  # noqa: F401 - fills RULES
from pettingllms.compose.secrets import REDACTED, redacted_line, secret_texts
from pettingllms.compose.tree import get
from pettingllms.documents.read import parse_document
from pettingllms.documents.scan import STRING
from pettingllms.documents.source import Change, Document, DocumentError, Fix, Lines, Source
from pettingllms.hiding import forms, replaced
from pettingllms.lint.diagnostic import Diagnostic, Severity
from pettingllms.lint.rule import RULES

UNUSED = "PLM012"

_HINT = re.compile(r"noqa|pettingllms:", re.IGNORECASE)
_CODE = r"(?:[A-Za-z]{1,4}\d\w*|[Pp][Ll][Mm])(?!\w)"
# Without a comma or colon before it a word with digits is a reason, unless it is surely a code.
_OWN = r"[Pp][Ll][Mm]\d\w*"
_MORE = rf"(?:[ \t]*,[ \t]*{_CODE}|[ \t]+{_OWN})*"
_DIRECTIVE = re.compile(
    r"#[ \t]*(?:(?P<file>(?i:noqa-file))|(?i:noqa)|(?i:pettingllms:[ \t]*ignore))(?![\w-])"
    rf"(?:(?P<colon>[ \t]*:)[ \t]*(?P<codes>{_CODE}{_MORE})?|[ \t]+(?P<bare>{_OWN}{_MORE}))?"
)
_TOML = re.compile(rf"(?:{STRING.pattern})|(?P<comment>#[^\r\n]*)", re.DOTALL)
_YAML = re.compile(r"(?:^|(?<=[ \t]))#[^\r\n]*", re.MULTILINE)
_ALL = ""
"""The prefix of every code: what a comment without codes names."""


def suppress(
    diagnostics: Sequence[Diagnostic],
    texts: Mapping[str, str],
    *,
    reported: Collection[str] | None = None,
    dormant: Collection[str] = (),
) -> tuple[list[Diagnostic], list[Diagnostic]]:
    """What no comment silences of the diagnostics of one check, and a finding for each unused comment.

    `texts`: those of all files that the check read, under the names that diagnostics use; files that
    cannot be parsed silence nothing. `reported`: the files whose unused comments are found, by default
    all; an included file's comments may be of use to others, and with overrides none is known to be
    useless. `dormant`: codes that this check could not find, as those about a machine that is not known.
    """
    hints = {name: text for name, text in texts.items() if _HINT.search(text)}
    if not hints:
        return list(diagnostics), []
    files = {name: file for name, text in hints.items() if (file := _File.read(name, text)) is not None}
    kept = [found for found in diagnostics if found.file not in files or not files[found.file].hides(found)]
    # What rules would find beside such a fault is not known.
    whole = not any(_stops_rules(found) for found in diagnostics)
    unused = [
        found
        for name, file in files.items()
        if reported is None or name in reported
        for found in file.unused(dormant, whole=whole)
    ]
    return kept, unused


def _stops_rules(diagnostic: Diagnostic) -> bool:
    rule = RULES.get(diagnostic.code)
    return diagnostic.severity is Severity.ERROR and (rule is None or rule.check is None)


@dataclass(slots=True)
class _Comment:
    """One directive. Indices are those of the text; `end` is behind its codes, `comment_end` behind all.

    `alone`: nothing but the comment stands on its line. `codes` is empty where it names none;
    `used`: those that silenced something, `_ALL` among them.
    """

    line: int
    start: int
    end: int
    comment_end: int
    codes_start: int
    codes: tuple[str, ...]
    whole_file: bool
    alone: bool
    names_none: bool
    used: set[str] = field(default_factory=set)

    @property
    def counts(self) -> bool:
        """False where it silences nothing, whatever is found."""
        return not self.names_none and (self.alone or not self.whole_file)

    def silences(self, code: str) -> bool:
        """True where it names `code`, which is remembered."""
        hits = {prefix for prefix in self.codes or (_ALL,) if code.startswith(prefix)}
        self.used |= hits
        return bool(hits)


@dataclass
class _File:
    """A document and the directives in it."""

    document: Document
    comments: list[_Comment]

    @classmethod
    def read(cls, name: str, text: str) -> _File | None:
        """None where the text cannot be parsed: then nobody knows what is a comment."""
        try:
            document = parse_document(text, Path(name))
        except DocumentError:
            return None
        return cls(document, list(_directives(document)))

    def hides(self, diagnostic: Diagnostic) -> bool:
        """True where a comment silences `diagnostic`; every comment that does so is used."""
        place = diagnostic.line, diagnostic.column
        lines = {diagnostic.line, self.last_lines.get(place, diagnostic.line)}
        near = [one for line in lines for one in self.on_line.get(line, ()) if not one.whole_file]
        hits = [one.silences(diagnostic.code) for one in (*self.for_file, *near) if one.counts]
        return any(hits)

    @cached_property
    def on_line(self) -> dict[int, list[_Comment]]:
        """The comments of each line."""
        found: dict[int, list[_Comment]] = {}
        for comment in self.comments:
            found.setdefault(comment.line, []).append(comment)
        return found

    @cached_property
    def for_file(self) -> list[_Comment]:
        """The comments that speak of the whole file."""
        return [comment for comment in self.comments if comment.whole_file and comment.counts]

    @cached_property
    def lines(self) -> Lines:
        """From an index to its line."""
        return Lines(self.document.text)

    @cached_property
    def secrets(self) -> dict[str, str]:
        """What stands in the text and must not be shown."""
        return forms(dict.fromkeys(secret_texts(self.document.data), REDACTED))

    @cached_property
    def last_lines(self) -> dict[tuple[int, int], int]:
        """Where a key or value begins that is written over several lines, and its last line."""
        found: dict[tuple[int, int], int] = {}
        lines = self.document.text.split("\n")
        for path, (key, value) in self.document.spans.items():
            if value.line == value.end_line:
                continue
            opening = lines[value.line - 1][value.column - 1 : value.column]
            if isinstance(get(self.document.data, path), (dict, list)) and opening not in "[{":
                # A section of YAML: a comment on its last line speaks of the last key.
                continue
            # A text block ends where the next line begins.
            last = value.end_line - (value.end_column == 1)
            for start in ((key.line, key.column), (value.line, value.column)):
                found[start] = min(last, found.get(start, last))
        return found

    def unused(self, dormant: Collection[str], *, whole: bool) -> Iterator[Diagnostic]:
        """A finding for each comment that silences less than it says.

        `whole`: everything was checked, so that a code which was not found is not there.
        """
        for comment in self.comments:
            faults = _Faults.of(comment, dormant, whole=whole)
            if faults is not None and not self.hides_unused(comment):
                yield self.diagnostic(comment, faults)

    def hides_unused(self, comment: _Comment) -> bool:
        """True where a comment on its line, or one for the file, names the code of unused comments itself."""
        return any(UNUSED in one.codes for one in (*self.on_line[comment.line], *self.for_file))

    def diagnostic(self, comment: _Comment, faults: _Faults) -> Diagnostic:
        """The finding, without what stands in secrets on its line."""
        line, column = self.lines.point(comment.start)
        words = redacted_line(Source("", self.document.text).line(line))
        return Diagnostic(
            code=UNUSED,
            severity=RULES[UNUSED].severity,
            message=faults.message,
            file=str(self.document.path),
            line=line,
            column=column,
            path="",
            help=faults.help,
            end_column=column + comment.end - comment.start,
            source_line=replaced(words, self.secrets),
            fix=self.fix(comment, faults) if faults.mendable else None,
        )

    def fix(self, comment: _Comment, faults: _Faults) -> Fix:
        """Take away what is unused: some codes, or the comment; a reason behind it stays a comment."""
        text, left = self.document.text, [code for code in comment.codes if code not in faults.codes]
        if left:
            start, end, value = comment.codes_start, comment.end, ", ".join(left)
            title = f"remove {_listed(faults.codes)} from the comment"
        else:
            start, end, value = _without(comment, text)
            title = "leave only the reason in the comment" if value else "remove the comment"
        return Fix(title, (Change("text", value=value, span=self.lines.span(start, end)),))


@dataclass(frozen=True, slots=True)
class _Faults:
    """What is unused about a comment. `codes`: those of its codes that go; none stand for all of it."""

    message: str
    help: str
    codes: tuple[str, ...] = ()
    mendable: bool = True

    @classmethod
    def of(cls, comment: _Comment, dormant: Collection[str], *, whole: bool) -> _Faults | None:
        """None where the comment is of use, or may be."""
        if comment.names_none:
            help_text = "name one, as in `# noqa: PLM101`; without the colon it silences all"
            return cls("no code stands behind the colon, so that nothing is silenced", help_text, (), False)
        if not comment.counts:
            message = "noqa-file counts on a line of its own; here it silences nothing"
            return cls(message, "write noqa for this line, or move the comment", (), False)
        where = "in this file" if comment.whole_file else "on this line"
        if not comment.codes:
            if comment.used or not whole:
                return None
            return cls(f"unused noqa: nothing is found {where}", _advice(comment))
        unknown = tuple(code for code in comment.codes if not _rules(code))
        idle = tuple(
            code
            for code in comment.codes
            if whole and code not in (*comment.used, *unknown, UNUSED) and not _sleeps(code, dormant)
        )
        verb = "is" if len(idle) == 1 else "are"
        parts = [f"unused noqa: {_listed(idle)} {verb} not found {where}"] if idle else []
        parts += [f"no rule's code starts with {_listed(unknown, 'or')}"] if unknown else []
        near = next((found for code in unknown if (found := nearest_code(code))), None)
        advice = f"did you mean {near}?" if near else _advice(comment, (*idle, *unknown))
        return cls("; ".join(parts), advice, (*idle, *unknown)) if parts else None


def nearest_code(code: str) -> str | None:
    """The rule's code that was most likely meant by `code`: like it, and alike in most of its places."""
    near = sorted(difflib.get_close_matches(code, RULES, n=len(RULES), cutoff=0.6))
    return max(near, key=lambda known: sum(map(str.__eq__, known, code)), default=None)


def _rules(prefix: str) -> list[str]:
    return [code for code in RULES if code.startswith(prefix)]


def _sleeps(prefix: str, dormant: Collection[str]) -> bool:
    return any(code in dormant for code in _rules(prefix))


def _advice(comment: _Comment, codes: Sequence[str] = ()) -> str:
    if comment.alone and not comment.whole_file:
        return "put it behind the value, or write noqa-file to speak of the whole file"
    return "remove the comment" if set(comment.codes) <= set(codes) else f"remove {_listed(codes)} from it"


def _listed(codes: Sequence[str], last: str = "and") -> str:
    return f" {last} ".join(part for part in (", ".join(codes[:-1]), *codes[-1:]) if part)


def _directives(document: Document) -> Iterator[_Comment]:
    text, lines = document.text, Lines(document.text)
    for start, end in _comments(document):
        alone = not text[text.rfind("\n", 0, start) + 1 : start].strip()
        for match in _DIRECTIVE.finditer(text, start, end):
            group = "codes" if match["codes"] else "bare"
            codes = tuple(re.split(r"[ \t,]+", match[group].upper())) if match[group] else ()
            yield _Comment(
                line=lines.point(start)[0],
                start=match.start(),
                end=match.end(),
                comment_end=end,
                codes_start=match.start(group),
                codes=codes,
                whole_file=match["file"] is not None,
                alone=alone,
                names_none=match["colon"] is not None and not codes,
            )


def _comments(document: Document) -> Iterator[tuple[int, int]]:
    """The stretches of all comments; a # inside a text begins none."""
    if document.format == "toml":
        yield from (match.span() for match in _TOML.finditer(document.text) if match["comment"])
        return
    position = 0
    for start, end in [*_yaml_texts(document.text), (len(document.text), 0)]:
        while (found := _YAML.search(document.text, position, start)) is not None:
            yield found.span()
            position = found.end()
        position = max(position, end)


def _yaml_texts(text: str) -> Iterator[tuple[int, int]]:
    """The stretches of quoted texts and of text blocks, from the line below the mark of a block."""
    from ruamel.yaml import YAML
    from ruamel.yaml.events import ScalarEvent

    for event in YAML(typ="safe", pure=True).parse(text):
        if isinstance(event, ScalarEvent) and event.style:
            start, end = event.start_mark.index, event.end_mark.index
            if event.style in "|>":
                newline = text.find("\n", start, end)
                start = newline if newline >= 0 else end
            yield start, end


def _without(comment: _Comment, text: str) -> tuple[int, int, str]:
    """The stretch that goes with the comment, and what stands in its place."""
    reason = text[comment.end : comment.comment_end].lstrip(" \t,;:-\u2013\u2014")
    if reason:
        return comment.start, comment.comment_end - len(reason), "" if reason[0] == "#" else "# "
    line_start = text.rfind("\n", 0, comment.start) + 1
    before = text[line_start : comment.start].rstrip(" \t")
    if before:
        return line_start + len(before), comment.comment_end, ""
    newline = text.find("\n", comment.comment_end)
    return line_start, newline + 1 if newline >= 0 else len(text), ""
