"""Exported folders, loaded by plain transformers and PEFT, answer as the trainer's engine does."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from engine_models import build_model, make_adapter
from evaluated_run import make_run, save
from safetensors.torch import load_file, save_file
from served_engines import engine_settings

from pettingllms.evaluation.export import Asked, start_export
from pettingllms.rollout.engine import generate
from pettingllms.rollout.merged import MergedWeights
from pettingllms.training.export import write_model, write_policy
from pettingllms.types import Request, TokenSampling

TOKENS = 12
POLICIES = ("tool policy", "reason/policy")
FOLDERS = ("tool_policy", "reason_policy")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["tied", "untied"])
def base(request, tmp_path_factory):
    return build_model(tmp_path_factory.mktemp("models") / request.param, tied=request.param == "tied")


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory):
    """A run whose checkpoint has a random adapter of each policy."""
    run = make_run(tmp_path_factory.mktemp("runs") / "run", base)
    save(
        run,
        3,
        {
            name: lambda folder, seed=seed: make_adapter(base, folder, seed=seed, size=0.3)
            for seed, name in enumerate(POLICIES)
        },
    )
    return run


@pytest.fixture(scope="module")
def prompts():
    source = random.Random(0)
    return [tuple(source.randint(3, 250) for _ in range(source.randint(1, 20))) for _ in range(50)]


@pytest.fixture(scope="module")
def expected(trained, base, prompts):
    """What the engine answers greedily with each policy of the checkpoint."""
    from pettingllms.rollout.hf import HfEngine

    engine = HfEngine(engine_settings(base, "hf", "merged", policies=POLICIES))
    answers = {}
    for number, policy in enumerate(POLICIES):
        engine.load_policy(policy, 3, trained / "checkpoints" / "step_000003" / "policies" / str(number))
        requests = [Request(policy, prompt, TokenSampling(0.0, TOKENS), 0) for prompt in prompts]
        answers[policy] = [list(one.token_ids) for one in generate(engine, requests)]
    engine.close()
    assert answers[POLICIES[0]] != answers[POLICIES[1]]
    return answers


def answers_of(model, prompts):
    """Greedy, without what the base's generation settings ask of requests that say nothing."""
    model.eval()
    found = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            repetition_penalty=1.0,
            temperature=1.0,
            top_k=50,
            max_new_tokens=TOKENS,
        )
        found.append(out[0, len(prompt) :].tolist())
    return found


def test_adapters_answer_as_the_engine_does(trained, prompts, expected, tmp_path, capfd):
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    assert start_export(Asked(trained, tmp_path / "out", merged=False)) == 0
    for policy, name in zip(POLICIES, FOLDERS, strict=True):
        folder = tmp_path / "out" / name
        assert not list(folder.glob("model*.safetensors"))
        model = AutoPeftModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        assert answers_of(model, prompts) == expected[policy]
        assert AutoTokenizer.from_pretrained(folder).chat_template
    (command,) = capfd.readouterr().out.splitlines()
    assert "--enable-lora" in command and "--max-lora-rank 8 --max-loras 2" in command
    assert f"'tool policy={tmp_path}/out/tool_policy' reason/policy={tmp_path}/out/reason_policy" in command


def written(weights, base, out, *, merged):
    """What the writing process does for one policy, in this process."""
    write_policy(
        {"weights": str(weights), "base": str(base), "merged": merged, "dtype": None, "out": str(out)}
    )
    return out


def test_merged_models_answer_as_the_engine_does(trained, base, prompts, expected, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    weights = trained / "checkpoints" / "step_000003" / "policies" / "1"
    folder = written(weights, base, tmp_path / "out", merged=True)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert answers_of(model, prompts) == expected["reason/policy"]
    assert AutoTokenizer.from_pretrained(folder).chat_template
    # One copy of tied weights, and the head tied again where it is loaded.
    names, config = load_file(folder / "model.safetensors"), json.loads((base / "config.json").read_text())
    assert ("lm_head.weight" in names) is not config["tie_word_embeddings"]
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert tied is config["tie_word_embeddings"]


def vllm_answers(model, adapters, prompts):
    """What vLLM, in a process of its own, answers: one list per adapter, or one."""
    asked = {"model": str(model), "adapters": adapters, "prompts": prompts, "tokens": TOKENS}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("plain_vllm.py"))],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_vllm_serves_all_adapters_at_once_as_the_engine_does(trained, base, prompts, expected, tmp_path):
    pytest.importorskip("vllm")
    assert start_export(Asked(trained, tmp_path / "out", merged=False)) == 0
    adapters = {policy: str(tmp_path / "out" / name) for policy, name in zip(POLICIES, FOLDERS, strict=True)}
    assert vllm_answers(base, adapters, prompts) == [expected[policy] for policy in POLICIES]


