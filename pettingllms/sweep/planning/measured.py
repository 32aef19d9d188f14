"""What finished runs took: read from their folders, so that others can be estimated by them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

from pettingllms.config.experiment import ExperimentConfig
from pettingllms.config.homes import plan_policies
from pettingllms.config.trial_file import read_trial
from pettingllms.documents.source import DocumentError
from pettingllms.errors import PettingLLMsError, UsageError
from pettingllms.runs.checkpoints import TRIAL
from pettingllms.runs.manifest import MANIFEST, read_manifest
from pettingllms.runs.named import is_run
from pettingllms.runs.records import EVENTS, METRICS, SAMPLES, last_event
from pettingllms.sweep.follow import JsonLines, numbers
from pettingllms.sweep.planning.workload import Length, Workload, workload

NEWEST = 32
"""Runs that are read, the newest ones."""
EPISODES = 256
"""Episodes of a run whose prompts are looked at."""
SPLITS = ("val", "test")


@dataclass(frozen=True, slots=True)
class Kind:
    """What two runs must have in common for the times of one to say something about the other."""

    device: str
    engines: frozenset[str]
    specialization: str
    processes: int

    def __str__(self) -> str:
        engines = " and ".join(sorted(self.engines))
        many = f", {self.processes} processes" if self.processes > 1 else ""
        return f"{self.specialization} on {self.device} with {engines}{many}"


@dataclass(frozen=True, slots=True)
class Measured:
    """One finished run. Times are seconds.

    `rollout`, `update`, `rest`: of a step, where `rest` is all but the other two. `held_out`: of one play of
    one held-out task, by split. `start`: of everything outside of steps and held-out plays, None where that
    is not known. `lengths`: by agent. `tokens`: sampled in a step. `sample_bytes`: of the records of all
    samples. `tasks`: held-out ones by split.
    """

    folder: Path
    config: ExperimentConfig
    kind: Kind
    work: Workload
    lengths: Mapping[str, Length]
    tokens: float
    rollout: float
    update: float
    rest: float
    held_out: Mapping[str, float]
    start: float | None
    seconds: float
    sample_bytes: int
    tasks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The runs that estimates are made by, and what became of the others: a reason for each folder."""

    runs: tuple[Measured, ...] = ()
    left_out: tuple[tuple[Path, str], ...] = ()
    looked: str = ""


def kind_of(config: ExperimentConfig) -> Kind:
    """The kind of a run of `config`."""
    plans = plan_policies(config).values()
    trained = {plan.specialization for plan in plans}
    return Kind(
        config.training.device,
        frozenset(plan.rollout.name for plan in plans),
        " and ".join(sorted(trained)),
        config.launch.num_processes,
    )


def named_runs(places: Sequence[Path]) -> Calibration:
    """The runs that `places` name: run folders, and folders with runs in them, such as a study's.

    Raises UsageError for a place without any run.
    """
    found: list[Path] = []
    for place in places:
        inside = [place] if is_run(place) else list(_runs_below(place))
        if not inside:
            raise UsageError(
                f"--from {place}: there is no run", help="name a run folder, or the folder of a study"
            )
        found += inside
    return _calibration(found, ", ".join(map(str, places)))


def own_runs(source: Path, output: Path) -> Calibration:
    """The runs below `output` that were started from the file `source`."""
    wanted = str(source.absolute())
    found = [folder for folder in _runs_below(output) if read_manifest(folder).get("source") == wanted]
    return _calibration(found, f"runs of {source} below {output}")


def _runs_below(place: Path) -> Iterator[Path]:
    for depth in ("*", "*/*"):
        yield from filter(is_run, (file.parent for file in place.glob(f"{depth}/{TRIAL}")))


def _calibration(folders: Iterable[Path], looked: str) -> Calibration:
    newest = sorted(dict.fromkeys(folders), key=_age)[:NEWEST]
    runs, left_out = [], []
    for folder in newest:
        found = _measured(folder)
        if isinstance(found, Measured):
            runs.append(found)
        else:
            left_out.append((folder, found))
    return Calibration(tuple(runs), tuple(left_out), looked)


