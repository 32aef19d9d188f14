"""What engines sample is what the trainer scores: log-probabilities, ids, versions, adapters, stops.

vLLM runs for real, on tiny models in float32: merged weights of one whose head is tied to its embeddings,
adapters of one whose head is a matrix of its own.
"""

import math
from dataclasses import replace
from functools import cache
from statistics import fmean

import pytest
from engine_models import END_IDS, Reference, largest_gap, make_adapter
from plans import scored

from pettingllms.errors import RolloutError
from pettingllms.models.tokenizer import ChatTokenizer
from pettingllms.rollout.adapters import check_adapter
from pettingllms.rollout.engine import generate
from pettingllms.types import FinishReason, Message, Request, TokenSampling

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")

PROMPTS = [tuple(range(5, 5 + length)) for length in (3, 40, 70)]
MANY = [tuple(range(5, 5 + length)) for length in range(3, 35)]


def ask(policy="plain", temperature=1.0, seeds=range(4), prompts=PROMPTS, max_tokens=12, **sampling):
    drawn = TokenSampling(temperature, max_tokens, **sampling)
    return [Request(policy, prompt, drawn, seed) for prompt in prompts for seed in seeds]


def one_row(prompt_ids, completion, sampling):
    """The tensors that the trainer would score for this completion."""
    from pettingllms.training.batching import build_batch, rows

    sample = scored(prompt_ids, completion.token_ids, logprobs=completion.logprobs, sampling=sampling)
    return build_batch(rows([sample], [0], shared=True), torch.device("cpu"), packed=True)


# C6: every end token ends a completion.


@pytest.mark.parametrize("kind", ["hf", "vllm_merged"])
def test_c06_all_end_tokens_of_the_generation_settings_are_stops(kind, request):
    served = request.getfixturevalue(kind)
    completions = generate(served.engine, ask(max_tokens=40, seeds=range(8)))
    assert ChatTokenizer(served.model, trust_remote_code=False).end_ids == set(END_IDS)
    stopped = [one for one in completions if one.finish_reason is FinishReason.STOP]
    assert {one.token_ids[-1] for one in stopped} == set(END_IDS)
    for one in completions:
        assert not set(END_IDS) & set(one.token_ids[:-1])
        if one not in stopped:
            assert one.finish_reason is FinishReason.LENGTH
            assert len(one.token_ids) == 40


# C13, C14: the distribution that is scored is the one that was sampled from.


@pytest.mark.parametrize("temperature", [0.6, 1.5])
@pytest.mark.parametrize("kind", ["hf", "vllm_merged"])
def test_c13_first_tokens_have_the_trainers_probability(kind, temperature, request):
    served = request.getfixturevalue(kind)
    requests = ask(temperature=temperature, prompts=MANY, max_tokens=1, seeds=range(2))
    completions = generate(served.engine, requests)
    reference = Reference(served.model)
    ratios, at_one = [], []
    for asked, completion in zip(requests, completions, strict=True):
        [engine] = completion.logprobs
        [ours] = reference.trainer_logprobs(asked.prompt_ids, completion.token_ids, asked.sampling)
        [plain] = reference.logprobs(asked.prompt_ids, completion.token_ids)
        ratios.append(math.exp(ours - engine))
        at_one.append(math.exp(plain - engine))
    assert 0.98 <= fmean(ratios) <= 1.02
    assert max(abs(ratio - 1) for ratio in ratios) < 1e-3
    # The mean of p(1) / p(T) under p(T) is 1 whatever T is: only single ratios tell the temperatures apart.
    assert fmean(abs(ratio - 1) for ratio in at_one) > 0.2


CUTS = [{"top_p": 0.8}, {"top_k": 5}, {"min_p": 0.1}, {"top_p": 0.7, "top_k": 20, "min_p": 0.02}]


@pytest.mark.parametrize("cut", CUTS, ids="-".join)
@pytest.mark.parametrize("kind", ["hf", "vllm_merged"])
def test_c14_cut_distributions_sum_to_one_again(kind, cut, request):
    served = request.getfixturevalue(kind)
    requests = ask(temperature=1.2, prompts=MANY[::2], max_tokens=4, seeds=range(2), **cut)
    reference = Reference(served.model)
    ratios, kept = [], []
    for asked, completion in zip(requests, generate(served.engine, requests), strict=True):
        ours = reference.trainer_logprobs(asked.prompt_ids, completion.token_ids, asked.sampling)
        whole = reference.logprobs(asked.prompt_ids, completion.token_ids, temperature=1.2)
        ratios += [math.exp(a - b) for a, b in zip(ours, completion.logprobs, strict=True)]
        # p / (p / mass) is the mass that was kept.
        kept += [math.exp(a - b) for a, b in zip(whole, completion.logprobs, strict=True)]
    assert max(abs(ratio - 1) for ratio in ratios) < 1e-3
    assert fmean(kept) < 0.95, "nothing was cut"


