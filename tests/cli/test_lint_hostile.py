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


CLEAN = (Path(__file__).parents[1] / "cases/valid/two_agents.toml").read_text()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with two good files, which is the current one."""
    monkeypatch.setenv("PETTINGLLMS_CACHE_DIR", str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    for name in ("a.toml", "z.toml"):
        (work / name).write_text(CLEAN.replace("max_turns = 4", "max_turns = 3"))
    return work


@pytest.mark.parametrize("options", [["--jobs", "1"], ["--jobs", "2"], []])
def test_what_cannot_be_read_spares_the_files_around_it(folder, options, capsys):
    (folder / "broken.toml").symlink_to(folder / "nowhere.toml")
    (folder / "circle.toml").symlink_to(folder / "circle.toml")
    (folder / "binary.toml").write_bytes(b"format = 1\n\xff\xfe\x00")
    (folder / "deep.toml").write_text("format = 1\nx = " + "[" * 50_000)
    (folder / "long.toml").write_text("format = 1\nx = '" + "y" * 5_000_000 + "'\n")
    files = ["a", "broken", "circle", "binary", "deep", "long", "z"]
    names = [f"{name}.toml" for name in files]
    assert run(["lint", "--format", "concise", *options, *names]) == 2
    shown = capsys.readouterr()
    for name in names:
        assert f"{name}:" in shown.out
    assert shown.out.count("[PLM105]") == 2
    assert "Traceback" not in shown.out + shown.err
    assert run(["lint", "--format", "concise", *options, "."]) == 2
    assert capsys.readouterr().out.count("[PLM105]") == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_that_takes_the_place_of_a_known_file_does_not_hang(folder, capsys):
    file = folder / "a.toml"
    assert run(["lint", str(file)]) == 1
    file.unlink()
    os.mkfifo(file)
    assert run(["lint", str(file), str(folder / "z.toml")]) == 2
    shown = capsys.readouterr().out
    assert "no regular file" in shown and "z.toml" in shown


def test_a_file_that_disappears_meanwhile_is_unreadable(folder, monkeypatch, capsys):
    from pettingllms.cli import lint_run

    whole = lint_run.check_files

    def check(files, options):
        (folder / "a.toml").unlink()
        return whole(files, options)

    monkeypatch.setattr(lint_run, "check_files", check)
    assert run(["lint", "--format", "concise", "."]) == 2
    shown = capsys.readouterr().out
    assert "a.toml:1:1: error[PLM002] no such file" in shown
    assert "z.toml" in shown


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_listed_is_said(folder, capsys):
    locked = folder / "locked"
    locked.mkdir()
    locked.chmod(0)
    try:
        assert run(["lint", "."]) == 2
    finally:
        locked.chmod(0o700)
    assert "PLM105" in capsys.readouterr().out


def test_a_folder_whose_listing_fails_is_said(folder, monkeypatch, capsys, caplog):
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    (folder / "locked").mkdir()
    monkeypatch.setattr(os, "scandir", refuse)
    with caplog.at_level("INFO", "pettingllms"):
        assert run(["lint", "--exit-zero", "."]) == 2
    assert "error: locked: this folder cannot be listed: Permission denied" in caplog.text.replace("./", "")
    assert "PLM105" in capsys.readouterr().out


def test_odd_names_are_files_too(folder, capsys):
    names = ["new\nline.toml", "-x.toml", "sp ace.toml", "ü.toml", os.fsdecode(b"\xff.toml")]
    for name in names:
        (folder / name).write_text(CLEAN.replace("max_turns = 4", "max_turns = 3"))
    for _ in range(2):
        assert run(["lint", "--format", "json", "."]) == 1
    assert capsys.readouterr().out.count("PLM105") == 2 * (len(names) + 2)


def test_many_files_are_checked_in_bounded_time(folder, capsys):
    for number in range(300):
        (folder / f"e{number}.toml").write_text("format = 1\n" + "seed = 1\n" * (number % 7))
    assert run(["lint", "--statistics", "."]) == 1
    assert "PLM004" in capsys.readouterr().out


def test_many_unknown_keys_are_all_reported(tmp_path, capsys):
    path = tmp_path / "many.toml"
    path.write_text("format = 1\nlora_rank = 8\n" + "".join(f"unknown_{n} = {n}\n" for n in range(5000)))
    assert run(["lint", "--format", "concise", str(path)]) == 1
    assert capsys.readouterr().out.count("PLM003") == 5000
