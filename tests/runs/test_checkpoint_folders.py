"""Which checkpoints are whole, which is the newest, and which may go."""

import json
import os
import shutil
from pathlib import Path

import pytest

from pettingllms.errors import RefusedError
from pettingllms.runs.checkpoints import (
    checkpoint_root,
    checkpoints,
    fault,
    newest_whole,
    read_state,
    seal,
    set_aside,
    step_folder,
    superseded,
)

FILES = {
    "policies/0/adapter_config.json": b'{"r": 4}\n',
    "policies/0/adapter_model.safetensors": bytes(range(256)) * 3,
    "state.safetensors": b"\x08" + bytes(64),
    "trial.toml": b"seed = 1\n",
}


def written(root, step, **metrics):
    folder = step_folder(root, step)
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    state = {"format": 2, "step": step, "metrics": {name.replace("_", "/"): v for name, v in metrics.items()}}
    (folder / "state.json").write_text(json.dumps(state))
    seal(folder)
    return folder


FIRST = Path(__file__).parent / "first_layout"
ALL = [*FILES, "state.json", "manifest.json"]


@pytest.mark.parametrize("name", ALL)
def test_a_file_that_is_a_byte_short_is_found_and_named(tmp_path, name):
    written(tmp_path, 1)
    newest = written(tmp_path, 2)
    os.truncate(newest / name, (newest / name).stat().st_size - 1)
    warnings = []
    assert newest_whole(tmp_path, warnings.append) == step_folder(tmp_path, 1)
    (warning,) = warnings
    assert str(newest) in warning and name in warning


@pytest.mark.parametrize("name", ALL)
def test_a_flipped_bit_anywhere_is_found(tmp_path, name):
    written(tmp_path, 1)
    newest = written(tmp_path, 2)
    content = (newest / name).read_bytes()
    for place in range(len(content)):
        for bit in (1, 32, 128):
            (newest / name).write_bytes(
                content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]
            )
            assert newest_whole(tmp_path, lambda text: None) == step_folder(tmp_path, 1), (place, bit)
    (newest / name).write_bytes(content)
    assert newest_whole(tmp_path, pytest.fail) == newest


@pytest.mark.parametrize("name", ALL)
def test_a_missing_file_is_found_and_named(tmp_path, name):
    folder = written(tmp_path, 2)
    (folder / name).unlink()
    warnings = []
    assert newest_whole(tmp_path, warnings.append) is None
    assert name in warnings[0]


def test_the_fault_says_what_is_wrong(tmp_path):
    folder = written(tmp_path, 1)
    assert fault(folder) is None
    with (folder / "trial.toml").open("ab") as file:
        file.write(b"x")
    assert fault(folder) == "trial.toml has 10 bytes, not 9"
    (folder / "trial.toml").write_bytes(b"seed = 2\n")
    assert fault(folder) == "trial.toml has other content than was written"


def test_steps_are_numbers_not_texts(tmp_path):
    for step in (999_999, 1_000_000, 5):
        written(tmp_path, step)
    assert list(checkpoints(tmp_path)) == [5, 999_999, 1_000_000]
    assert newest_whole(tmp_path, pytest.fail).name == "step_1000000"


def test_half_written_ones_and_others_are_no_checkpoints(tmp_path):
    written(tmp_path, 3)
    for name in (".step_000004.partial", "step_000005.damaged", "step_best"):
        (tmp_path / name).mkdir()
    (tmp_path / "step_000009").write_text("a file")
    assert list(checkpoints(tmp_path)) == [3]
    assert checkpoints(tmp_path / "nowhere") == {}


def test_another_format_is_refused_with_its_number(tmp_path):
    folder = written(tmp_path, 1)
    (folder / "state.json").write_text('{"format": 3}')
    (folder / "manifest.json").unlink()
    seal(folder)
    with pytest.raises(RefusedError, match="has format 3, and this version reads format 2"):
        read_state(folder)
    with pytest.raises(RefusedError, match="format 3"):
        newest_whole(tmp_path, pytest.fail)


def test_later_ones_are_set_aside_and_never_overwritten(tmp_path):
    for step in (1, 2, 3):
        written(tmp_path, step)
    set_aside(tmp_path, after=1)
    written(tmp_path, 3)
    set_aside(tmp_path, after=1)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["step_000001", "step_000002.damaged", "step_000003.damaged", "step_000003.damaged-2"]


def test_the_newest_stay_and_the_first_best_one(tmp_path):
    for step, value in {1: 0.25, 2: 0.75, 3: 0.75, 4: float("nan"), 5: 0.5, 6: None}.items():
        written(tmp_path, step, **({} if value is None else {"val_success": value, "val_loss": value}))

    def gone(keep, metric, direction="maximize"):
        return [int(path.name[5:]) for path in superseded(tmp_path, keep, metric, direction)]

    assert gone(2, "val/success") == [1, 3, 4]
    assert gone(2, "val/loss", "minimize") == [2, 3, 4]
    assert gone(1, None) == [1, 2, 3, 4, 5]
    assert gone(1, "val/unknown") == [1, 2, 3, 4, 5]
    assert gone(9, "val/success") == []


def test_they_lie_in_the_run_folder_or_below_an_absolute_one(tmp_path):
    run = tmp_path / "study" / "trial_0001"
    assert checkpoint_root(run, "checkpoints") == run / "checkpoints"
    assert checkpoint_root(run, str(tmp_path / "big")) == tmp_path / "big" / "study-trial_0001"


def test_one_of_the_first_layout_is_refused_with_what_to_do(tmp_path, golden):
    # Written by version 0.1.0 of this package, and a whole one.
    root = shutil.copytree(FIRST, tmp_path / "checkpoints")
    with pytest.raises(RefusedError) as refused:
        newest_whole(root, pytest.fail)
    text = f"{refused.value}\n{refused.value.help}\n".replace(str(root), "CHECKPOINTS")
    golden(Path(__file__).parent / "first_layout.txt", text)


def test_a_newer_whole_one_is_taken_before_one_of_the_first_layout_is_looked_at(tmp_path):
    root = shutil.copytree(FIRST, tmp_path / "checkpoints")
    folder = written(root, 4)
    assert newest_whole(root, pytest.fail) == folder
