"""The CUDA path for real: an engine that shares the card and sleeps, adapters served, a whole trial.

Run with `just test-gpu` on a machine with a GPU. The model is made on the spot; vLLM is tested where it is
installed, transformers everywhere. Figures are printed: `-s` shows them.
"""

import contextlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from byte_tokenizer import byte_tokenizer

pytestmark = pytest.mark.gpu
ENGINES = ["hf", *(["vllm"] if importlib.util.find_spec("vllm") else [])]
PROMPT = "What is 12 + 34?"

EXPERIMENT = r"""
format = 1
specialization = "lora"
lora_rank = 16

[resource]
n_gpus_per_node = 1

[env]
name = "math_env"
dataset = "builtin:arithmetic"
max_turns = 2
options = { digits = 1, validation_size = 16, test_size = 0 }

[base_models.policy_0]
path = "@MODEL@"
name = "tool_policy"

[base_models.policy_1]
path = "@MODEL@"
name = "reasoning_policy"

[agent_policy_configs]
num_agents = 2
agent_configs.agent_0 = { name = "tool_generator", policy_name = "tool_policy" }
agent_configs.agent_1 = { name = "reasoning_generator", policy_name = "reasoning_policy" }

[multi_agent_interaction]
turn_order = ["tool_generator", "reasoning_generator"]

[training]
device = "cuda"
total_training_steps = 3
train_batch_size = 8
train_sample_num = 8
val_freq = 2
max_prompt_length = 256
max_response_length = 64

[models.model_0.ppo_trainer_config.actor_rollout_ref]
rollout = { name = "@ENGINE@", gpu_memory_utilization = 0.3, enforce_eager = true }
actor = { optim.lr = 1e-3, entropy_coeff = 0.01, use_kl_loss = true, kl_loss_coef = 0.01 }

[models.model_1.ppo_trainer_config.actor_rollout_ref]
rollout = { name = "@ENGINE@", gpu_memory_utilization = 0.3, enforce_eager = true }
actor = { optim.lr = 1e-3, entropy_coeff = 0.01, use_kl_loss = true, kl_loss_coef = 0.01 }
"""


