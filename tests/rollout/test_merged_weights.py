"""Base weights with an adapter added: exact, no trace of earlier adapters, refused before it is begun."""

import json

import pytest
from engine_models import make_adapter
from served_engines import engine_settings

from pettingllms.errors import RolloutError
from pettingllms.rollout.engine import generate
from pettingllms.types import Request, TokenSampling

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")

DOWN, UP = "down_proj.lora_A.weight", "down_proj.lora_B.weight"
MATRIX = "model.layers.0.mlp.down_proj.weight"


def write_model(folder, weight):
    """A model of one matrix [2, 3] and one vector."""
    from safetensors.torch import save_file

    folder.mkdir()
    (folder / "config.json").write_text("{}")
    save_file({MATRIX: weight, "model.norm.weight": torch.ones(2)}, folder / "model.safetensors")
    return folder


def write_adapter(folder, up, down, alpha=4):
    """An adapter of rank 1 of that matrix."""
    from safetensors.torch import save_file

    folder.mkdir()
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 1, "lora_alpha": alpha})
    )
    before = "base_model.model.model.layers.0.mlp."
    save_file({before + DOWN: down, before + UP: up}, folder / "adapter_model.safetensors")
    return folder


def test_alpha_over_rank_times_b_a_is_added_in_float32(tmp_path):
    from pettingllms.rollout.merged import MergedWeights

    # 1 + 2^-9 has no bf16: were the sum taken in bf16, it would be 1 again.
    base = torch.ones(2, 3, dtype=torch.bfloat16)
    up, down = torch.tensor([[1.0], [-2.0]]), torch.tensor([[2.0**-11, 0.0, 1.0]])
    model = write_model(tmp_path / "model", base)
    merged = dict(MergedWeights(model).of(write_adapter(tmp_path / "adapter", up, down)))
    assert merged.keys() == {MATRIX, "model.norm.weight"}
    assert merged[MATRIX].dtype is torch.float32
    assert merged[MATRIX].tolist() == [[1 + 2.0**-9, 1, 5], [1 - 2.0**-8, 1, -7]]
    assert merged["model.norm.weight"].tolist() == [1, 1]


def test_nothing_of_an_adapter_is_left_in_the_next_merge(tied_model, tmp_path):
    from safetensors.torch import load_file

    from pettingllms.rollout.merged import MergedWeights

    weights = MergedWeights(tied_model)
    adapters = [make_adapter(tied_model, tmp_path / str(seed), seed=seed, size=0.5) for seed in range(3)]
    first = [dict(weights.of(adapter)) for adapter in adapters]
    for adapter, before in zip(adapters, first, strict=True):
        again = dict(weights.of(adapter))
        fresh = dict(MergedWeights(tied_model).of(adapter))
        assert again.keys() == before.keys() == fresh.keys()
        assert all(torch.equal(again[name], before[name]) for name in before)
        assert all(torch.equal(fresh[name], before[name]) for name in before)
    base, files = dict(weights.of(None)), load_file(tied_model / "model.safetensors")
    assert base.keys() == files.keys()
    assert all(torch.equal(base[name], files[name]) for name in files)


def test_merged_weights_are_those_that_peft_merges(tied_model, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from pettingllms.rollout.merged import MergedWeights

    adapter = make_adapter(tied_model, tmp_path, seed=1, size=0.3)
    model = AutoModelForCausalLM.from_pretrained(tied_model, dtype=torch.float32)
    theirs = PeftModel.from_pretrained(model, adapter).merge_and_unload().state_dict()
    for name, ours in MergedWeights(tied_model).of(adapter):
        assert torch.allclose(ours, theirs[name], rtol=0, atol=1e-6)


def test_an_adapter_of_another_size_is_refused_before_anything_is_taken(tmp_path):
    from pettingllms.rollout.merged import MergedWeights

    model = write_model(tmp_path / "model", torch.ones(2, 3))
    adapter = write_adapter(tmp_path / "adapter", torch.ones(2, 1), torch.ones(1, 4))
    with pytest.raises(RolloutError, match=r"of another model: \S+ is \(2, 3\), what it adds \(2, 4\)"):
        MergedWeights(model).of(adapter)


def test_factors_of_different_ranks_are_refused_before_anything_is_taken(tmp_path):
    from pettingllms.rollout.merged import MergedWeights

    model = write_model(tmp_path / "model", torch.ones(2, 3))
    adapter = write_adapter(tmp_path / "adapter", torch.ones(2, 2), torch.ones(1, 3))
    with pytest.raises(RolloutError, match=r"its factors of \S+ have the ranks 2 and 1"):
        MergedWeights(model).of(adapter)


def test_vllm_is_not_restored_from_files_that_have_changed(vllm_merged):
    """One weight of the base differs on the disk: what is sent again are not the weights of the start."""
    served = vllm_merged
    served.restore()
    file = served.model / "model.safetensors"
    content = file.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    place = 8 + int.from_bytes(content[:8], "little") + header[MATRIX]["data_offsets"][0]

    def serve_another():
        served.load("a", seed=1)
        generate(served.engine, [Request("a", (5,), TokenSampling(0.0, 1), 0)])

    serve_another()
    try:
        with file.open("r+b") as weights:
            weights.seek(place)
            weights.write(bytes([0, 0, 0x80, 0x3F]))
        with pytest.raises(RolloutError, match="its weights are not those of its start"):
            served.engine.restore()
    finally:
        with file.open("r+b") as weights:
            weights.write(content)
    serve_another()
    served.restore()


def test_an_engine_that_cannot_merge_keeps_the_weights_that_it_has(tied_model, tmp_path):
    from pettingllms.rollout.hf import HfEngine

    engine = HfEngine(engine_settings(tied_model, "hf", "merged"))
    request = Request("plain", (5, 6), TokenSampling(0.0, 8), 0)
    before = generate(engine, [request])
    adapter = make_adapter(tied_model, tmp_path, seed=1)
    engine.load_policy("a", 1, adapter)
    (adapter / "adapter_model.safetensors").unlink()
    engine.submit([(0, Request("a", (5, 6), TokenSampling(0.0, 8), 0))])
    with pytest.raises(FileNotFoundError):
        engine.collect()
    fresh = HfEngine(engine_settings(tied_model, "hf", "merged"))
    assert generate(fresh, [request]) == before
