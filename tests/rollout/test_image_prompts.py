"""Prompts with images: what the engine samples from, the trainer scores, placeholders and pixels included."""

import random
from functools import cache
from io import BytesIO

import pytest
from plans import plans_of, scored
from served_engines import engine_settings
from vision_models import build_idefics3

from pettingllms.errors import RefusedError, RolloutError
from pettingllms.games.pictures import png
from pettingllms.models.tokenizer import ChatTokenizer
from pettingllms.rollout.engine import generate
from pettingllms.rollout.prompts import fit_prompt
from pettingllms.types import FinishReason, Message, Request, TokenSampling

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")

TILES = {"#": ("wall",), ".": (), "G": ("goal",), "S": ("player",)}
PLACEHOLDER = "<image>"
SAMPLING = TokenSampling(1.0, 12)


@pytest.fixture(scope="module")
def sees(tmp_path_factory):
    return build_idefics3(tmp_path_factory.mktemp("models") / "sees")


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


def trainer(folder, names=("a", "b"), **plan):
    from pettingllms.training.policies import Policies

    plans = plans_of(names, **plan).values()
    made = Policies(plans, folder, torch.device("cpu"), trust_remote_code=False, seed=0, images=True)
    generator = torch.Generator().manual_seed(0)
    for name in names:
        for parameter in made.parameters(name):
            parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return made


def check(engine, folder, policies, target, names="ab"):
    """The engine serves what the trainer exports, and both read the same images."""
    for name in names:
        policies.export(name, target / name)
        engine.load_policy(name, 1, target / name)
    wanted = requests(folder, names)
    completions = generate(engine, wanted)
    assert {done.finish_reason for done in completions} <= {FinishReason.STOP, FinishReason.LENGTH}
    mark = tokenizer(folder)._tokenizer.convert_tokens_to_ids(PLACEHOLDER)
    assert any(mark in done.token_ids for done in completions), "a placeholder is sampled as a token of text"
    for name in names:
        own = [pair for pair in zip(wanted, completions, strict=True) if pair[0].policy == name]
        ours, theirs = scores(policies, name, *zip(*own, strict=True))
        assert (ours - theirs).abs().max() < 1e-4
        seen = list(dict.fromkeys(one.images for one, _ in own))
        others = {seen[0]: asked(folder, "go", image(9)).images}
        changed, _ = scores(policies, name, *zip(*own, strict=True), replaced=others)
        assert (changed - theirs).abs().max() > 1e-2


@pytest.mark.parametrize("serving", ["adapter", "merged"])
def test_hf_samples_what_the_trainer_scores(sees, tmp_path, serving):
    from pettingllms.rollout.hf import HfEngine

    engine = HfEngine(engine_settings(sees, "hf", serving, images=True))
    check(engine, sees, trainer(sees), tmp_path)
    engine.restore()
    engine.close()


def test_hf_serves_full_weights_that_see(sees, tmp_path):
    from pettingllms.rollout.hf import HfEngine

    engine = HfEngine(engine_settings(sees, "hf", "merged", images=True))
    check(engine, sees, trainer(sees, model={"specialization": "full"}), tmp_path)
    engine.close()


def test_prompts_with_images_and_without_go_in_batches_of_their_own(sees):
    from pettingllms.rollout.hf import HfEngine

    engine = HfEngine(engine_settings(sees, "hf", "adapter", images=True))
    ids, _, none = fit_prompt(tokenizer(sees), [Message("user", "only text")], 400)
    assert none is None and len(ids) == len("only text") + 2, "the template wants parts"
    plain = Request("a", ids, SAMPLING, 3)
    one, other = asked(sees, "go", image(1)), asked(sees, "go", image(2))
    together = generate(engine, [one, plain, other])
    apart = [generate(engine, [each])[0] for each in (one, plain, other)]
    for done, alone in zip(together, apart, strict=True):
        assert done.token_ids == alone.token_ids
        assert done.logprobs == pytest.approx(alone.logprobs, abs=1e-5)
    assert together[0].logprobs != together[2].logprobs
    engine.close()


def test_the_ids_are_those_of_the_models_own_processor(sees):
    from PIL import Image
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(sees)
    ids, images = tokenizer(sees).see([Message("system", "be brief"), Message("user", "go", (image(1),))])
    text = "<turn>be brief<turn><image>go<turn>"
    whole = processor(text=[text], images=[[Image.open(BytesIO(image(1)))]])
    assert ids == list(whole["input_ids"][0])
    assert images.files == (image(1),) and images.text == text
    assert len(ids) == len(images.short_ids) + 6, "four placeholders for one mark, three more around them"


def test_a_text_that_spells_a_mark_stands_for_no_image(sees):
    ids, images = tokenizer(sees).see([Message("user", "<image><fake_token_around_image>", (image(1),))])
    assert images.text == "<turn><image>< image>< fake_token_around_image><turn>"
    mark = tokenizer(sees)._tokenizer.convert_tokens_to_ids(PLACEHOLDER)
    assert ids.count(mark) == 4


def test_a_prompt_is_cut_in_its_text_and_keeps_its_images(sees):
    message = Message("user", "x" * 100, (image(1),))
    ids, cut, images = fit_prompt(tokenizer(sees), [message], 40)
    assert (len(ids), cut, len(images.files)) == (40, True, 1)
    with pytest.raises(RolloutError, match="does not fit max_prompt_length = 5"):
        fit_prompt(tokenizer(sees), [message], 5)


def test_adapters_are_on_the_language_part_alone(sees):
    names = trainer(sees).named_parameters("a")
    assert names and all(".text_model.layers." in name for name in names)


def test_all_weights_of_a_full_policy_that_sees_are_trained(sees):
    names = trainer(sees, ("a",), model={"specialization": "full"}).named_parameters("a")
    assert any(".vision_model." in name for name in names) and any(".connector." in name for name in names)


def test_a_model_that_takes_none_is_refused(tied_model):
    for make in (tokenizer, lambda folder: trainer(folder, ("a",))):
        with pytest.raises(RefusedError, match="the model in .* takes none"):
            make(tied_model)
    with pytest.raises(RolloutError, match=r"env.multi_modal is false"):
        ChatTokenizer(tied_model, trust_remote_code=False).see([Message("user", "?", (image(1),))])


def test_an_engine_that_was_started_without_images_says_so(sees, tied_model):
    from pettingllms.rollout.hf import HfEngine

    engine = HfEngine(engine_settings(tied_model, "hf", "adapter"))
    (done,) = generate(engine, [asked(sees, "go", image(1))])
    assert done.finish_reason is FinishReason.FAILED
    assert done.error == "the prompt holds images, and the engine was started without"
    engine.close()
