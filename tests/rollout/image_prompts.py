"""Prompts with images for tests: asked of an engine, and scored by the trainer."""

import random
from functools import cache

from plans import plans_of, scored

from pettingllms.games.pictures import png
from pettingllms.models.tokenizer import ChatTokenizer
from pettingllms.rollout.engine import generate
from pettingllms.rollout.prompts import fit_prompt
from pettingllms.types import FinishReason, Message, Request, TokenSampling

TILES = {"#": ("wall",), ".": (), "G": ("goal",), "S": ("player",)}
SAMPLING = TokenSampling(1.0, 12)


@cache
def image(seed):
    draw = random.Random(seed)
    return png(["".join(draw.choice("#.GS") for _ in range(4)) for _ in range(4)], TILES, 8)


def tokenizer(folder):
    return ChatTokenizer(folder, trust_remote_code=False, images=True)


def asked(folder, text, *images, policy="a", seed=0):
    fitted = fit_prompt(tokenizer(folder), [Message("user", text, images)], 400)
    return Request(policy, fitted.ids, SAMPLING, seed, fitted.images)


def requests(folder, policies="a"):
    """Prompts of several lengths, one with two images; equal seeds for all policies."""
    prompts = [("go", (image(1),)), ("a longer text", (image(2),)), ("both", (image(3), image(4)))]
    return [
        asked(folder, text, *images, policy=policy, seed=seed)
        for policy in policies
        for text, images in prompts
        for seed in range(6)
    ]


def scores(policies, policy, requests, completions, replaced=None):
    """The trainer's log-probabilities and the engine's; `replaced`: images to score under instead."""
    import torch

    from pettingllms.training.batching import build_batch, micro_batches, rows

    samples = []
    for one, done in zip(requests, completions, strict=True):
        sample = scored(one.prompt_ids, done.token_ids, logprobs=done.logprobs, sampling=one.sampling)
        object.__setattr__(sample, "images", (replaced or {}).get(one.images, one.images))
        samples.append(sample)
    all_rows = rows(samples, range(len(samples)), shared=policies.shared_prompt)
    ours, theirs = [], []
    for part in micro_batches(all_rows, token_budget=400, sequences=None, packed=policies.packed):
        batch = build_batch(part, torch.device("cpu"), packed=policies.packed)
        with torch.no_grad():
            ours.append(policies.score(policy, batch)[0])
        theirs.append(batch.engine_N)
    return torch.cat(ours), torch.cat(theirs)


def trainer(folder, names=("a", "b"), seed=0, **plan):
    import torch

    from pettingllms.training.policies import Policies

    plans = plans_of(names, **plan).values()
    made = Policies(plans, folder, torch.device("cpu"), trust_remote_code=False, seed=0, images=True)
    generator = torch.Generator().manual_seed(seed)
    for name in names:
        for parameter in made.parameters(name):
            parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return made


def check(engine, folder, policies, target, names="ab", version=1):
    """The engine serves what the trainer exports, and both read the same images.

    Returns whether it sampled a placeholder, which is text then.
    """
    for name in names:
        policies.export(name, target / name)
        engine.load_policy(name, version, target / name)
    wanted = requests(folder, names)
    completions = generate(engine, wanted)
    assert {done.finish_reason for done in completions} <= {FinishReason.STOP, FinishReason.LENGTH}
    for name in names:
        own = [pair for pair in zip(wanted, completions, strict=True) if pair[0].policy == name]
        ours, theirs = scores(policies, name, *zip(*own, strict=True))
        assert (ours - theirs).abs().max() < 1e-4
        seen = list(dict.fromkeys(one.images for one, _ in own))
        others = {seen[0]: asked(folder, "go", image(9)).images}
        changed, _ = scores(policies, name, *zip(*own, strict=True), replaced=others)
        assert (changed - theirs).abs().max() > 1e-2
    placeholder = tokenizer(folder)._reader.placeholder
    return any(placeholder in done.token_ids for done in completions)