@pytest.fixture(scope="module")
def small_qwen(tmp_path_factory):
    """A random Qwen3 of 4 layers with a byte-level tokenizer, in bfloat16."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    fast, _ = byte_tokenizer()
    torch.manual_seed(0)
    config = Qwen3Config(
        # vLLM takes no adapters for a vocabulary that is smaller than the hidden size.
        vocab_size=1024,
        hidden_size=512,
        intermediate_size=1024,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=64,
        max_position_embeddings=1024,
        eos_token_id=0,
        pad_token_id=0,
        bos_token_id=None,
        tie_word_embeddings=True,
    )
    folder = tmp_path_factory.mktemp("models") / "qwen"
    Qwen3ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def adapters(model, folder):
    """Two policies whose fresh adapters were moved, exported; the trainer that has them."""
    import torch
    from plans import plans_of

    from pettingllms.training.policies import Policies

    plans = plans_of(model={"lora_rank": 16}, actor={"fsdp_config": {"model_dtype": "bf16"}}, path=str(model))
    policies = Policies(plans.values(), model, torch.device("cuda"), trust_remote_code=False, seed=0)
    for number, name in enumerate(plans):
        for parameter in policies.parameters(name):
            parameter.data.add_(0.03 * (number + 1) * torch.randn_like(parameter))
        policies.export(name, folder / str(number))
    return policies


@pytest.mark.parametrize("name", ENGINES)
def test_the_engine_sleeps_beside_the_trainer_and_wakes_the_same(name, small_qwen, tmp_path):
    import torch

    from pettingllms.models.tokenizer import ChatTokenizer
    from pettingllms.rollout.engine import EngineSettings, generate
    from pettingllms.rollout.engine_process import EngineProcess
    from pettingllms.types import Message, Request, TokenSampling

    def free():
        return torch.cuda.mem_get_info()[0] / 2**20

    policies = adapters(small_qwen, tmp_path)
    names = tuple(policies.plans)
    settings = EngineSettings(
        name=name,
        model_folder=small_qwen,
        device="cuda",
        dtype="bfloat16",
        serving="adapter",
        policies=names,
        max_lora_rank=16,
        max_model_len=512,
        max_num_seqs=64,
        tensor_parallel_size=1,
        gpu_memory_utilization=0.3,
        trust_remote_code=False,
        threads=4,
        seed=0,
        replies=(),
        enforce_eager=True,
        may_sleep=True,
    )
    prompt = tuple(ChatTokenizer(small_qwen, False).chat([Message("user", PROMPT)]))
    greedy = TokenSampling(temperature=0.0, max_tokens=24)
    drawn = TokenSampling(temperature=1.0, max_tokens=24)
    before = free()
    with contextlib.closing(EngineProcess(settings, tmp_path / "engine.log", lambda: None)) as engine:
        engine.wait_ready()
        for number, policy in enumerate(names):
            engine.load_policy(policy, 1, tmp_path / str(number))
        requests = [Request(policy, prompt, greedy, 0) for policy in names]
        first = generate(engine, requests)
        samples = generate(
            engine, [Request(policy, prompt, drawn, seed) for policy in names for seed in range(32)]
        )
        awake = free()
        engine.sleep()
        asleep = free()
        engine.wake()
        assert [one.token_ids for one in generate(engine, requests)] == [one.token_ids for one in first]
        print(
            f"\n{name}: MiB free before the engine {before:.0f}, awake {awake:.0f}, asleep {asleep:.0f}; "
            f"greedy answers of the two adapters differ: {first[0].token_ids != first[1].token_ids}"
        )
    assert first[0].token_ids != first[1].token_ids
    assert {one.version for one in first} == {1}
    assert asleep > awake
    gaps = engine_gaps(policies, names, prompt, samples, drawn)
    print(f"{name}: mean |engine - trainer| log-probability, bf16, by policy: {gaps}")
    assert max(gaps) < 0.1


def engine_gaps(policies, names, prompt, samples, sampling):
    import torch

    from pettingllms.training.batching import build_batch, rows
    from pettingllms.types import Reward, Sample, Scored

    gaps = []
    for number, policy in enumerate(names):
        own = [
            Scored(Sample(one, "", 0, 0, Reward(0, 0, 0, ""), success=False), prompt, sampling, 1.0)
            for one in samples[number * 32 : (number + 1) * 32]
        ]
        batch = build_batch(rows(own, range(len(own)), shared=True), policies.device, packed=True)
        with torch.no_grad():
            new, _ = policies.score(policy, batch)
        gaps.append(float((new - batch.engine_N).abs().mean()))
    return gaps


@pytest.mark.parametrize("engine", ENGINES)
def test_a_trial_on_one_card(engine, small_qwen, tmp_path):
    file = tmp_path / "cuda.toml"
    file.write_text(EXPERIMENT.replace("@MODEL@", str(small_qwen)).replace("@ENGINE@", engine))
    command = [sys.executable, "-m", "pettingllms", "train", str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    logs = "".join(path.read_text()[-3000:] for path in Path(tmp_path).glob("outputs/*/*/*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    (folder,) = (tmp_path / "outputs").glob("*/*")
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [0, 1, 2, 3]
    for record in records[1:]:
        for policy in ("tool_policy", "reasoning_policy"):
            assert record[f"train/engine_gap/{policy}"] < 0.1
            assert record[f"train/grad_norm/{policy}"] > 0
    shown = ("time/", "perf/", "train/engine_gap", "train/reference_kl", "train/grad_norm")
    for record in records:
        print({key: round(value, 4) for key, value in record.items() if key.startswith(shown)})
    for step in (1, 2, 3):
        lines = (folder / "samples" / f"train-{step:06d}.jsonl").read_text().splitlines()
        turns = [turn for line in lines for turn in json.loads(line)["turns"]]
        assert {sample["version"] for turn in turns for sample in turn["samples"]} == {step - 1}
