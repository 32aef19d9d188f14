"""One minute of mutated files through the command line, and what the fuzzer itself must do."""

import contextlib
import io
import random
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import fuzz, mutations

ROOT = Path(__file__).resolve().parents[2]


def test_a_minute_of_mutated_files_gives_no_traceback_and_no_hang():
    command = [sys.executable, "-m", "benchmarks.fuzz", "--minutes", "1", "--seed", "4"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "tracebacks 0, hangs 0, changed sources 0, lost values 0, misread values 0" in ended.stdout


def test_an_input_depends_on_seed_and_number_only():
    files = fuzz.corpus()
    inputs = [fuzz.make_input(number, 1, files)[1:] for number in range(50)]
    assert inputs == [fuzz.make_input(number, 1, files)[1:] for number in range(50)]
    assert inputs != [fuzz.make_input(number, 2, files)[1:] for number in range(50)]
    assert {suffix for suffix, _ in inputs} >= {".toml", ".yaml"}


@pytest.mark.parametrize(
    "mutation", dict.fromkeys(mutations.MUTATIONS), ids=lambda mutation: mutation.__name__
)
def test_a_mutation_takes_any_bytes(mutation):
    for number in range(200):
        data = random.Random(number).choice([b"", b"\n", b"a: 1\n", b"\xff\n\n", b"a = 1\n[b]\nc = 2"])
        assert isinstance(mutation(random.Random(number), data, b"x: 1\n"), bytes)


def raises(_words):
    raise ValueError("x")


def returns_an_unknown_code(_words):
    return 3


def never_ends(_words):
    while True:
        pass


def empties_its_source(words):
    Path(words[1]).write_bytes(b"")
    return 0


@pytest.mark.parametrize(
    ("behaviour", "failure"),
    [
        (raises, "tracebacks 1, hangs 0, changed sources 0, lost values 0"),
        (returns_an_unknown_code, "tracebacks 1, hangs 0, changed sources 0, lost values 0"),
        (never_ends, "tracebacks 0, hangs 1, changed sources 0, lost values 0"),
        (empties_its_source, "tracebacks 0, hangs 0, changed sources 1, lost values 0"),
    ],
)
def test_each_kind_of_failure_is_seen_counted_and_saved(behaviour, failure, monkeypatch, tmp_path):
    monkeypatch.setattr(fuzz, "VERBS", {"lint": lambda source, _: ["lint", source]})
    monkeypatch.setattr(fuzz, "NEIGHBOURS", {"rule": lambda *_: ["rule"]})
    monkeypatch.setattr(fuzz, "LIMIT", 0.2)
    monkeypatch.setattr(fuzz.app, "run", lambda words: behaviour(words) if words[0] == "lint" else 0)
    monkeypatch.setattr(fuzz.resource, "setrlimit", lambda *_: None)
    monkeypatch.setattr(fuzz.faulthandler, "dump_traceback_later", lambda *_, **__: None)
    monkeypatch.setattr(fuzz, "mutate", lambda _rng, data, _other: data or b"x")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = fuzz.main(["--only", "1", "--save", str(tmp_path / "saved")])
    assert code == 1
    assert failure in printed.getvalue()
    assert len(list((tmp_path / "saved").iterdir())) == 2
