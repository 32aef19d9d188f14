"""What `pettingllms lint` does once its arguments are read: check, filter, write the report, count."""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from pettingllms.cli.lint_files import NamedFiles, named_files
from pettingllms.cli.lint_request import LintRequest
from pettingllms.documents.files import SYNTAX, UNREADABLE
from pettingllms.hiding import hidden
from pettingllms.lint.diagnostic import Diagnostic, Severity
from pettingllms.lint.files.batch import check_files
from pettingllms.lint.files.checked import FileResult
from pettingllms.lint.files.settings import LintSettings, settings_for

MANY = 3
"""What is named of things of one kind; of more the others are counted."""
_log = logging.getLogger(__name__)


def run_lint(request: LintRequest) -> int:
    """Check what `request` names, print what was found, and return the exit code.

    The settings are those of the current folder, whatever files are named.
    """
    settings = settings_for(Path.cwd())
    request = request.completed(settings)
    options = request.check_options()
    named = named_files(request, settings)
    if request.fix or request.diff:
        from pettingllms.cli.lint_fix import fix_files

        changed = fix_files(named, request, options, lambda found: _is_wanted(found, request, settings))
        if request.diff:
            return _exit_code(_Outcome([]), named, request) or int(changed and not request.exit_zero)
    outcome = _without_known(_Outcome(check_files(named.files, options)), request, settings)
    crashes = any(result.crash is not None for result in outcome.results)
    if request.write_baseline is not None and crashes:
        _log.error("%s was not written: a file could not be checked", request.write_baseline)
    elif request.write_baseline is not None:
        from pettingllms.lint.files.baseline import write_baseline

        write_baseline(outcome.diagnostics, request.write_baseline)
        _log.info("%s: %s written", request.write_baseline, _counted(len(outcome.diagnostics), "finding"))
    else:
        _write_report(outcome, request)
        for line in _talk(outcome, named, request):
            _log.info("%s", line)
    return _exit_code(outcome, named, request)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What is reported. `known`: findings that the baseline lists; `gone`: those of it that are not there."""

    results: Sequence[FileResult]
    diagnostics: Sequence[Diagnostic] = ()
    known: int = 0
    gone: int = 0


def _is_wanted(found: Diagnostic, request: LintRequest, settings: LintSettings) -> bool:
    """True for what the command line and the settings select.

    That a file cannot be read is always among it, and that it cannot be parsed unless it is ignored:
    nothing else was found in such a file, which must not look like a clean one.
    """
    ignored = (*request.ignore, *settings.ignored_codes(Path(found.file)))
    if found.code != UNREADABLE and ignored and found.code.startswith(ignored):
        return False
    return not request.select or found.code.startswith(request.select) or found.code in (SYNTAX, UNREADABLE)


def _without_known(outcome: _Outcome, request: LintRequest, settings: LintSettings) -> _Outcome:
    """The outcome with what was asked for; a fault of a file that several others include is told once."""
    results = outcome.results
    found: dict[Diagnostic, list[str]] = {}
    for result in results:
        for one in dict.fromkeys(result.diagnostics):
            found.setdefault(one, []).append(one.included)
    diagnostics = [
        _told_once(one, chains) for one, chains in found.items() if _is_wanted(one, request, settings)
    ]
    if request.baseline is None or request.write_baseline is not None:
        return _Outcome(results, diagnostics)
    from pettingllms.lint.files.baseline import read_baseline, without_known

    files = [str(result.path) for result in results]
    remaining, known, gone = without_known(diagnostics, read_baseline(request.baseline), files=files)
    return _Outcome(results, remaining, known, gone)


def _told_once(diagnostic: Diagnostic, chains: Sequence[str]) -> Diagnostic:
    """The diagnostic with the first of `chains`, and how many other files include its file."""
    if "" in chains:
        # The file was named itself.
        return dataclasses.replace(diagnostic, included="")
    others = f" and by {_counted(len(chains) - 1, 'other file')}" if len(chains) > 1 else ""
    return dataclasses.replace(diagnostic, included=f"{chains[0]}{others}")


def _write_report(outcome: _Outcome, request: LintRequest) -> None:
    from pettingllms.lint.formats.text import format_coloured, wants_colour

    files = [str(result.path) for result in outcome.results if result.crash is None]

    def report() -> str:
        return _writable(_formatted(outcome, request.output_format, files))

    if request.output is not None:
        from pettingllms.documents.atomic import write_text

        # The standard streams leave secrets out by themselves; a file does not.
        write_text(request.output, hidden(report()), force=True)
    if request.statistics:
        from pettingllms.lint.files.statistics import statistics

        typer.echo(statistics(outcome.diagnostics), nl=False)
    elif request.output is None and request.output_format == "text" and wants_colour(sys.stdout):
        typer.echo(_writable(format_coloured(outcome.diagnostics)), nl=False)
    elif request.output is None:
        typer.echo(report(), nl=False)


def _formatted(outcome: _Outcome, name: str, files: Sequence[str]) -> str:
    from pettingllms.lint.formats import FORMATTERS

    if name == "sarif" and any(found.fix is not None for found in outcome.diagnostics):
        from pettingllms.cli.lint_fix import replacements
        from pettingllms.lint.formats.sarif import format_sarif

        known = replacements(outcome.diagnostics, outcome.results)
        return format_sarif(outcome.diagnostics, files, replacements=known)
    return FORMATTERS.load(name)(outcome.diagnostics, files)


def _writable(report: str) -> str:
    """The report without the half characters that stand for bytes of file names that are no UTF-8."""
    return report.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _talk(outcome: _Outcome, named: NamedFiles, request: LintRequest) -> Iterator[str]:
    """What is said beside the report, line by line; the summary comes last."""
    for result in outcome.results:
        if result.impossible:
            cells = f"{result.impossible} of {_counted(result.cells, 'cell')}"
            yield f"{result.path}: {cells} impossible: {result.reasons}"
    unchecked = dict.fromkeys(text for result in outcome.results for text in result.unchecked)
    if unchecked:
        yield f"not checked: {_by_reason(unchecked)}"
    left_out = []
    if named.others:
        left_out.append(f"{_counted(named.others, 'other file')} skipped")
    suppressed = sum(result.suppressed for result in outcome.results)
    if suppressed:
        left_out.append(f"{_counted(suppressed, 'finding')} silenced by comments")
    if outcome.known or outcome.gone:
        gone = f" ({outcome.gone} of the baseline gone: write it anew)" if outcome.gone else ""
        left_out.append(f"{_counted(outcome.known, 'finding')} known from the baseline{gone}")
    if left_out:
        yield ", ".join(left_out)
    yield from _fixable(outcome, request)
    checked = sum(result.crash is None for result in outcome.results)
    yield summary(checked, [found.severity for found in outcome.diagnostics])


def _by_reason(texts: Iterable[str]) -> str:
    """Texts `what (why)`, those of one reason together."""
    reasons: dict[str, list[str]] = {}
    for text in texts:
        what, _, why = text.rpartition(" (")
        reasons.setdefault(why.removesuffix(")"), []).append(what)
    shown = {
        why: (*whats[:MANY], f"{len(whats) - MANY} more")[: len(whats)] for why, whats in reasons.items()
    }
    return "; ".join(f"{', '.join(whats)} ({why})" for why, whats in shown.items())


def _fixable(outcome: _Outcome, request: LintRequest) -> Iterator[str]:
    """How many findings could be mended; what an included file needs is mended where that is named."""
    names = {str(result.path) for result in outcome.results}
    fixes = [found.fix for found in outcome.diagnostics if found.fix is not None and found.file in names]
    safe = 0 if request.fix else sum(fix.safe for fix in fixes)
    unsafe = 0 if request.unsafe_fixes else sum(not fix.safe for fix in fixes)
    parts = [f"{safe} fixable with --fix"] if safe else []
    parts += [f"{unsafe} {'more' if safe else 'fixable'} with --fix --unsafe-fixes"] if unsafe else []
    if parts:
        yield ", ".join(parts)


def summary(files: int, severities: list[Severity]) -> str:
    """One line: how many files, how many diagnostics of each severity."""
    counted = f"{_counted(files, 'file')} checked"
    if not severities:
        return f"{counted}, nothing found"
    parts = [_counted(severities.count(one), one.value) for one in Severity if one in severities]
    return f"{counted}: {', '.join(parts)}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _exit_code(outcome: _Outcome, named: NamedFiles, request: LintRequest) -> int:
    """2 where something could not be checked, which is said; else 1 where there is something to do."""
    for fault in named.faults:
        _log.error("error: %s", fault)
    for result in outcome.results:
        if result.crash is not None:
            _log.error("error: %s: the linter itself failed on this file: %s", result.path, result.crash)
            if result.traceback:
                _log.debug("%s", result.traceback)
    if named.faults or any(result.failed for result in outcome.results):
        return 2
    if request.exit_zero or request.write_baseline is not None:
        return 0
    fail_on = request.fail_on or Severity.WARNING
    return int(any(found.severity.rank >= fail_on.rank for found in outcome.diagnostics))
