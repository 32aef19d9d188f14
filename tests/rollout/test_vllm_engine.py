"""The real vLLM and the real trainer: what one samples the other scores, update after update."""

import pytest
from plans import plans_of, scored

from pettingllms.rollout.engine import generate
from pettingllms.types import Request, TokenSampling

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")

PROMPTS = [tuple(range(5, 5 + length)) for length in (3, 40, 70)]


@pytest.mark.parametrize(
    "sampling",
    [TokenSampling(1.0, 12), TokenSampling(0.7, 12, top_p=0.9, top_k=50, min_p=0.01)],
    ids=["whole", "cut"],
)
def test_the_trainer_scores_what_vllm_sampled(vllm, sampling):
    from pettingllms.training.batching import build_batch, rows
    from pettingllms.training.policies import Policies

    device = torch.device("cpu")
    policies = Policies(plans_of(("a", "b")).values(), vllm.model, device, trust_remote_code=False, seed=0)
    generator = torch.Generator().manual_seed(0)
    requests = [
        Request(policy, prompt, sampling, seed) for policy in "ab" for prompt in PROMPTS for seed in range(4)
    ]
    for _ in range(2):
        for policy in "ab":
            for parameter in policies.parameters(policy):
                parameter.data.add_(0.1 * torch.randn(parameter.shape, generator=generator))
            version = vllm.versions[policy] = vllm.versions.get(policy, 0) + 1
            policies.export(policy, vllm.folder / f"{policy}-{version}")
            vllm.engine.load_policy(policy, version, vllm.folder / f"{policy}-{version}")
        completions = generate(vllm.engine, requests)
        for policy in "ab":
            samples = [
                scored(asked.prompt_ids, done.token_ids, logprobs=done.logprobs, sampling=sampling)
                for asked, done in zip(requests, completions, strict=True)
                if asked.policy == policy
            ]
            batch = build_batch(rows(samples, range(len(samples)), shared=True), device, packed=True)
            with torch.no_grad():
                ours, _ = policies.score(policy, batch)
                others, _ = policies.score("b" if policy == "a" else "a", batch)
            assert (ours - batch.engine_N).abs().max() < 1e-3
            assert (others - batch.engine_N).abs().max() > 0.1
