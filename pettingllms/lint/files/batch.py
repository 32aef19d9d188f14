"""Many files checked: each once, in order, from the cache where it knows them, by processes where it pays."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pettingllms.lint.files.checked import CheckOptions, FileResult, Named

if TYPE_CHECKING:
    from pettingllms.lint.files.cache import Cache
    from pettingllms.lint.report import Report

FEW = 4
"""Files that are checked in this process before it is known how long one takes."""
RESOURCES = "PLM3"
"""The beginning of the codes of numbers and resources."""
_SILENT = re.compile("noqa|pettingllms:", re.IGNORECASE)
SLOWER = 1.2
"""How much longer a file takes where several processes share caches and memory."""
START_SECONDS = {"fork": 0.1, "spawn": 0.8}
"""What starting processes costs: a spawned one imports the linter first."""


def check_files(files: Sequence[Named], options: CheckOptions) -> list[FileResult]:
    """Check each of `files`, in their order; a second name of the same file is left out."""
    files = without_doubles(files)
    cache = _cache(options)
    results = [None if cache is None or file.text is not None else cache.find(file.path) for file in files]
    unknown = [index for index, result in enumerate(results) if result is None]
    found = _check_all([files[index] for index in unknown], options, cache)
    for index, result in zip(unknown, found, strict=True):
        results[index] = result
    if cache is not None and unknown:
        cache.prune()
    return [result for result in results if result is not None]


def without_doubles(files: Sequence[Named]) -> list[Named]:
    """The files without those that an earlier name leads to as well."""
    kept: dict[Path, Named] = {}
    for file in files:
        try:
            real = file.path.resolve()
        except (OSError, RuntimeError, ValueError):
            # A circle of links; the check says so.
            real = file.path
        kept.setdefault(real, file)
    return list(kept.values())


def check_one(file: Named, options: CheckOptions, cache: Cache | None = None) -> FileResult:
    """Check one file, and keep the result in `cache`. A fault of the linter itself is a result too."""
    try:
        return check_or_raise(file, options, cache)
    except Exception as error:
        return crashed(file.path, error)


def check_or_raise(file: Named, options: CheckOptions, cache: Cache | None = None) -> FileResult:
    """The same; a fault of the linter itself is raised."""
    from pettingllms.lint.engine import check_experiment

    report = check_experiment(
        file.path,
        options.overrides,
        facts=options.facts,
        text=file.text,
        overlays=options.overlays,
        drop_invalid=options.drop_invalid,
    )
    result = _result(file.path, report, changed=bool(options.overrides or options.overlays))
    if cache is not None and file.text is None:
        cache.store(file.path, result, report.draft)
    return result


def _cache(options: CheckOptions) -> Cache | None:
    if not options.cached:
        return None
    from pettingllms.lint.files.cache import open_cache

    return open_cache(options)


def _check_all(files: Sequence[Named], options: CheckOptions, cache: Cache | None) -> list[FileResult]:
    """Check `files` here, until the time that they take says that several processes pay."""
    results: list[FileResult] = []
    begin = time.perf_counter()
    for done, file in enumerate(files):
        if done == 1:
            # The first one also paid for the imports.
            begin = time.perf_counter()
        spent = (time.perf_counter() - begin) / max(done - 1, 1)
        workers = _workers(len(files) - done, done, spent, options)
        if workers > 1:
            from pettingllms.lint.files.workers import check_in_processes

            rest = files[done:]
            answers = check_in_processes(rest, options, cache, workers)
            return results + [
                answers[index] if index in answers else check_one(one, options, cache)
                for index, one in enumerate(rest)
            ]
        results.append(check_one(file, options, cache))
    return results


def _workers(left: int, done: int, seconds: float, options: CheckOptions) -> int:
    """How many processes check the `left` files, each of which takes `seconds`; 1 is this one alone."""
    if left < 2 or options.jobs == 1:
        return 1
    if options.jobs is not None:
        return min(options.jobs, left)
    # Asking for the cores, and how processes start, costs imports itself.
    if done < FEW or left * seconds / 2 < START_SECONDS["fork"]:
        return 1
    from pettingllms.lint.files.workers import start_method
    from pettingllms.process import usable_cores

    workers = min(usable_cores(), left)
    spared = left * seconds * (1 - SLOWER / workers)
    return workers if spared > START_SECONDS[start_method()] else 1


def _result(path: Path, report: Report, *, changed: bool) -> FileResult:
    """The report without what comments silence. `changed`: something lies on top of the file."""
    diagnostics, suppressed = report.diagnostics, 0
    texts = {} if report.draft is None else {str(one.path): one.text for one in report.draft.documents}
    # Cheaper than importing what reads such comments: few files have one.
    if report.draft is not None and any(_SILENT.search(text) for text in texts.values()):
        from pettingllms.lint.files.noqa import suppress
        from pettingllms.lint.placing import in_file_order
        from pettingllms.lint.rule import RULES

        # What depends on a machine or a model that is not at hand may be found elsewhere.
        dormant = [code for code in RULES if report.unchecked and code.startswith(RESOURCES)]
        reported = () if changed else (str(report.draft.path),)
        kept, unused = suppress(diagnostics, texts, reported=reported, dormant=dormant)
        suppressed = len(diagnostics) - len(kept)
        diagnostics = in_file_order(report.draft, [*kept, *unused])
    cells = report.cells
    counted = Counter(code for _, why in cells.impossible for code in {found.code for found in why})
    reasons = ", ".join(f"{code} in {count}" for code, count in sorted(counted.items()))
    return FileResult(
        path, diagnostics, report.unchecked, cells.checked, len(cells.impossible), reasons, suppressed
    )


def crashed(path: Path, error: Exception) -> FileResult:
    """The result of a file on which the linter itself failed: what happened and where."""
    import traceback

    from pettingllms.hiding import hidden

    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    words = " ".join(f"{type(error).__name__}: {error}".split())
    whole = "".join(traceback.format_exception(error)).rstrip()
    return FileResult(path, crash=hidden(f"{words}{where}"), traceback=hidden(whole))
