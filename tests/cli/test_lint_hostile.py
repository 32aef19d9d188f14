"""Input and options that must neither hang, nor be waved through, nor end in a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pettingllms.cli.app import run

QUICKSTART = Path(__file__).resolve().parents[2] / "experiments" / "quickstart.toml"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipe_without_writer_is_refused_at_once(tmp_path, capsys):
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    assert run(["lint", str(pipe)]) == 2
    assert "no regular file" in capsys.readouterr().out


def test_unknown_code_in_select_or_ignore_is_a_usage_error(capsys):
    for option in ("--select", "--ignore"):
        assert run(["lint", option, "PLM1,NOPE", str(QUICKSTART)]) == 2
        assert "no rule's code starts with NOPE" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
@pytest.mark.parametrize("words", [["schema"], ["show", "--resolved", str(QUICKSTART)]])
def test_full_output_is_one_line(words):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pettingllms", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("error: the output cannot be written")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("override", "code", "words"),
    [
        ("base_models.policy_0.path=", "PLM204", "path is empty"),
        (f"base_models.policy_0.path={QUICKSTART}", "PLM205", "is a file, not a model folder"),
        ("base_models.policy_0.name=", "PLM006", "base_models.policy_0.name"),
    ],
)
def test_empty_and_wrong_models_are_found(override, code, words, capsys):
    assert run(["lint", str(QUICKSTART), "-s", override]) == 1
    text = capsys.readouterr().out
    assert code in text and words in text


def test_fault_found_twice_names_no_cells(tmp_path, capsys):
    path = tmp_path / "types.toml"
    path.write_text(
        'training=[1,2]\nenv=3\nmodels="x"\nbase_models=[]\nagent_policy_configs={agent_configs=[1]}\n'
    )
    assert run(["lint", str(path)]) == 1
    assert "cells" not in capsys.readouterr().out


def test_many_unknown_keys_are_all_reported(tmp_path, capsys):
    path = tmp_path / "many.toml"
    path.write_text("format = 1\nlora_rank = 8\n" + "".join(f"unknown_{n} = {n}\n" for n in range(5000)))
    assert run(["lint", "--format", "concise", str(path)]) == 1
    assert capsys.readouterr().out.count("PLM003") == 5000
