"""What a command line asks of the linter, and what the project's settings add to it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pettingllms.errors import UsageError
from pettingllms.lint.diagnostic import Severity

if TYPE_CHECKING:
    from pettingllms.lint.files.checked import CheckOptions
    from pettingllms.lint.files.settings import LintSettings


@dataclass(frozen=True, slots=True)
class LintRequest:
    """The arguments of `pettingllms lint`, checked, with codes in capital letters."""

    paths: tuple[Path, ...]
    overrides: tuple[str, ...] = ()
    overlays: tuple[Path, ...] = ()
    output_format: str = "text"
    output: Path | None = None
    fail_on: Severity | None = None
    exit_zero: bool = False
    statistics: bool = False
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    here: bool = False
    assume: str = ""
    fix: bool = False
    unsafe_fixes: bool = False
    diff: bool = False
    baseline: Path | None = None
    write_baseline: Path | None = None
    stdin_name: Path | None = None
    skip_others: bool = False
    drop_invalid: bool = False
    jobs: int | None = None
    cached: bool = True

    def refuse_contradictions(self) -> None:
        """Raise UsageError for options that do nothing, or not what is asked for, beside each other."""
        mends = self.fix or self.diff
        from_stdin = any(str(path) == "-" for path in self.paths)
        refusals = (
            (self.here and self.assume, "--here and --assume exclude each other", "name one machine"),
            (
                self.unsafe_fixes and not mends,
                "--unsafe-fixes does nothing alone",
                "write --fix or --diff with it",
            ),
            (
                mends and (self.overrides or self.overlays),
                "fixes are made in the file as it stands",
                "leave out --set and --with, or --fix and --diff",
            ),
            (mends and from_stdin, "standard input cannot be fixed", "name the file"),
            (
                self.stdin_name is not None and not from_stdin,
                "--stdin-filename names what - reads, and there is no -",
                "add -",
            ),
        )
        for refused, message, help_text in refusals:
            if refused:
                raise UsageError(message, help=help_text)

    def completed(self, settings: LintSettings) -> LintRequest:
        """The request with the settings of the project where the command line says nothing."""
        return dataclasses.replace(
            self,
            select=self.select or settings.select,
            fail_on=self.fail_on or settings.fail_on or Severity.WARNING,
            assume=self.assume or ("" if self.here else settings.assume or ""),
            baseline=self.baseline or settings.baseline,
        )

    def check_options(self) -> CheckOptions:
        """How each file is checked. Raises UsageError where the assumed machine cannot be read."""
        from pettingllms.lint.files.checked import CheckOptions

        facts = None
        if self.here or self.assume:
            from pettingllms.lint.facts import Facts

            facts = Facts.here() if self.here else Facts.assumed(self.assume)
        return CheckOptions(self.overrides, self.overlays, facts, self.drop_invalid, self.jobs, self.cached)
