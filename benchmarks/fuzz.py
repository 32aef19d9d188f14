"""Mutated real files through `convert`, `show`, `lint` and more: no traceback, no hang, nothing lost.

Each input runs in-process through every verb of `VERBS` and one of `NEIGHBOURS`; each `SAMPLE`th also runs
through the real command. A failure is an exception that the command line does not turn into a message, an
exit code other than 0, 1 or 2, more than `LIMIT` seconds of processor time, a source file that changed, a
conversion that succeeded with other values or cannot be proved, or YAML that OmegaConf reads as other values.

Usage: python -m benchmarks.fuzz [--minutes M] [--inputs N] [--seed S] [--save FOLDER] [--only NUMBER]
"""

import argparse
import contextlib
import faulthandler
import functools
import io
import math
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import yaml
from omegaconf._utils import get_yaml_loader

from benchmarks.mutations import lines_of, mutate
from pettingllms.cli import app
from pettingllms.documents.read import read_document
from pettingllms.documents.source import DocumentError

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("tests/data", "tests/cases", "experiments", "pettingllms/config")
LIMIT, STUCK, SAMPLE, FRAGMENT = 5, 60, 250, 36
MEMORY = 6 << 30
OVERRIDES = (
    "training.seed=3",
    "+a.b=[1,{c: d}]",
    "~env",
    "env=code",
    "lora_rank:=${x}",
    "a+=[",
    "++models={}",
    "=",
    "env.name='",
)
VERBS = {
    "convert": lambda source, target: ["convert", source, target, "--force"],
    "convert --check": lambda source, _: ["convert", source, "--check"],
    "show": lambda source, _: ["show", source],
    "show --resolved": lambda source, _: ["show", source, "--resolved"],
    "lint": lambda source, _: ["lint", source],
}
# One of these for each input, at random.
NEIGHBOURS = {
    "convert --semantics": lambda source, target: [
        "convert",
        source,
        target,
        "--force",
        "--semantics",
        "upstream",
    ],
    "show --json": lambda source, _: ["show", source, "--resolved", "--json"],
    "lint --format": lambda source, _: ["lint", source, "--format", "json"],
    "explain": lambda source, _: ["explain", source, "training"],
    "set": lambda source, _: ["set", source, "training.seed=3"],
    "diff": lambda source, target: ["diff", source, target],
    "lint of an includer": lambda source, _: ["lint", str(Path(source).with_name("includer.toml"))],
    "show of an includer": lambda source, _: [
        "show",
        str(Path(source).with_name("includer.toml")),
        "--resolved",
    ],
}
CHANGES_SOURCE = {"set"}
KINDS = {
    "traceback": "tracebacks",
    "hang": "hangs",
    "changed": "changed sources",
    "lost": "lost values",
    "misread": "misread values",
    "unproven": "unproven conversions",
}


class HangError(BaseException):
    """More than LIMIT seconds of processor time; no `except Exception` may swallow it."""


def corpus():
    """Suffix and bytes of every real file."""
    suffixes = (".toml", ".yaml", ".yml")
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*"))]
    return [(path.suffix, path.read_bytes()) for path in paths if path.suffix in suffixes and path.is_file()]


def make_input(number, seed, files):
    """The generator, suffix and bytes of input `number`; the same for the same seed and files."""
    rng = random.Random(f"{seed}:{number}")
    suffix, data = rng.choice(files)
    if rng.random() < (0.6 if len(data) < 6000 else 0.93):
        lines = lines_of(data)
        # Mostly from a line that opens something, so that the piece still makes sense.
        opening = [number for number, line in enumerate(lines) if line[:1].isalpha() or line[:1] in b"["]
        start = rng.choice(opening) if opening and rng.random() < 0.8 else rng.randrange(len(lines))
        data = b"".join(lines[start : start + rng.choice([1, 3, 8, 20, 40])])
    other = rng.choice(files)[1][: rng.choice([200, 1000, 3000])]
    data = mutate(rng, data, other)
    if rng.random() < 0.03:
        suffix = ".toml" if suffix != ".toml" else ".yaml"
    return rng, suffix, data


