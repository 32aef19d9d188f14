"""Full weights of the real trainer in real engines: served, exchanged, and gone after `restore`."""

from dataclasses import replace

import pytest
from engine_models import make_adapter
from plans import plans_of, scored

from pettingllms.errors import RolloutError
from pettingllms.rollout.engine import generate
from pettingllms.types import Request, TokenSampling

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")

PROMPTS = [tuple(range(5, 5 + length)) for length in (3, 40, 70)]
SAMPLING = TokenSampling(1.0, 12)
KINDS = pytest.mark.parametrize("kind", ["hf_merged", "vllm_merged"])


def trained(folder):
    """A policy with full weights and one with an adapter, on one base model; neither is the base."""
    from pettingllms.training.policies import Policies

    full, lora = plans_of(("full", "lora")).values()
    both = [replace(full, specialization="full"), lora]
    policies = Policies(both, folder, torch.device("cpu"), trust_remote_code=False, seed=0)
    generator = torch.Generator().manual_seed(0)
    for policy, size in (("full", 0.02), ("lora", 0.1)):
        for parameter in policies.parameters(policy):
            parameter.data.add_(size * torch.randn(parameter.shape, generator=generator))
    return policies


@KINDS
def test_the_trainer_scores_what_is_sampled_from_full_weights_beside_an_adapter(kind, request, tmp_path):
    from pettingllms.training.batching import build_batch, rows

    served = request.getfixturevalue(kind)
    served.restore()
    policies = trained(served.model)
    for policy in ("full", "lora"):
        policies.export(policy, tmp_path / policy)
        served.engine.load_policy(policy, 1, tmp_path / policy)
    asked = [
        Request(policy, prompt, SAMPLING, seed)
        for seed in range(3)
        for prompt in PROMPTS
        for policy in ("full", "lora", "base")
    ]
    completions = generate(served.engine, asked)
    for policy, other in (("full", "lora"), ("lora", "full")):
        samples = [
            scored(one.prompt_ids, done.token_ids, logprobs=done.logprobs)
            for one, done in zip(asked, completions, strict=True)
            if one.policy == policy
        ]
        batch = build_batch(rows(samples, range(len(samples)), shared=True), torch.device("cpu"), packed=True)
        with torch.no_grad():
            ours, theirs = policies.score(policy, batch)[0], policies.score(other, batch)[0]
        assert (ours - batch.engine_N).abs().max() < 1e-3
        assert (theirs - batch.engine_N).abs().max() > 0.1
    assert {(one.policy, done.version) for one, done in zip(asked, completions, strict=True)} == {
        ("full", 1),
        ("lora", 1),
        ("base", 0),
    }
    served.restore()


@KINDS
def test_restore_brings_the_base_weights_back_by_their_fingerprint(kind, request, tmp_path):
    served = request.getfixturevalue(kind)
    served.restore()
    request_of_base = Request("full", PROMPTS[1], replace(SAMPLING, temperature=0.0), 0)
    (before,) = generate(served.engine, [request_of_base])
    trained(served.model).export("full", tmp_path)
    served.engine.load_policy("full", 3, tmp_path)
    (changed,) = generate(served.engine, [request_of_base])
    assert (changed.version, changed.logprobs) != (before.version, before.logprobs)
    served.restore()
    assert generate(served.engine, [request_of_base]) == [before]


def test_an_engine_of_adapters_takes_no_full_weights(tied_model, hf, tmp_path):
    trained(tied_model).export("full", tmp_path)
    with pytest.raises(RolloutError, match="holds full weights, and this engine serves adapters only"):
        hf.engine.load_policy("full", 1, tmp_path)


def test_weights_of_another_model_are_refused_before_they_are_loaded(tied_model, untied_model, tmp_path):
    from pettingllms.rollout.loaded import LoadedWeights

    trained(untied_model).export("full", tmp_path)
    loaded = LoadedWeights(tied_model, "merged", None)
    with pytest.raises(RolloutError, match=r"are not of the model in .*: lm_head.weight is .*missing there"):
        loaded.load("full", 1, tmp_path)
    assert loaded.version("full") == 0
    make_adapter(tied_model, tmp_path / "adapter", seed=1)
    loaded.load("full", 2, tmp_path / "adapter")
    assert loaded.version("full") == 2


@KINDS
def test_prompts_are_forgotten_only_by_an_idle_engine(kind, request):
    served = request.getfixturevalue(kind)
    served.restore()
    asked = [Request("base", PROMPTS[2], SAMPLING, 5)]
    before = generate(served.engine, asked)
    served.engine.forget_prompts()
    assert generate(served.engine, asked) == before
    served.engine.submit([(0, asked[0])])
    with pytest.raises(RolloutError, match="cannot forget its prompts while 1 requests are pending"):
        served.engine.forget_prompts()
    while not served.engine.collect():
        pass
