"""`convert`: files, folders and streams; nothing overwritten, half written, or skipped silently."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pettingllms.cli.app import run

YAML = "a: 1  # one\nt:\n  b: ${a}\nk: ~\n"
TOML = 'a = 1  # one\nk = { null = true }\n\n[t]\nb = "${a}"\n'


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text(YAML)
    return tmp_path


def files():
    return sorted(str(path) for path in Path().rglob("*") if path.is_file())


def test_result_is_alone_on_standard_output(here, capsysbinary):
    assert run(["convert", "x.yaml"]) == 0
    printed = capsysbinary.readouterr()
    assert printed.out.decode() == TOML
    assert printed.err == b""
    assert files() == ["x.yaml"]


def test_suffix_of_the_target_says_the_format(here):
    assert run(["convert", "x.yaml", "y.toml"]) == 0
    assert Path("y.toml").read_text() == TOML
    assert run(["convert", "y.toml", "z.yml"]) == 0
    assert Path("z.yml").read_text() == "a: 1  # one\nk: null\nt:\n  b: ${a}\n"
    Path("d").mkdir()
    assert run(["convert", "x.yaml", "d"]) == 0
    assert Path("d/x.toml").read_text() == TOML


def test_line_ends_and_byte_order_mark_reach_the_file_and_the_stream(here, capsysbinary):
    Path("w.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert run(["convert", "w.yaml", "w.toml"]) == 0
    assert Path("w.toml").read_bytes() == b"\xef\xbb\xbfa = 1\r\nb = 2\r\n"
    assert run(["convert", "w.yaml"]) == 0
    assert capsysbinary.readouterr().out == b"\xef\xbb\xbfa = 1\r\nb = 2\r\n"


def test_existing_file_is_replaced_only_with_force(here, capsys):
    Path("y.toml").write_text("mine = 1\n")
    Path("y.toml").chmod(0o640)
    assert run(["convert", "x.yaml", "y.toml"]) == 1
    assert "--force" in capsys.readouterr().err
    assert Path("y.toml").read_text() == "mine = 1\n"
    assert run(["convert", "x.yaml", "y.toml", "--force"]) == 0
    assert Path("y.toml").read_text() == TOML
    assert Path("y.toml").stat().st_mode & 0o777 == 0o640


def test_source_is_never_the_target(here, capsys):
    Path("link.toml").symlink_to("x.yaml")
    assert run(["convert", "x.yaml", "link.toml", "--force"]) == 2
    assert "onto itself" in capsys.readouterr().err
    assert run(["convert", ".", ".", "--force"]) == 2
    assert Path("x.yaml").read_text() == YAML


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["x.yaml", "y.conf"], "does not say its format"),
        (["x.yaml", "y.toml", "--to", "yaml"], "--to says yaml"),
        (["x.yaml", "y.yaml"], "is YAML already"),
        (["-"], "stdin does not say its format"),
        (["missing.yaml"], "no such file"),
        (["."], "is a folder"),
        ([".", "x.yaml"], "is a file"),
        (["x.yaml", "none/y.toml"], "no folder none"),
        (["x.yaml", "--to", "json"], "json"),
    ],
)
def test_wrong_call_says_what_is_wrong(words, said, here, capsys):
    assert run(["convert", *words]) == 2
    assert said in capsys.readouterr().err
    assert files() == ["x.yaml"]


def test_standard_input_needs_only_the_format(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(YAML.encode())))
    assert run(["convert", "-", "--to", "toml"]) == 0
    assert capsys.readouterr().out == TOML


def test_refused_file_is_shown_with_its_place_and_nothing_is_written(here, capsys):
    Path("d.toml").write_text("name = 1\nday = 2024-10-15\n")
    assert run(["convert", "d.toml", "d.yaml"]) == 1
    said = capsys.readouterr().err
    assert "day is a date" in said and "d.toml:2:7" in said and "in quotes" in said
    Path("twice.yaml").write_text("a: 1\na: 2\n")
    assert run(["convert", "twice.yaml"]) == 1
    assert "first on line 1" in capsys.readouterr().err
    assert files() == ["d.toml", "twice.yaml", "x.yaml"]


def test_check_prints_the_ledger_and_writes_nothing(here, capsys):
    assert run(["convert", "x.yaml", "--check"]) == 0
    assert capsys.readouterr().out == (
        "x.yaml → TOML\n"
        "  kept: 3 values (1 null, 1 with references), 1 comments\n"
        "  normalised: 1\n"
        "    x.yaml:4: the key k moves above the table t\n"
        "  refused: 0\n"
        "  there and back: the same values and comments, the second conversion byte for byte\n"
    )
    Path("d.toml").write_text("day = 2024-10-15\n")
    assert run(["convert", "d.toml", "--check"]) == 1
    assert "refused: 1\n    d.toml:1: day is a date" in capsys.readouterr().out
    assert files() == ["d.toml", "x.yaml"]


def test_folder_is_converted_with_its_folders_and_counted_aloud(here, caplog, capsys):
    for name, text in {
        "in/a.yaml": YAML,
        "in/d/b.yml": "b: 1\n",
        "in/bad.yaml": "a: [",
        "in/LICENSE": "free",
    }.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    with caplog.at_level("INFO", "pettingllms"):
        assert run(["convert", "in", "out"]) == 1
    assert Path("out/a.toml").read_text() == TOML
    assert Path("out/d/b.toml").read_text() == "b = 1\n"
    assert sorted(str(path) for path in Path("out").rglob("*.*")) == ["out/a.toml", "out/d/b.toml"]
    assert "in/bad.yaml:1" in capsys.readouterr().err
    assert caplog.messages[-1] == "in: 2 of 3 converted, 1 refused, 1 other file left alone"
    assert run(["convert", "out", "back", "--to", "yaml"]) == 0
    assert Path("back/d/b.yaml").read_text() == "b: 1\n"


def test_two_files_that_would_become_one_are_not_merged(here, capsys):
    Path("in").mkdir()
    Path("in/a.yaml").write_text("x: 1\n")
    Path("in/a.yml").write_text("x: 2\n")
    assert run(["convert", "in", "out"]) == 1
    assert "in/a.yaml becomes out/a.toml already" in capsys.readouterr().err
    assert Path("out/a.toml").read_text() == "x = 1\n"


def test_folder_is_proved_as_a_whole(here, capsys):
    assert run(["convert", ".", "--check"]) == 0
    assert capsys.readouterr().out.count("there and back: the same") == 1


def test_target_inside_of_the_source_is_not_converted_again(here):
    assert run(["convert", ".", "out"]) == 0
    assert run(["convert", ".", "out", "--force"]) == 0
    assert files() == ["out/x.toml", "x.yaml"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_full_output_leaves_everything_as_it_was(here):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pettingllms", "convert", "x.yaml"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert Path("x.yaml").read_text() == YAML


def test_failing_disk_leaves_no_half_file(here, monkeypatch, capsys):
    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert run(["convert", "x.yaml", "y.toml"]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert files() == ["x.yaml"]
    assert Path("x.yaml").read_text() == YAML


def test_notes_say_where_the_original_code_differs(here, caplog):
    Path("e.yaml").write_text("env:\n  name: math_env\n  max_turns: 4\n  resolve: true\n")
    with caplog.at_level("INFO", "pettingllms"):
        assert run(["convert", "e.yaml", "e.toml"]) == 0
    note = "in the original code it counts rounds of turn_order; here turns of one agent"
    assert caplog.messages == ["e.toml written", f"e.yaml:3: env.max_turns: {note}"]
    assert run(["convert", "e.yaml", "u.toml", "--semantics", "upstream"]) == 0
    assert 'turn_unit = "round"' in Path("u.toml").read_text()
    assert "turn_unit" not in Path("e.toml").read_text()


def test_an_include_that_leads_nowhere_from_the_new_folder_is_said(tmp_path, caplog):
    caplog.set_level("INFO", "pettingllms")
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "base.yaml").write_text("x: 1\n")
    (tmp_path / "a/m.yaml").write_text("defaults: [../base, b/n]\n")
    (tmp_path / "a/b/n.yaml").write_text("y: 1\n")
    assert run(["convert", str(tmp_path / "a"), str(tmp_path / "out/deep")]) == 0
    said = [record.getMessage() for record in caplog.records if "leads nowhere" in record.getMessage()]
    assert len(said) == 1
    assert "../base leads nowhere" in said[0]