def workplace(folder):
    """The folder that inputs are written to, with what their `defaults` lists name beside it."""
    task = folder / "task"
    task.mkdir(parents=True)
    (folder / "ppo_trainer").mkdir()
    for fragment in (ROOT / "tests/data/upstream-configs/ppo_trainer").glob("*.yaml"):
        # The beginning is enough: each of these is an input of its own too.
        beginning = b"".join(lines_of(fragment.read_bytes())[:FRAGMENT])
        (folder / "ppo_trainer" / fragment.name).write_bytes(beginning)
    entry = '{ "../task@models.model_0.ppo_trainer_config" = "input" }'
    (task / "includer.toml").write_text(f'defaults = ["input", {entry}, "_self_"]\nlora_rank = 3\n')
    return task


class Sink(io.TextIOWrapper):
    """Where output goes: encoded as on a terminal, then forgotten."""

    def __init__(self):
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def forget(self):
        self.buffer.seek(0)
        self.buffer.truncate()


def watched(arguments, sink):
    """Run one command line in-process; return what went wrong, or None, and the exit code."""

    def expired(*_):
        raise HangError

    sink.forget()
    signal.signal(signal.SIGPROF, expired)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    try:
        with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
            code = app.run(arguments)
    except HangError:
        return ("hang", traceback.format_exc()), None
    except SystemExit as end:
        code = end.code or 0
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return ("traceback", traceback.format_exc()), None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if code in (0, 1, 2):
        return None, code
    return ("traceback", f"exit code {code}: {sink.buffer.getvalue()!r}"), code


def as_command(arguments):
    """Run one command line as a process of its own; return what went wrong, or None, and the exit code."""
    command = [sys.executable, "-m", "pettingllms", *arguments]
    try:
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=STUCK, check=False)
    except subprocess.TimeoutExpired as expired:
        return ("hang", str(expired)), None
    code, words = ended.returncode, ended.stderr.decode(errors="replace")
    if code in (0, 1, 2) and "Traceback (most recent call last)" not in words:
        return None, code
    return ("traceback", f"exit code {code}\n{words}"), code


def without_null_tables(value):
    if value == {"null": True}:
        return None
    if isinstance(value, dict):
        return {key: without_null_tables(item) for key, item in value.items()}
    return [without_null_tables(item) for item in value] if isinstance(value, list) else value


