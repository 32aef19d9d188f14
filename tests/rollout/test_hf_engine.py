"""The transformers engine: cut distributions, exact draws, padding, weights that do not drift."""

import math
from collections import Counter

import pytest
from engine_models import LETTERS, Reference, build_model, largest_gap, make_adapter
from served_engines import engine_settings

from pettingllms.errors import RolloutError
from pettingllms.rollout.engine import generate
from pettingllms.types import FinishReason, Request, TokenSampling

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")


def cut(logits, **sampling):
    from pettingllms.rollout.hf import processed_logprobs

    drawn = TokenSampling(**{"temperature": 1.0, "max_tokens": 1} | sampling)
    return [round(math.exp(x), 4) for x in processed_logprobs(torch.tensor(logits).log(), drawn).tolist()]


def test_distributions_are_cut_one_after_the_other():
    shares = [0.4, 0.3, 0.2, 0.1]
    assert cut(shares) == shares
    # Temperature 1/2 squares: 16, 9, 4, 1 of 30.
    assert cut(shares, temperature=0.5) == [0.5333, 0.3, 0.1333, 0.0333]
    assert cut(shares, temperature=0) == shares
    assert cut(shares, top_k=2) == [0.5714, 0.4286, 0, 0]
    # 0.3 of the largest is 0.12.
    assert cut(shares, min_p=0.3) == [0.4444, 0.3333, 0.2222, 0]
    # 0.4 + 0.3 reaches 0.65, 0.4 does not.
    assert cut(shares, top_p=0.65) == [0.5714, 0.4286, 0, 0]
    assert cut(shares, top_p=0.01) == [1, 0, 0, 0]
    # Of the three that top_k leaves (4/9, 3/9, 2/9) the first two make 0.777: top_p looks at those.
    assert cut(shares, top_k=3, top_p=0.75) == [0.5714, 0.4286, 0, 0]
    assert cut(shares, top_k=9) == shares


def test_draws_follow_the_distribution(hf):
    # 4,000 draws of the first token: a share p has a standard deviation of at most 0.008.
    prompt = (5, 6, 7)
    sampling = TokenSampling(1.0, 1, top_k=4)
    answers = generate(hf.engine, [Request("plain", prompt, sampling, seed) for seed in range(4000)])
    drawn = Counter(one.token_ids[0] for one in answers)
    claimed = {one.token_ids[0]: math.exp(one.logprobs[0]) for one in answers}
    assert len(drawn) == 4
    assert sum(claimed.values()) == pytest.approx(1, abs=1e-5)
    for token, share in claimed.items():
        assert drawn[token] / 4000 == pytest.approx(share, abs=0.04)


def test_padding_that_is_the_end_token_is_not_read(hf):
    # Id 0 is pad and end token: in a prompt it is read, beside a longer prompt it is not.
    prompts = [(0, 9, 0), (9,), tuple(range(5, 90))]
    requests = [Request("plain", prompt, TokenSampling(1.0, 8), 1) for prompt in prompts]
    together = generate(hf.engine, requests)
    assert largest_gap(Reference(hf.model), requests, together) < 1e-5
    alone = [generate(hf.engine, [request])[0] for request in requests]
    assert [one.token_ids for one in alone] == [one.token_ids for one in together]


def test_a_batch_is_of_one_policy_and_no_larger_than_allowed(hf):
    sampling = TokenSampling(1.0, 2)
    owners = ["plain"] * 17 + ["a"] * 2 + ["plain"]
    hf.load("a", seed=1)
    hf.engine.submit([(n, Request(owner, (5, 6), sampling, n)) for n, owner in enumerate(owners)])
    batches = [[number for number, _ in hf.engine.collect()] for _ in range(4)]
    assert batches == [list(range(16)), [16, 19], [17, 18], []]


def test_requests_of_one_batch_keep_their_own_sampling(hf):
    drawn = [TokenSampling(1.0, 3), TokenSampling(0.0, 9), TokenSampling(1.0, 6, top_k=1)]
    requests = [Request("plain", (5, 6, 7), sampling, 3) for sampling in drawn]
    free, greedy, only = generate(hf.engine, requests)
    assert len(free.token_ids) <= 3
    assert only.token_ids == greedy.token_ids[:6]
    assert only.logprobs == (0.0,) * len(only.token_ids)
    assert all(one.finish_reason in (FinishReason.LENGTH, FinishReason.STOP) for one in (free, greedy, only))


