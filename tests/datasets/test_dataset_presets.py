"""The table of datasets: every row can be used, by any spelling of its name."""

import importlib.util
from pathlib import Path

import pytest

from pettingllms.data.presets import PRESETS, preset_converter, preset_name
from pettingllms.data.rows import BadReason
from pettingllms.envs import ENVS

each_preset = pytest.mark.parametrize("name", PRESETS)


@each_preset
def test_a_preset_has_a_converter_and_an_environment(name):
    preset = PRESETS[name]
    if importlib.util.find_spec(preset.converter.partition(":")[0]) is None:
        pytest.skip(f"{preset.env} is not there")
    assert preset.env in ENVS
    assert callable(preset_converter(preset))


@each_preset
def test_a_preset_is_found_by_any_spelling_and_by_its_repository(name):
    preset = PRESETS[name]
    for word in (name, name.lower(), name.upper(), name.replace("_", "-"), preset.also or name):
        assert preset_name(word) == name
    # A repository with several sets is none of them.
    alone = [one.repo for one in PRESETS.values()].count(preset.repo) == 1
    assert preset_name(preset.repo) == (name if alone else None)
    assert preset.repo.count("/") == 1 and preset.files
    assert all(patterns for patterns in preset.files.values())


def test_no_two_presets_have_one_name():
    words = [*PRESETS, *{row.repo for row in PRESETS.values()}]
    plain = [word.lower().replace("-", "").replace("_", "") for word in words]
    assert len(set(plain)) == len(plain)
    assert preset_name("builtin:arithmetic") is preset_name("") is None


def test_the_page_on_data_lists_every_preset_and_reason():
    page = (Path(__file__).resolve().parents[2] / "docs/data.md").read_text()
    for name, preset in PRESETS.items():
        splits = list(preset.files)
        words = " and ".join(filter(None, [", ".join(splits[:-1]), splits[-1]]))
        assert (
            f"| `{name}` | `{preset.env}` | `{preset.repo}`, {words} | {preset.remarks} |".replace("  ", " ")
            in page
        )
    assert [reason for reason in BadReason if f"`{reason}`" not in page] == []
