"""`pettingllms import`: arguments in, text and exit code out."""

import io
import shutil
import tomllib
from pathlib import Path

import pytest

from pettingllms.cli import app

DATA = Path(__file__).parents[1] / "data/foreign"
PRESET = "math_L3_model"


def stdin(monkeypatch, content):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))


def test_the_result_goes_to_stdout_and_the_talk_to_stderr(capsys):
    assert app.run(["import", str(DATA / "math_lora.sh")]) == 1
    shown = capsys.readouterr()
    assert shown.out == (DATA / "math_lora.toml").read_text()
    assert "math_lora.sh:25: left out: ~training.resample_freq" in shown.err
    assert "math_lora.sh:29: note: overrides given to the script" in shown.err


def test_a_source_that_is_taken_whole_ends_with_0(tmp_path, capsys):
    target = tmp_path / "new.toml"
    assert app.run(["import", str(DATA / "documented.sh"), str(target)]) == 0
    assert target.read_text() == (DATA / "documented.toml").read_text()
    assert capsys.readouterr().out == ""


def test_an_existing_file_is_replaced_only_with_force(tmp_path, capsys):
    target = tmp_path / "new.toml"
    target.write_text("mine")
    assert app.run(["import", str(DATA / "documented.sh"), str(target)]) == 1
    assert "--force" in capsys.readouterr().err
    assert target.read_text() == "mine"
    assert app.run(["import", str(DATA / "documented.sh"), str(target), "--force"]) == 0
    assert target.read_text() == (DATA / "documented.toml").read_text()


def test_a_command_line_is_given_as_text(tmp_path, capsys):
    command = "python -m pettingllms.trainer.train --config-name math_L3_model training.seed=3"
    assert app.run(["import", "--command", command]) == 0
    data = tomllib.loads(capsys.readouterr().out)
    assert (data["defaults"], data["training"]) == ([PRESET, "_self_"], {"seed": 3})
    assert app.run(["import", "--command", command, str(tmp_path / "a.toml")]) == 0
    assert tomllib.loads((tmp_path / "a.toml").read_text()) == data


def test_a_script_is_read_from_stdin(monkeypatch, capsys):
    stdin(monkeypatch, (DATA / "documented.sh").read_bytes())
    assert app.run(["import", "-"]) == 0
    assert tomllib.loads(capsys.readouterr().out)["resource"] == {"n_gpus_per_node": 4}


def test_faults_of_the_result_are_notes_and_the_file_is_written(tmp_path, capsys):
    target = tmp_path / "new.toml"
    command = "python train.py training.resample_frq=3"
    assert app.run(["import", "--command", command, str(target)]) == 0
    shown = capsys.readouterr().err
    assert "note: PLM003 [training] has no key resample_frq" in shown
    assert "did you mean training.resample_freq?" in shown
    assert tomllib.loads(target.read_text())["training"] == {"resample_frq": 3}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "no source is named"),
        (["missing.sh"], 2, "no such file"),
        (["."], 2, "folder"),
        ([str(DATA / "documented.sh"), "new.yaml"], 2, "no .toml file"),
        ([str(DATA / "documented.toml")], 1, "TOML already"),
        ([str(DATA / "documented.sh"), "--line", "9"], 1, "no command at line 9"),
        (["--command", "python train.py 'a.b=1"], 1, "<command>:1: a single quote is not closed"),
        (["--command", "ls"], 1, "no command starts training"),
        (["a.toml", "b.toml", "--command", "x"], 2, "takes the place of SRC"),
        ([str(DATA / "documented.sh"), "no/such/folder/a.toml"], 2, "no folder"),
    ],
)
def test_wrong_use_is_a_message(arguments, code, message, capsys):
    assert app.run(["import", *arguments]) == code
    shown = capsys.readouterr()
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


HOSTILE = [
    b"",
    b"\x00\x01\x02",
    b"\xff\xfe\x00a",
    b"python train.py a.b=\x00",
    b"python train.py 'a\x1b[31m.b=1' c.d=2\n",
    b"python train.py " + b"a.b=[" * 3000,
    b"python train.py " + b"${A:-" * 3000,
    b"A=(" * 3000,
    b"python train.py a.b=$((9**9**9))",
    b"python train.py a.b=$((" + b"(" * 5000 + b"1",
    b"python train.py hydra.sweeper.n_trials=x -m a.b=range(0,1e9,1e-9)",
    b"python train.py a.b=interval(nan,inf) c.d=range(1,1) e.f=choice(1)",
    b"python train.py =1 ++=2 ~ @=3 a@=4 .=5 a..b=6 -x=7 --=8",
    b"python train.py a.b=1e999 c.d=" + b"9" * 5000,
    b"python train.py sweep.sampler=grid sweep=5 defaults=[a] format=2",
    b"if then fi done esac } ) ;; python train.py a.b=1",
    b"python train.py sweep={a:1} a.b=choice({sweep:1},{null:true})",
]


@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_scripts_give_a_message_or_a_valid_file(content, monkeypatch, capsys):
    stdin(monkeypatch, content)
    assert app.run(["import", "-"]) in (0, 1, 2)
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    tomllib.loads(shown.out)


def test_no_program_is_started(tmp_path, monkeypatch, capsys):
    script = tmp_path / "s.sh"
    mark = tmp_path / "ran"
    script.write_text(
        f'A=$(touch {mark})\n`touch {mark}`\ntouch {mark}\npython -c \'open("{mark}", "w")\'\n'
        f"python train.py a.b=$A c.d=`touch {mark}` e.f=$((1+1))\n"
    )
    assert app.run(["import", str(script)]) == 1
    assert not mark.exists()
    assert tomllib.loads(capsys.readouterr().out)["e"] == {"f": 2}


def test_the_imported_file_stands_beside_its_configuration(tmp_path, capsys):
    shutil.copy(DATA / "documented.sh", tmp_path / "run.sh")
    assert app.run(["import", str(tmp_path / "run.sh"), str(tmp_path / "run.toml")]) == 0
    assert app.run(["show", str(tmp_path / "run.toml")]) == 0
    shown = tomllib.loads(capsys.readouterr().out)
    assert shown["training"]["total_training_steps"] == 500
    assert shown["env"]["name"] == "math_env"