def equal(one, two):
    """Equal values of equal types; not-a-number equals itself."""
    if type(one) is not type(two):
        return False
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(equal(one[key], two[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(equal, one, two))
    return one == two or (isinstance(one, float) and math.isnan(one) and math.isnan(two))


def as_omegaconf_reads(path, text):
    """The data of a YAML text as OmegaConf reads it; None where it refuses."""
    if path.suffix == ".toml":
        return None
    try:
        data = yaml.load(text.removeprefix("\ufeff"), get_yaml_loader())
    except Exception:
        return None
    return {} if data is None else data


def lost_values(source, target):
    """What a conversion that succeeded did to the values, or None."""
    try:
        before, after = read_document(source), read_document(target)
    except DocumentError as error:
        return "lost", f"{error.finding.place}: {error}\n{target.read_bytes()!r}"
    told = (
        f"before: {before.data!r}\nafter:  {after.data!r}\n{source.read_bytes()!r}\n{target.read_bytes()!r}"
    )
    if not equal(without_null_tables(before.data), without_null_tables(after.data)):
        return "lost", told
    for document in (before, after):
        theirs = as_omegaconf_reads(document.path, document.text)
        if theirs is not None and not equal(document.data, theirs):
            return "misread", f"OmegaConf: {theirs!r}\n{told}"
    return None


class Record:
    """Counts, and the failures of each kind."""

    def __init__(self, save):
        self.save = save
        self.runs, self.clean, self.failures, self.seen = Counter(), Counter(), Counter(), Counter()

    def ran(self, verb, code):
        self.runs[verb] += 1
        self.clean[verb] += code == 0

    def failed(self, number, verb, suffix, data, kind, words):
        """Count a failure; keep the input of the first three that look alike."""
        self.failures[kind] += 1
        last = words.strip().splitlines()[-1][:80] if words.strip() else ""
        frames = [line for line in words.splitlines() if line.lstrip().startswith("File ")]
        alike = (kind, verb, frames[-1] if frames else "", last.split(":")[0])
        self.seen[alike] += 1
        if self.seen[alike] <= 3:
            self.save.mkdir(parents=True, exist_ok=True)
            name = f"{number:06d}-{''.join(c if c.isalnum() else '-' for c in verb)}"
            (self.save / f"{name}{suffix}").write_bytes(data)
            (self.save / f"{name}.txt").write_text(
                f"input {number}, {verb}: {kind}\n\n{words}", errors="replace"
            )
            print(f"input {number}, {verb}: {kind}: {last}", flush=True)


def one_input(number, options, files, task, sink, record):
    rng, suffix, data = make_input(number, options.seed, files)
    source = task / f"input{suffix}"
    target = task.parent / "out" / ("input.yaml" if suffix == ".toml" else "input.toml")
    target.parent.mkdir(exist_ok=True)
    for old in [*task.glob("input.*"), *target.parent.iterdir()]:
        old.unlink()
    source.write_bytes(data)
    neighbour = rng.choice(list(NEIGHBOURS))
    codes = {}
    for verb, arguments_of in [*VERBS.items(), (neighbour, NEIGHBOURS[neighbour])]:
        arguments = arguments_of(str(source), str(target))
        if verb in ("show", "show --resolved") and rng.random() < 0.2:
            words = bytes(rng.choice(OVERRIDES), "utf-8")
            arguments += ["-s", mutate(rng, words, b"x").decode(errors="replace").replace("\0", "")]
        failure, codes[verb] = watched(arguments, sink)
        if failure is None and verb == "convert" and codes[verb] == 0:
            failure = lost_values(source, target)
        if failure is None and verb == "convert --check" and codes[verb] != codes["convert"]:
            failure = (
                "unproven",
                f"convert {codes['convert']}, --check {codes[verb]}: {sink.buffer.getvalue()!r}",
            )
        if failure is None and verb not in CHANGES_SOURCE and source.read_bytes() != data:
            failure = "changed", f"{arguments} changed its source"
        record.ran(verb, codes[verb])
        if failure is not None:
            record.failed(number, verb, suffix, data, *failure)
        source.write_bytes(data)
    if number % SAMPLE == 0:
        verb = rng.choice(list(VERBS))
        failure, code = as_command(VERBS[verb](str(source), str(target)))
        record.ran("commands", code)
        if failure is not None:
            record.failed(number, f"command {verb}", suffix, data, *failure)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--inputs", type=int, default=sys.maxsize, help="stop after so many inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--save", type=Path, help="folder for the inputs that failed; a temporary one by default"
    )
    parser.add_argument("--only", type=int, help="run this one input")
    options = parser.parse_args(arguments)
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    files = corpus()
    record = Record(options.save or Path(tempfile.mkdtemp(prefix="fuzz-")))
    numbers = range(options.inputs) if options.only is None else [options.only]
    end, done = time.monotonic() + 60 * options.minutes, 0
    # Building a command's arguments anew for each call would take longer than many a call.
    built_once = patch.object(app, "_command", functools.cache(app._command))
    with tempfile.TemporaryDirectory() as folder, built_once:
        task, sink = workplace(Path(folder)), Sink()
        for number in numbers:
            if time.monotonic() > end:
                break
            # Where even a signal is not handled, the stacks are written and the process ends.
            faulthandler.dump_traceback_later(STUCK, exit=True)
            one_input(number, options, files, task, sink, record)
            done += 1
        faulthandler.cancel_dump_traceback_later()
    print(f"{done} inputs from {len(files)} files, seed {options.seed}")
    print("runs, and how many of them ended with 0:")
    print(", ".join(f"{verb} {count} ({record.clean[verb]})" for verb, count in record.runs.items()))
    print(", ".join(f"{plural} {record.failures[kind]}" for kind, plural in KINDS.items()))
    if record.failures:
        print(f"inputs that failed: {record.save}")
    return 1 if record.failures else 0


if __name__ == "__main__":
    sys.exit(main())
