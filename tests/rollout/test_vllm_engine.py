"""The real vLLM engine in its process, on a tiny model, against the trainer's own log-probabilities."""

import math

import pytest
from test_engine_process import settings
from test_update import plan

from pettingllms.rollout.engine_process import EngineProcess
from pettingllms.types import FinishReason, Request, TokenSampling

torch = pytest.importorskip("torch")
pytest.importorskip("vllm", reason="vLLM is not available on this platform")

PROMPTS = [tuple(range(5, 5 + length)) for length in (3, 40, 70)]


@pytest.fixture(scope="module", params=["merged", "adapter"])
def served(request, tiny_model, tmp_path_factory):
    from pettingllms.training.policies import Policies

    folder = tmp_path_factory.mktemp(request.param)
    names = ("a", "b")
    engine = EngineProcess(
        settings(tiny_model, name="vllm", serving=request.param, policies=names, threads=2),
        folder / "engine.log",
        lambda: None,
    )
    policies = Policies(
        [plan(name) for name in names], tiny_model, torch.device("cpu"), trust_remote_code=False, seed=0
    )
    engine.wait_ready()
    yield engine, policies, folder
    engine.close()


def ask(engine, policy, temperature=1.0, seeds=range(4), **sampling):
    return engine.generate(
        [
            Request(policy, prompt, TokenSampling(temperature, 12, **sampling), seed)
            for prompt in PROMPTS
            for seed in seeds
        ]
    )


def change(policies, policy, engine, folder, version, size):
    generator = torch.Generator().manual_seed(version)
    for parameter in policies.parameters(policy):
        parameter.data.add_(size * torch.randn(parameter.shape, generator=generator))
    target = folder / f"{policy}-{version}"
    policies.export(policy, target)
    engine.load_policy(policy, version, target)


def trainer_logprobs(policies, policy, prompt, completion, temperature=1.0):
    from pettingllms.training.batching import Row, build_batch
    from pettingllms.types import Reward, Sample

    sample = Sample(completion, "", 0, Reward(0, 0, 0, ""), False, 1.0)
    batch = build_batch([Row(prompt, (sample,))], torch.device("cpu"))
    return policies.logprobs(policy, batch, torch.full_like(batch.old_N, temperature)).tolist()


def gaps(policies, policy, completions, temperature=1.0):
    prompts = [prompt for prompt in PROMPTS for _ in range(4)]
    return [
        abs(ours - theirs)
        for prompt, completion in zip(prompts, completions, strict=True)
        for ours, theirs in zip(
            trainer_logprobs(policies, policy, prompt, completion, temperature),
            completion.logprobs,
            strict=True,
        )
    ]


def test_engine_contract(served):
    engine, policies, folder = served

    # Before any adapter: the base model, version 0, log-probabilities as the trainer's.
    completions = ask(engine, "a")
    assert max(gaps(policies, "a", completions)) < 1e-3
    assert {completion.version for completion in completions} == {0}
    assert all(len(c.token_ids) == len(c.logprobs) <= 12 for c in completions)
    assert all((c.finish_reason is FinishReason.STOP) == (c.token_ids[-1] == 0) for c in completions)

    # Seeds decide the sample, whatever else is in the batch.
    assert ask(engine, "a") == completions
    assert ask(engine, "a", seeds=range(2))[0] == completions[0]
    assert len({c.token_ids for c in completions[:4]}) == 4

    # A new version is what answers, also right after a prompt was cached under the old one.
    before = ask(engine, "a", temperature=0.0)
    change(policies, "a", engine, folder, 1, 0.1)
    after = ask(engine, "a", temperature=0.0)
    assert [c.token_ids for c in after] != [c.token_ids for c in before]
    assert {c.version for c in after} == {1}
    completions = ask(engine, "a")
    assert max(gaps(policies, "a", completions)) < 1e-3
    assert max(gaps(policies, "b", completions)) > 0.01, "the base would not have said this so readily"

    # Each policy answers with its own weights, also mixed in one call; then the base again for neither.
    change(policies, "b", engine, folder, 1, 0.1)
    sampling = TokenSampling(1.0, 12)
    mixed = engine.generate([Request(p, PROMPTS[0], sampling, 3) for p in ("a", "b", "a", "b")])
    assert mixed[0] == mixed[2] and mixed[1] == mixed[3]
    for policy, completion in zip(("a", "b"), mixed[:2], strict=True):
        own = trainer_logprobs(policies, policy, PROMPTS[0], completion)
        assert own == pytest.approx(list(completion.logprobs), abs=1e-3)

    # Log-probabilities are those at the sampling temperature.
    assert max(gaps(policies, "a", ask(engine, "a", temperature=0.6), 0.6)) < 1e-3

    # Truncated sampling reports the truncated distribution: nothing outside the kept mass.
    greedy = ask(engine, "a", top_k=1)
    assert all(math.isclose(logprob, 0.0, abs_tol=1e-5) for c in greedy for logprob in c.logprobs)