def _age(folder: Path) -> tuple[float, str]:
    """What puts newer runs first."""
    try:
        return -(folder / MANIFEST).stat().st_mtime, str(folder)
    except OSError:
        return 0.0, str(folder)


def _measured(folder: Path) -> Measured | str:
    """What the run in `folder` took, or why it says nothing."""
    if last_event(folder) != "finished":
        return "it has not finished"
    try:
        config = read_trial(folder / TRIAL)
    except (PettingLLMsError, DocumentError, OSError) as error:
        return f"its {TRIAL} cannot be read: {str(error).splitlines()[0]}"
    if config.specialization == "prompt":
        return "it searched for prompts, which has other steps"
    records = [numbers(record) for record in JsonLines(folder / METRICS).read()]
    steps = [record for record in records if {"time/step", "time/rollout", "train/tokens"} <= record.keys()]
    if not steps:
        return "it has no whole step"
    return _summed(folder, config, records, steps)


def _summed(
    folder: Path,
    config: ExperimentConfig,
    records: Sequence[Mapping[str, float]],
    steps: Sequence[Mapping[str, float]],
) -> Measured:
    manifest = read_manifest(folder)
    data = manifest.get("data", {})
    tasks = {split: data[split]["tasks"] for split in SPLITS if isinstance(data.get(split), dict)}
    work = workload(config)
    work = replace(work, held_out={**work.held_out, **tasks})
    rollout, update = _mean(steps, "time/rollout"), _mean(steps, "time/train")
    spent = sum(record.get(key, 0.0) for record in records for key in ("time/step", "time/val", "time/test"))
    seconds, once = _whole(folder, manifest)
    held_out = {}
    for split, count in tasks.items():
        times = [record[f"time/{split}"] for record in records if f"time/{split}" in record]
        if times and count:
            held_out[split] = fmean(times) / (count * work.repeats)
    return Measured(
        folder,
        config,
        kind_of(config),
        work,
        _lengths(folder, work, steps),
        _mean(steps, "train/tokens"),
        rollout,
        update,
        _mean(steps, "time/step") - rollout - update,
        held_out,
        max(seconds - spent, 0.0) if once else None,
        seconds,
        sum(file.stat().st_size for file in (folder / SAMPLES).glob("*.jsonl")),
        tasks,
    )


def _whole(folder: Path, manifest: Mapping[str, Any]) -> tuple[float, bool]:
    """Seconds from the making of the folder to the last word, and whether it ran in one piece."""
    events = JsonLines(folder / EVENTS).read()
    begun = [event["time"] for event in events if event.get("event") == "started"]
    try:
        first = datetime.fromisoformat(str(manifest.get("started"))).timestamp()
    except ValueError:
        first = begun[0]
    return float(events[-1]["time"]) - min(first, begun[0]), len(begun) == 1


def _lengths(folder: Path, work: Workload, steps: Sequence[Mapping[str, float]]) -> dict[str, Length]:
    """Mean lengths by agent: of answers from the records, of prompts from the newest samples."""
    prompts: dict[str, list[int]] = {}
    files = sorted((folder / SAMPLES).glob("train-*.jsonl"))
    for episode in _episodes(files[-1]) if files else ():
        for turn in episode.get("turns", ()):
            prompts.setdefault(str(turn.get("agent")), []).append(len(turn.get("prompt_ids", ())))
    found = {}
    for agent, limit in work.limits.items():
        key = f"train/response_length/{agent}"
        said = [step[key] for step in steps if key in step]
        cut = [step.get(f"train/truncated/{agent}", 0.0) for step in steps]
        read = prompts.get(agent)
        found[agent] = Length(
            fmean(read) if read else limit.prompt, fmean(said) if said else limit.response, fmean(cut)
        )
    return found


def _episodes(file: Path) -> Iterator[dict[str, Any]]:
    with file.open("rb") as lines:
        for line in islice(lines, EPISODES):
            try:
                episode = json.loads(line)
            except ValueError:
                continue
            if isinstance(episode, dict):
                yield episode


def _mean(records: Sequence[Mapping[str, float]], key: str) -> float:
    return fmean(record.get(key, 0.0) for record in records)
