"""`pettingllms set`: a file changed in place."""

import errno
import os
import stat
from pathlib import Path

import pytest

from pettingllms.cli import app

TEXT = """# an experiment
defaults = ["base", { env = "math" }, "_self_"]

lora_rank = 16 # rank

[training]
# how often
val_freq = 10 # steps
logger = ["console"]

[env.options]
api_key = "sk-very-secret"
max_digits = 3
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text("training:\n  seed: 4\n  total_training_steps: 20\n", encoding="utf-8")
    Path("env").mkdir()
    for name in ("math", "code"):
        Path(f"env/{name}.toml").write_text(f'name = "{name}_env"\n', encoding="utf-8")
    path = Path("x.toml")
    path.write_text(TEXT, encoding="utf-8")
    return path


def run(capsys, *arguments):
    code = app.run(["set", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_only_the_named_values_change(file, capsys):
    code, out, _ = run(capsys, "x.toml", "training.val_freq=5", "lora_rank=0x20", "training.logger+=[wandb]")
    assert (code, out) == (0, "")
    expected = TEXT.replace("= 10", "= 5").replace("= 16", "= 0x20")
    assert file.read_text() == expected.replace('["console"]', '["console", "wandb"]')


def test_the_change_is_shown(file, capsys, caplog):
    caplog.set_level("INFO")
    assert run(capsys, "x.toml", "training.val_freq=5")[0] == 0
    assert "-val_freq = 10 # steps\n+val_freq = 5 # steps" in caplog.text


def test_a_preview_writes_nothing(file, capsys):
    code, out, _ = run(capsys, "x.toml", "-s", "training.val_freq=5", "--diff")
    assert (code, file.read_text()) == (0, TEXT)
    assert "-val_freq = 10 # steps\n+val_freq = 5 # steps" in out


def test_secrets_are_not_in_the_change(file, capsys):
    _, out, _ = run(capsys, "x.toml", "env.options.api_key=sk-other", "env.options.max_digits=4", "--diff")
    assert "sk-" not in out
    assert '+api_key = "<redacted>"' in out


def test_an_inherited_value_is_set_here_and_said(file, capsys, caplog):
    caplog.set_level("INFO")
    assert run(capsys, "x.toml", "training.seed=7")[0] == 0
    assert 'logger = ["console"]\nseed = 7\n' in file.read_text()
    assert "training.seed overrides what base.yaml:2 says" in caplog.text
    assert Path("base.yaml").read_text() == "training:\n  seed: 4\n  total_training_steps: 20\n"


def test_what_comes_after_the_file_still_counts_and_is_said(file, capsys, caplog):
    caplog.set_level("INFO")
    file.write_text('defaults = ["_self_", "base"]\n[training]\nseed = 1\n', encoding="utf-8")
    assert run(capsys, "x.toml", "training.seed=2")[0] == 0
    assert "training.seed is still what base.yaml:2 says, which comes after this file" in caplog.text


def test_an_inherited_value_cannot_be_deleted_here(file, capsys):
    code, _, err = run(capsys, "x.toml", "~training.seed")
    assert code == 1
    assert "training.seed is set by base.yaml:2, so it cannot be deleted in this file" in err
    assert file.read_text() == TEXT


def test_a_group_s_choice_changes_in_the_defaults_list(file, capsys):
    assert run(capsys, "x.toml", "env=code")[0] == 0
    assert file.read_text() == TEXT.replace('"math"', '"code"')
    assert "env.name is missing" in run(capsys, "x.toml", "~env")[2]
    assert file.read_text() == TEXT.replace(', { env = "math" }', "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("training.val_frq=1", "did you mean training.val_freq?"),
        ("training.val_freq", "is not an override"),
        ("+training.val_freq=1", "training.val_freq is already set"),
        ("training=1", "training is a section"),
        ("~training.train_batch_size", "is not set, so it cannot be deleted"),
        ("model@env=x", "the defaults list of this file has no group model@env"),
    ],
)
def test_a_wrong_change_is_refused_and_nothing_is_written(file, capsys, change, words):
    Path("model").mkdir()
    Path("model/x.toml").write_text("")
    code, out, err = run(capsys, "x.toml", "lora_rank=8", change)
    assert (code, out, file.read_text()) == (1, "", TEXT)
    assert words in err


def test_all_wrong_changes_are_named_at_once(file, capsys):
    _, _, err = run(capsys, "x.toml", "training.val_frq=1", "lora_rnk=2")
    assert "training.val_freq?" in err
    assert "lora_rank?" in err


def test_a_value_of_a_wrong_type_is_refused_with_its_place(file, capsys):
    code, _, err = run(capsys, "x.toml", "training.val_freq=often")
    assert code == 1
    assert "x.toml was not written" in err
    assert "x.toml:8" in err
    assert err.count("error[") == 1
    assert file.read_text() == TEXT


def test_a_fault_that_a_further_change_may_mend_is_said(file, capsys):
    code, _, err = run(capsys, "x.toml", "training.experiment_name=${training.nowhere}")
    assert code == 1
    assert "x.toml was written; this is wrong in it now" in err
    assert err.count("error[") == 1
    assert 'experiment_name = "${training.nowhere}"' in file.read_text()


def test_no_change_leaves_the_file_untouched(file, capsys):
    os.utime(file, (1, 1))
    assert run(capsys, "x.toml", "training.val_freq=10")[0] == 0
    assert file.stat().st_mtime == 1


def test_mode_line_ends_and_byte_order_mark_stay(file, capsys):
    raw = b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode()
    file.write_bytes(raw)
    file.chmod(0o640)
    assert run(capsys, "x.toml", "training.val_freq=5")[0] == 0
    assert file.read_bytes() == raw.replace(b"= 10", b"= 5")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_full_disk_leaves_the_file(file, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = run(capsys, "x.toml", "training.val_freq=5")
    assert code == 2
    assert "No space left on device" in err
    assert file.read_text() == TEXT


def test_yaml_is_changed_as_well(file, capsys):
    yaml = Path("y.yaml")
    yaml.write_text("# head\ntraining:\n    val_freq: 10 # steps\n\nspecialization: lora\n", encoding="utf-8")
    changes = [
        "training.val_freq=5",
        "training.logger=[console,wandb]",
        "training.experiment_name=on",
        "lora_rank=8",
    ]
    assert run(capsys, "y.yaml", *changes)[0] == 0
    assert yaml.read_text() == (
        "# head\ntraining:\n    val_freq: 5 # steps\n    logger: [console,wandb]\n"
        '    experiment_name: "on"\n\nspecialization: lora\nlora_rank: 8\n'
    )


def test_what_cannot_be_edited_safely_is_refused(file, capsys):
    shared = "a: &x\n  val_freq: 10\ntraining: *x\n"
    Path("y.yaml").write_text(shared, encoding="utf-8")
    code, _, err = run(capsys, "y.yaml", "training.val_freq=5")
    assert code == 1
    assert "y.yaml:3: training cannot be changed without changing something else" in err
    assert Path("y.yaml").read_text() == shared


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.toml", "lora_rank=1"], "no such file"),
        (["x.toml"], "no change is named"),
        (["env", "lora_rank=1"], "this is a folder"),
    ],
)
def test_usage(file, capsys, arguments, words):
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert words in err


def test_a_file_with_a_syntax_error_is_not_touched(file, capsys):
    file.write_text("a = \n", encoding="utf-8")
    code, _, err = run(capsys, "x.toml", "lora_rank=1")
    assert code == 1
    assert "PLM001" in err
    assert file.read_text() == "a = \n"