# C15, C16: the ids of prompt and completion are scored as they were sent and sampled.


@pytest.mark.parametrize("kind", ["hf", "vllm_merged"])
def test_c15_sampled_ids_are_scored_though_their_text_encodes_otherwise(kind, request):
    served = request.getfixturevalue(kind)
    tokenizer = ChatTokenizer(served.model, trust_remote_code=False)
    reference, turn = Reference(served.model), 1
    history, sampling = tuple(tokenizer.encode("abc abc")), TokenSampling(1.0, 24)

    def lost(completion):
        """Tokens fewer once the text is encoded again; the end token is no text."""
        return len(completion.token_ids) - 1 - len(tokenizer.encode(tokenizer.decode(completion.token_ids)))

    for step in range(5):
        prompt = (*history, turn)
        seeds = range(8 * step, 8 * step + 8)
        candidates = generate(served.engine, [Request("plain", prompt, sampling, seed) for seed in seeds])
        completion = max(candidates, key=lost)
        assert lost(completion) > 0
        batch = one_row(prompt, completion, sampling)
        assert batch.chosen_N.tolist() == list(completion.token_ids)
        sequence = (*prompt, *completion.token_ids)
        assert batch.input_BT[0].tolist() == list(sequence[:-1])
        assert reference.logprobs(prompt, completion.token_ids) == pytest.approx(
            completion.logprobs, abs=1e-3
        )
        history = sequence


PLAIN_TEMPLATE = "{% for m in messages %}<turn>{{ m.content }}{% endfor %}<turn>"
FORGETFUL_TEMPLATE = (
    "{% for m in messages %}<turn>"
    "{{ m.content.split('</think>')[-1] if m.role == 'assistant' else m.content }}"
    "{% endfor %}<turn><think>"
)
ADDING_TEMPLATE = (
    "{% if messages[0].role != 'system' %}<turn>be brief{% endif %}"
    "{% for m in messages %}<turn>{{ m.role }}:{{ m.content }}{% endfor %}<turn>assistant:"
)


@cache
def embedded_template():
    """The chat template of the embedded model, from its own file."""
    from gguf import GGUFReader

    from pettingllms.models.embedded import gguf_file

    return GGUFReader(gguf_file()).fields["tokenizer.chat_template"].contents()


@pytest.mark.parametrize("template", ["plain", "forgetful", "adding", "embedded"])
@pytest.mark.parametrize("kind", ["hf", "vllm_merged"])
def test_c16_prompt_ids_sent_are_prompt_ids_scored(kind, template, request, monkeypatch):
    served = request.getfixturevalue(kind)
    texts = {"plain": PLAIN_TEMPLATE, "forgetful": FORGETFUL_TEMPLATE, "adding": ADDING_TEMPLATE}
    tokenizer = ChatTokenizer(served.model, trust_remote_code=False)
    text = embedded_template() if template == "embedded" else texts[template]
    monkeypatch.setattr(tokenizer._tokenizer, "chat_template", text)
    reference, sampling = Reference(served.model), TokenSampling(1.0, 16)
    messages, turns = [Message("user", "What is 2 + 2?")], []
    for seed in range(3):
        prompt = tuple(tokenizer.chat(messages))
        [completion] = generate(served.engine, [Request("plain", prompt, sampling, seed)])
        turns.append((prompt, completion))
        thought = f"a thought</think>{tokenizer.decode(completion.token_ids)}"
        messages += [Message("assistant", thought), Message("user", "Sure?")]
    for prompt, completion in turns:
        batch = one_row(prompt, completion, sampling)
        assert batch.input_BT[0, : len(prompt)].tolist() == list(prompt)
        assert batch.scored_N.tolist()[0] == len(prompt) - 1
        # The engine read the very same ids: any other prompt would give other numbers.
        assert reference.logprobs(prompt, completion.token_ids) == pytest.approx(
            completion.logprobs, abs=1e-3
        )
    thoughts = [tokenizer.decode(prompt).count("a thought") for prompt, _ in turns]
    assert thoughts == ([0, 0, 0] if template == "forgetful" else [0, 1, 2])


# C25, C26: no old weights answer, and each completion says which weights did.