@pytest.mark.parametrize("kind", ["hf", "hf_merged"])
def test_weights_come_back_bit_for_bit(kind, request):
    served = request.getfixturevalue(kind)

    def weights():
        """The base weights, by their names in the model's files."""
        generate(served.engine, [Request("plain", (5, 6, 7), TokenSampling(0.0, 1), 0)])
        state = served.engine._model.state_dict()
        return {n.replace(".base_layer", ""): w.clone() for n, w in state.items() if "lora_" not in n}

    before = weights()
    for seed in range(3):
        served.load("a", seed=seed, size=0.5)
        [other] = generate(served.engine, [Request("a", (5, 6, 7), TokenSampling(0.0, 4), 0)])
        assert other.version == seed + 1
    after = weights()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("kind", ["hf", "hf_merged"])
def test_an_engine_whose_weights_are_not_those_of_its_start_is_not_restored(kind, request):
    served = request.getfixturevalue(kind)
    served.load("a", seed=1)
    generate(served.engine, [Request("a", (5,), TokenSampling(0.0, 1), 0)])
    # A buffer: no base weights that are sent again would mend it.
    _, frequency = next(served.engine._model.named_buffers())
    frequency[3] = torch.nextafter(frequency[3], torch.tensor(9.0))
    with pytest.raises(RolloutError, match="its weights are not those of its start"):
        served.engine.restore()


def test_adapters_do_not_pile_up(hf):
    for seed in range(4):
        hf.load("a", seed=seed)
        generate(hf.engine, [Request("a", (5,), TokenSampling(0.0, 1), 0)])
    assert len(hf.engine._peft.peft_config) == 1


def test_tied_weights_stay_tied_when_they_are_merged(hf_merged):
    hf_merged.load("a", seed=1)
    generate(hf_merged.engine, [Request("a", (5,), TokenSampling(0.0, 1), 0)])
    model = hf_merged.engine._model
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()


@pytest.mark.filterwarnings("ignore:.*save_embedding_layers:UserWarning")
def test_a_head_of_its_own_is_merged(untied_model, tmp_path):
    from pettingllms.rollout.hf import HfEngine

    adapter = make_adapter(untied_model, tmp_path, seed=6, target_modules=["lm_head", "v_proj"])
    engine = HfEngine(engine_settings(untied_model, "hf", "merged"))
    engine.load_policy("a", 1, adapter)
    requests = [Request("a", (5, 6, 7), TokenSampling(1.0, 12), seed) for seed in range(4)]
    assert largest_gap(Reference(untied_model, adapter), requests, generate(engine, requests)) < 1e-4


def test_files_with_other_names_than_the_model_are_not_merged(tmp_path):
    from safetensors.torch import load_file, save_file

    from pettingllms.rollout.hf import HfEngine

    model = build_model(tmp_path / "model", tied=False)
    engine = HfEngine(engine_settings(model, "hf", "merged"))
    adapter = make_adapter(model, tmp_path / "adapter", seed=6, target_modules=["v_proj"])
    weights = load_file(model / "model.safetensors")
    weights["model.other_norm.weight"] = weights.pop("model.norm.weight")
    save_file(weights, model / "model.safetensors")
    engine.load_policy("a", 1, adapter)
    engine.submit([(0, Request("a", (5,), TokenSampling(1.0, 1), 0))])
    with pytest.raises(RolloutError, match=r"merging failed: model\.other_norm\.weight"):
        engine.collect()


def test_letters_are_what_the_model_likes(hf):
    """The tests of this folder lean on it."""
    from pettingllms.models.tokenizer import ChatTokenizer

    answers = generate(hf.engine, [Request("plain", (5,), TokenSampling(1.0, 24), n) for n in range(8)])
    texts = [ChatTokenizer(hf.model, False).decode(one.token_ids) for one in answers]
    assert sum(letter in LETTERS for text in texts for letter in text) > 20
