"""When the engine of one trial can serve another."""

import pytest
from served_engines import settings

from pettingllms.rollout.engine_settings import differences


@pytest.mark.parametrize("serving", ["merged", "adapter"])
@pytest.mark.parametrize("change", [{}, {"seed": 1}, {"policies": ("q",)}])
def test_what_requests_bring_themselves_needs_no_other_engine(tmp_path, serving, change):
    assert (
        differences(settings(tmp_path, serving=serving), settings(tmp_path, serving=serving, **change)) == []
    )


@pytest.mark.parametrize("change", [{"policies": ("p", "q")}, {"max_lora_rank": 16}])
def test_room_for_adapters_counts_where_the_engine_holds_them(tmp_path, change):
    one, other = (settings(tmp_path, serving="adapter", **more) for more in ({}, change))
    assert differences(one, other) == list(change)
    one, other = (settings(tmp_path, serving="merged", **more) for more in ({}, change))
    assert differences(one, other) == []


@pytest.mark.parametrize(
    "change",
    [
        {"name": "hf"},
        {"dtype": "bfloat16"},
        {"serving": "adapter"},
        {"max_model_len": 64},
        {"max_num_seqs": 4},
        {"threads": 2},
        {"replies": ("no",)},
        {"may_sleep": True},
        {"max_num_batched_tokens": 512},
        {"enforce_eager": False},
    ],
)
def test_everything_else_counts(tmp_path, change):
    found = differences(settings(tmp_path), settings(tmp_path, **change))
    assert set(change) <= set(found)


def test_another_model_is_another_engine(tmp_path):
    assert differences(settings(tmp_path), settings(tmp_path / "other")) == ["model_folder"]