def test_c25_a_cached_prompt_is_answered_by_the_new_weights(vllm, tmp_path):
    from served_engines import Served, engine_settings

    from pettingllms.rollout.hf import HfEngine

    requests = ask("c", temperature=0.0, seeds=[0], max_tokens=24)
    vllm.load("c", seed=3)
    before = generate(vllm.engine, requests)
    assert generate(vllm.engine, requests) == before, "now the prompts are cached"
    _, adapter = vllm.load("c", seed=4, size=0.3)
    after = generate(vllm.engine, requests)
    fresh = Served(HfEngine(engine_settings(vllm.model, "hf", "adapter")), "", vllm.model, tmp_path, {})
    fresh.engine.load_policy("c", 1, adapter)
    expected = [one.token_ids for one in generate(fresh.engine, requests)]
    assert [one.token_ids for one in after] == expected
    assert all(one.token_ids != other.token_ids for one, other in zip(after, before, strict=True))
    assert largest_gap(Reference(vllm.model, adapter), requests, after) < 1e-3


def test_c25_a_restored_engine_takes_nothing_for_what_it_had_before(vllm, tmp_path):
    from served_engines import Served, engine_settings

    from pettingllms.rollout.hf import HfEngine

    requests = ask("c", temperature=0.0, seeds=[0], max_tokens=24)
    vllm.restore()
    first, _ = vllm.load("c", seed=3)
    before = generate(vllm.engine, requests)
    vllm.restore()
    # The next run: the same policy, the same version, other weights.
    again, adapter = vllm.load("c", seed=4, size=0.3)
    assert (first, again) == (1, 1)
    after = generate(vllm.engine, requests)
    fresh = Served(HfEngine(engine_settings(vllm.model, "hf", "adapter")), "", vllm.model, tmp_path, {})
    fresh.engine.load_policy("c", 1, adapter)
    assert [one.token_ids for one in after] == [one.token_ids for one in generate(fresh.engine, requests)]
    assert all(one.token_ids != other.token_ids for one, other in zip(after, before, strict=True))
    assert largest_gap(Reference(vllm.model, adapter), requests, after) < 1e-3


def test_c26_every_completion_tells_the_version_that_sampled_it(vllm):
    requests = {policy: ask(policy, seeds=range(2)) for policy in ("a", "b")}
    newest = {}
    for seed in (11, 12, 13):
        previous = dict(newest)
        newest = {policy: vllm.load(policy, seed=seed + ord(policy)) for policy in requests}
        both = [one for pair in zip(*requests.values(), strict=True) for one in pair]
        completions = generate(vllm.engine, both)
        for place, (policy, asked) in enumerate(requests.items()):
            version, adapter = newest[policy]
            own = completions[place::2]
            assert {one.version for one in own} == {version}
            assert largest_gap(Reference(vllm.model, adapter), asked, own) < 1e-3
            if previous:
                assert largest_gap(Reference(vllm.model, previous[policy][1]), asked, own) > 0.1
            other = newest["b" if policy == "a" else "a"][1]
            assert largest_gap(Reference(vllm.model, other), asked, own) > 0.1
    plain = ask(seeds=range(2))
    completions = generate(vllm.engine, plain)
    assert {one.version for one in completions} == {0}
    assert largest_gap(Reference(vllm.model), plain, completions) < 1e-3


# C27: an adapter means the same to the engine as to PEFT.

KINDS = {
    "rank 1": {"r": 1},
    "rank 8": {"r": 8},
    "rsLoRA": {"r": 4, "use_rslora": True},
    "some modules": {"target_modules": ["q_proj", "down_proj"]},
}


@pytest.mark.parametrize("kind", KINDS)
def test_c27_an_adapter_is_applied_as_peft_applies_it(vllm, kind):
    _, adapter = vllm.load("d", seed=5, **KINDS[kind])
    requests = ask("d")
    completions = generate(vllm.engine, requests)
    assert largest_gap(Reference(vllm.model, adapter), requests, completions) < 1e-4
    assert largest_gap(Reference(vllm.model), requests, completions) > 0.01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("engine", ["hf", "hf_merged"])
def test_c27_hf_applies_an_adapter_as_peft_does(engine, kind, request):
    served = request.getfixturevalue(engine)
    _, adapter = served.load("d", seed=5, **KINDS[kind])
    requests = ask("d")
    completions = generate(served.engine, requests)
    assert largest_gap(Reference(served.model, adapter), requests, completions) < 1e-4


@pytest.mark.filterwarnings("ignore:.*save_embedding_layers:UserWarning")
def test_c27_a_head_of_its_own_is_adapted(vllm_adapter):
    _, adapter = vllm_adapter.load("d", seed=6, target_modules=["lm_head", "v_proj"])
    requests = ask("d")
    completions = generate(vllm_adapter.engine, requests)
    assert largest_gap(Reference(vllm_adapter.model, adapter), requests, completions) < 1e-4