@pytest.mark.slow
def test_vllm_serves_merged_models_as_the_engine_does(trained, prompts, expected, tmp_path):
    pytest.importorskip("vllm")
    assert start_export(Asked(trained, tmp_path / "out", merged=True)) == 0
    for policy, name in zip(POLICIES, FOLDERS, strict=True):
        assert vllm_answers(tmp_path / "out" / name, {}, prompts) == [expected[policy]]


def test_a_policy_of_all_weights_is_its_own_folder(base, tmp_path):
    from transformers import AutoModelForCausalLM, GenerationConfig

    def whole(folder):
        model = AutoModelForCausalLM.from_pretrained(base)
        model.generation_config = GenerationConfig()
        with torch.no_grad():
            model.model.layers[0].mlp.down_proj.weight.mul_(3)
        model.save_pretrained(folder)

    weights = tmp_path / "weights"
    whole(weights)
    out = written(weights, base, tmp_path / "out", merged=False)
    saved, copied = load_file(weights / "model.safetensors"), load_file(out / "model.safetensors")
    assert saved.keys() == copied.keys()
    assert all(torch.equal(saved[name], copied[name]) for name in saved)
    for name, owner in (("config.json", weights), ("generation_config.json", base), ("tokenizer.json", base)):
        assert (out / name).read_bytes() == (owner / name).read_bytes()
    state = AutoModelForCausalLM.from_pretrained(out).state_dict()
    assert all(torch.equal(state[name], saved[name]) for name in saved)


def rewritten(base, folder, change):
    """A copy of a model whose tensors `change` gives."""
    folder.mkdir()
    for file in base.iterdir():
        if file.suffix != ".safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
    save_file(change(load_file(base / "model.safetensors")), folder / "model.safetensors")
    return folder


def test_weights_keep_the_bases_dtype_or_get_the_one_that_is_asked_for(base, tmp_path):
    half = rewritten(
        base, tmp_path / "half", lambda all_: {name: one.bfloat16() for name, one in all_.items()}
    )
    adapter = make_adapter(half, tmp_path / "adapter", seed=1, size=0.3)
    exact = dict(MergedWeights(half).of(adapter))
    for dtype, expected in ((None, torch.bfloat16), ("float32", torch.float32)):
        out = tmp_path / str(dtype)
        out.mkdir()
        write_model(half, adapter, dtype, out, "5GB")
        written = load_file(out / "model.safetensors")
        assert all(torch.equal(one, exact[name].to(expected)) for name, one in written.items())
        said = json.loads((out / "config.json").read_text())
        assert said["dtype"] == (dtype or json.loads((half / "config.json").read_text())["dtype"])


def test_large_models_are_split_with_an_index(base, tmp_path):
    from transformers import AutoModelForCausalLM

    adapter = make_adapter(base, tmp_path / "adapter", seed=1)
    for name, size in (("whole", "5GB"), ("split", "100KB")):
        (tmp_path / name).mkdir()
        write_model(base, adapter, None, tmp_path / name, size)
    files = sorted(one.name for one in (tmp_path / "split").glob("*.safetensors"))
    assert len(files) > 2 and files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    index = json.loads((tmp_path / "split" / "model.safetensors.index.json").read_text())
    assert sorted(set(index["weight_map"].values())) == files
    one, other = (
        AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict() for name in ("whole", "split")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_head_that_repeats_the_embeddings_is_written_once(base, tmp_path):
    tied = json.loads((base / "config.json").read_text())["tie_word_embeddings"]
    both = rewritten(
        base,
        tmp_path / "both",
        lambda all_: all_ | {"lm_head.weight": all_["model.embed_tokens.weight"].clone()},
    )
    (tmp_path / "out").mkdir()
    write_model(both, None, None, tmp_path / "out", "5GB")
    assert ("lm_head.weight" in load_file(tmp_path / "out" / "model.safetensors")) is not tied


def test_an_adapter_of_another_model_leaves_nothing_behind(tmp_path, capfd):
    base = build_model(tmp_path / "base", tied=True)
    run = make_run(tmp_path / "run", base)

    def foreign(folder):
        make_adapter(base, folder, seed=0)
        file = folder / "adapter_model.safetensors"
        save_file({name.replace("layers.1", "layers.2"): one for name, one in load_file(file).items()}, file)

    save(run, 1, dict.fromkeys(POLICIES, foreign))
    assert start_export(Asked(run, tmp_path / "out", merged=True)) == 3
    assert "error: the adapter in" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]
