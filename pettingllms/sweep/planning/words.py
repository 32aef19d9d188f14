"""Estimates in words: short ones for a table, and the sums behind them with their numbers put in."""

from __future__ import annotations

from collections.abc import Mapping

from pettingllms.hiding import hidden
from pettingllms.lint.sizes import size_in_words
from pettingllms.sweep.planning.estimate import Estimate
from pettingllms.sweep.planning.launch import Launch
from pettingllms.sweep.planning.sizes import Memory
from pettingllms.sweep.planning.workload import Length, Workload

FORMULAS: Mapping[str, str] = {
    "tokens": "steps x tasks x candidates x sum over turns of completions x response length, and for each "
    "held-out play the sum over turns once; at most: with max_response_length and all refills of dapo",
    "seconds": "start + steps x (rollout x sampled / its sampled + update x trained / its trained + rest) + "
    "held-out plays x seconds of one x held-out tokens / its held-out tokens, of the most similar finished "
    "run; tokens count times the weights of their model",
    "memory": "what is kept + what one update needs; on a GPU whose engine sleeps, the larger of what is "
    "kept with the engine and what an update needs without it",
    "disk": "checkpoints x (keep_checkpoints + the best + the one being written, or as many as are written) "
    "+ 4 bytes of each trained weight for the engine + records of samples",
    "total": "trials in their order, --jobs at a time; a trial begins while the budget is not used up by "
    "trials that have ended",
}
"""How the figures come about, as docs/sweeps.md explains it."""
UNKNOWN = "?"


def count_in_words(count: float) -> str:
    """`950`, `12.3 k`, `4.56 M`, `7.89 G`."""
    for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g} {name}"
    return f"{count:.0f}"


def time_in_words(seconds: float) -> str:
    """`42 s`, `12 min`, `3.4 h`, `5.1 d`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} d"


def size_or_unknown(count: int | None) -> str:
    """A size, or that it is not known."""
    return UNKNOWN if count is None else size_in_words(count)


def columns(found: Estimate) -> list[str]:
    """Tokens, time, memory and disk of one run, for a table."""
    tokens = found.tokens
    most = UNKNOWN if found.most_tokens is None else f"≤ {count_in_words(found.most_tokens)}"
    return [
        most if tokens is None else count_in_words(tokens),
        UNKNOWN if found.seconds is None else time_in_words(found.seconds),
        size_or_unknown(found.memory.peak),
        size_or_unknown(found.disk.peak),
    ]


def explained(found: Estimate) -> list[str]:
    """The sums of one estimate, a line for each."""
    return [
        f"tokens  {_tokens(found)}",
        f"time    {_time(found)}",
        f"memory  {_memory(found.memory)}",
        f"disk    {_disk(found)}",
    ]


def launch_in_words(launch: Launch) -> list[str]:
    """Command, variables and seats of a run."""
    variables = " ".join(f"{name}={value}" for name, value in launch.environment.items())
    return [f"command      {' '.join(launch.argv)}", f"environment  {variables}", *map(str, launch.seats)]


def _tokens(found: Estimate) -> str:
    if found.work is None:
        return f"{UNKNOWN}: {found.why_not}"
    told = found.told
    work, lengths = (told.work, told.lengths) if told else (found.work, found.work.limits)
    refills = f"{work.refills} batches x " if told is None and work.refills > 1 else ""
    step = f"{refills}{work.steps} steps x {work.tasks} tasks x {work.candidates} candidates x "
    plays = ", ".join(f"{count} of {split}" for split, count in work.held_out_plays.items())
    missing = [split for split in ("val", "test") if split not in work.held_out]
    held_out = f" + held-out plays ({plays}) x the same" if plays else ""
    unknown = f"; not counted: {' and '.join(missing)}, whose tasks are not known" if missing else ""
    total = found.most_tokens if told is None else found.tokens
    sign, source = ("≤", "limits") if told is None else ("=", "means of finished runs")
    return (
        f"{step}({_lengths(work, lengths)}){held_out} {sign} {count_in_words(total or 0)} ({source}){unknown}"
    )


def _lengths(work: Workload, lengths: Mapping[str, Length]) -> str:
    parts = []
    for speaker in dict.fromkeys(work.turns):
        times = work.turns.count(speaker) * speaker.completions
        many = f"{times} x " if times > 1 else ""
        parts.append(f"{many}{lengths[speaker.agent].response:.3g} {speaker.agent}")
    return " + ".join(parts)


def _time(found: Estimate) -> str:
    told = found.told
    if told is None:
        return f"{UNKNOWN}: {found.why_not}"
    parts, steps = told.parts, told.work.steps
    start = "start not known" if parts.start is None else f"start {parts.start:.1f} s"
    each = ", ".join(
        f"{name} {value / steps:.1f} s"
        for name, value in (("rollout", parts.rollout), ("update", parts.update), ("rest", parts.rest))
    )
    spread = f" ({time_in_words(told.least)} to {time_in_words(told.most)})" if len(told.by) > 1 else ""
    by = ", ".join(str(run.folder) for run in told.by)
    total = f"{time_in_words(told.seconds)}{spread}"
    return f"{start} + {steps} steps x ({each}) + held-out plays {parts.held_out:.1f} s = {total}; by {by}"


def _memory(memory: Memory) -> str:
    if memory.unknown is not None:
        return f"{UNKNOWN}: {hidden(memory.unknown)}"
    kept = " + ".join(f"{name} {size_in_words(size)}" for name, size in memory.kept.items()) or "nothing"
    update = " + ".join(f"{name} {size_in_words(size)}" for name, size in memory.update.items() if size)
    asleep = f", less {size_in_words(memory.sleeps)} of the engine, which sleeps" if memory.sleeps else ""
    later = f"; in an update + {update}{asleep}" if update else ""
    return f"{memory.where}: {kept}{later}; peak {size_or_unknown(memory.peak)}"


def _disk(found: Estimate) -> str:
    disk = found.disk
    if disk.unknown is not None:
        return f"{UNKNOWN}: {hidden(disk.unknown)}"
    samples = (
        "records of samples not known" if disk.samples is None else f"samples {size_in_words(disk.samples)}"
    )
    checkpoints = f"{disk.count} checkpoints x {size_in_words(disk.checkpoint)}"
    total = size_or_unknown(disk.peak)
    return f"{checkpoints} + engine's copy {size_in_words(disk.adapters)} + {samples} = {total} at most"