REFUSED = {
    "use_dora": ({"use_dora": True}, "use_dora"),
    "bias": ({"bias": "all"}, "bias = all"),
    "modules_to_save": ({"modules_to_save": ["norm"]}, "modules_to_save"),
    "rank_pattern": ({"rank_pattern": {"q_proj": 2}}, "rank_pattern"),
    "olora": ({"init_lora_weights": "olora"}, "init_lora_weights = olora"),
    "rank": ({"r": 16}, "above max_lora_rank = 8"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_c27_what_is_more_than_plain_lora_is_refused_before_it_is_loaded(untied_model, tmp_path, kind):
    changes, message = REFUSED[kind]
    make_adapter(untied_model, tmp_path, seed=7, **changes)
    with pytest.raises(RolloutError, match=message):
        check_adapter(untied_model, tmp_path, 8)


@pytest.mark.filterwarnings("ignore:.*save_embedding_layers:UserWarning")
def test_c27_embeddings_are_not_adapted(untied_model, tmp_path):
    make_adapter(untied_model, tmp_path, seed=7, target_modules=["embed_tokens"])
    with pytest.raises(RolloutError, match="lora_embedding_A, which engines cannot serve"):
        check_adapter(untied_model, tmp_path, 8)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_c27_a_matrix_that_the_base_does_not_have_is_an_error(tied_model, untied_model, tmp_path):
    make_adapter(untied_model, tmp_path / "head", seed=7, target_modules=["lm_head"])
    with pytest.raises(RolloutError, match=r"adapts lm_head\.weight, which the base model does not have"):
        check_adapter(tied_model, tmp_path / "head", 8)
    config = untied_model / "config.json"
    other = tmp_path / "smaller"
    other.mkdir()
    (other / "config.json").write_text(config.read_text())
    from safetensors.torch import load_file, save_file

    weights = load_file(untied_model / "model.safetensors")
    save_file({n: w for n, w in weights.items() if "layers.1" not in n}, other / "model.safetensors")
    make_adapter(untied_model, tmp_path / "whole", seed=7)
    with pytest.raises(
        RolloutError, match=r"adapts model\.layers\.1\.\S+, which the base model does not have"
    ):
        check_adapter(other, tmp_path / "whole", 8)


# C39: stop strings.

STOPS = {
    # The middle letter of three: the token goes on behind the stop string.
    "inside one token": lambda one, _: one[1] if len(one) == 3 else None,
    "over two tokens": lambda one, other: one[-1] + other[0] if one and other else None,
    "at the end of the text": lambda one, _: one[-1:] if len(one) == 2 else None,
}


@pytest.mark.parametrize("where", ["inside one token", "over two tokens", "at the end of the text"])
@pytest.mark.parametrize("kind", ["hf", "vllm_merged", "vllm_adapter"])
def test_c39_stop_strings_leave_the_ids_as_they_were_sampled(kind, where, request):
    served = request.getfixturevalue(kind)
    tokenizer = ChatTokenizer(served.model, trust_remote_code=False)
    requests = ask(max_tokens=40, seeds=range(6))
    stopped = []
    for asked, free in zip(requests, generate(served.engine, requests), strict=True):
        texts = [tokenizer.decode([token]) for token in free.token_ids]
        stop = next(filter(None, map(STOPS[where], texts, texts[1:])), None)
        if stop is not None and stop.isascii():
            sampling = replace(asked.sampling, stop=("zz", stop))
            stopped.append((replace(asked, sampling=sampling), free, stop))
    assert len(stopped) >= 3
    completions = generate(served.engine, [asked for asked, _, _ in stopped])
    for cut, (_, free, stop) in zip(completions, stopped, strict=True):
        needed = next(count for count in range(41) if stop in tokenizer.decode(free.token_ids[:count]))
        assert cut.token_ids == free.token_ids[:needed]
        assert cut.logprobs == pytest.approx(free.logprobs[:needed], abs=1e-4)
        assert cut.finish_reason is FinishReason.STOP_STRING
        assert not set(END_IDS) & set(cut.token_ids)


@pytest.mark.parametrize("kind", ["hf", "vllm_merged"])
def test_c39_an_end_token_is_an_end_though_strings_would_stop_too(kind, request):
    served = request.getfixturevalue(kind)
    requests = ask(max_tokens=40, seeds=range(8))
    free = generate(served.engine, requests)
    never = [replace(one, sampling=replace(one.sampling, stop=("nowhere",))) for one in requests]
    stopped = generate(served.engine, never)
    assert [(one.token_ids, one.finish_reason) for one in stopped] == [
        (one.token_ids, one.finish_reason) for one in free
    ]
    assert {one.finish_reason for one in free} == {FinishReason.STOP, FinishReason.LENGTH}
