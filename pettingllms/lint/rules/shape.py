"""PLM0, syntax and shape: pages of what is found while a file is read and typed."""

from collections.abc import Iterator

from pettingllms.config.experiment import FORMAT
from pettingllms.documents.source import Finding
from pettingllms.lint.diagnostic import Severity
from pettingllms.lint.rule import Context, loading_rule, rule


@loading_rule("PLM001", "invalid-syntax", Severity.ERROR)
def invalid_syntax() -> None:
    """The text is not TOML 1.0, or no YAML that an experiment can be, in UTF-8.

    Nothing else of the file is checked until it can be read. A key that is set twice is one
    of these faults; the message names both lines. A YAML file holds one document and its root is
    a mapping; its keys are text, and its tags are those of plain values, lists and mappings.
    """


@loading_rule("PLM002", "unreadable-file", Severity.ERROR)
def unreadable_file() -> None:
    """The file does not exist, is a folder, cannot be opened, or is larger than 4 MiB.

    The exit code is 2.
    """


@loading_rule("PLM003", "unknown-key", Severity.ERROR)
def unknown_key() -> None:
    """A key is not part of the experiment schema.

    A key that nothing reads would leave its default in force without a word. The help names
    the nearest key, or the section where a key of this name belongs.
    """


@loading_rule("PLM004", "missing-key", Severity.ERROR)
def missing_key() -> None:
    """A section or key without a default is missing."""


@loading_rule("PLM005", "wrong-type", Severity.ERROR)
def wrong_type() -> None:
    """A value has the wrong type, such as text where a number is wanted.

    A whole number is accepted where a number with a fraction is wanted; nothing else is converted.
    """


@loading_rule("PLM006", "bad-value", Severity.ERROR)
def bad_value() -> None:
    """A value has the right type and is outside its range, or is none of the words allowed."""


@loading_rule("PLM007", "not-available", Severity.WARNING, blocks=True)
def not_available() -> None:
    """A documented key asks for something that this version cannot do.

    The experiment may be right, so that this is a warning. `train` and `sweep run` refuse it, because a
    run that silently did less would give other results than asked for.
    """


@loading_rule("PLM008", "malformed-null", Severity.ERROR)
def malformed_null() -> None:
    """A null is written `{ null = true }`, with no other key and no other value."""


@loading_rule("PLM009", "invalid-override", Severity.ERROR)
def invalid_override() -> None:
    """An override of the command line cannot be applied.

    Overrides are `key=value` (change), `+key=value` (add), `++key=value` (either), `~key` (delete),
    `key:=value` (replace a whole table or list) and `key+=[value]` (append). `env=code`, where
    `env` is a section, would replace the whole section by one word, and is refused.
    """


@loading_rule("PLM010", "empty-file", Severity.ERROR)
def empty_file() -> None:
    """The file sets no key at all."""


@loading_rule("PLM011", "not-an-experiment", Severity.ERROR)
def not_an_experiment() -> None:
    """The file is something else: it sets none of an experiment's sections.

    A trainer fragment is mounted by an experiment's `defaults` list; sweep files of other tools
    become an experiment by `pettingllms import`.
    """


@loading_rule("PLM012", "unused-noqa", Severity.WARNING)
def unused_noqa() -> None:
    """A comment silences a finding that is not there, or names a code that no rule has.

    `# noqa: PLM101` behind a value silences that code on its line, also where the value ends on a later
    one; `# noqa: PLM1` all codes that begin so, `# noqa` all. `# noqa-file: PLM101` on a line of its own
    speaks of the whole file. `train` and `sweep run` refuse a file for its errors all the same. While a file
    has errors of shape, only codes that no rule has are reported here.
    """


@rule("PLM013", "newer-format", Severity.ERROR, reads=["format"])
def newer_format(context: Context) -> Iterator[Finding]:
    """The file says by `format` that it is written for a later version of this package.

    Its keys may mean something else there, so that it is not run by this one.
    """
    written = context.config.format
    if written > FORMAT:
        message = f"format = {written} is newer than this version reads, which is format {FORMAT}"
        yield Finding(("format",), message, f"upgrade pettingllms, or write format = {FORMAT} if it is that")
