"""Conformance of scoring: which log-probability belongs to which token, under which weights."""

import json
import math
from dataclasses import replace

import pytest
import torch
from plans import PLAIN, model_of, plans_of, ragged_groups, scored
from safetensors.torch import load_file

from pettingllms.errors import RefusedError
from pettingllms.losses import logprobs
from pettingllms.losses.kl import kl_estimate
from pettingllms.training import policies as policies_module
from pettingllms.training.batching import build_batch, micro_batches, rows
from pettingllms.training.policies import Policies

CPU = torch.device("cpu")
LAYOUTS = pytest.mark.parametrize("layout", ["shared", "packed", "padded"])


def policies_of(folder, /, names=("a.b", "b"), **settings):
    made = Policies(plans_of(names, **settings).values(), folder, CPU, trust_remote_code=False, seed=0)
    # Fresh adapters are the identity; something to say lets errors show.
    generator = torch.Generator().manual_seed(1)
    for name in made.plans:
        for parameter in made.parameters(name):
            parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return made


@pytest.fixture(params=["lora", "full"])
def kind(request):
    """What policies train."""
    return request.param


@pytest.fixture
def policies(tiny_model, kind):
    return policies_of(tiny_model, model={"specialization": kind})


def batch_of(samples, layout="shared"):
    made = rows(samples, range(len(samples)), shared=layout == "shared")
    return build_batch(made, CPU, packed=layout != "padded")


def by_sample(batch, values_N):
    """Values of each sample, by its index."""
    parts = values_N.split(batch.length_S.tolist())
    return dict(zip(batch.samples, parts, strict=True))


def members(count=4):
    return [member for group in ragged_groups(count) for member in group.members]


def ids_of(one):
    return one.sample.completion.token_ids


def whole_model(policies, policy, one):
    """Log-probabilities of one sample: its sequence alone, unpadded, through the whole model's own head."""
    ids = torch.tensor([[*one.prompt_ids, *ids_of(one)]])
    logits = model_of(policies, policy)(input_ids=ids, use_cache=False).logits[0]
    chosen = torch.log_softmax(logits, dim=-1)[:-1].gather(1, ids[0, 1:, None])
    return chosen[len(one.prompt_ids) - 1 :, 0]


def gradients(policies, policy, loss):
    for parameter in policies.parameters(policy):
        parameter.grad = None
    loss.backward()
    return [parameter.grad.clone() for parameter in policies.parameters(policy)]


def distance(first, second):
    return max((a - b).abs().max().item() for a, b in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def counting_model(tmp_path_factory):
    """A model that is sure that token t + 1 follows token t: unit vectors go in, and layers do nothing."""
    from transformers import LlamaConfig, LlamaForCausalLM

    size = 32
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=size,
            hidden_size=size,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            tie_word_embeddings=False,
        )
    )
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(torch.eye(size))
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.lm_head.weight.copy_(30 * torch.eye(size).roll(1, dims=0))
    folder = tmp_path_factory.mktemp("models") / "counting"
    model.save_pretrained(folder)
    return folder


@LAYOUTS
def test_c01_the_position_before_a_token_predicts_it(counting_model, layout):
    policies = Policies(plans_of(("a",)).values(), counting_model, CPU, trust_remote_code=False, seed=0)
    samples = [
        scored([3, 4, 5], [6, 7, 8, 9]),
        scored([3, 4, 5], [6, 7]),
        scored([9], [10]),
        scored([20, 21], [22, 23, 24]),
    ]
    values, _ = policies.score("a", batch_of(samples, layout))
    assert values.abs().max() < 1e-6
    # One token off is as unlikely as can be: the head has a margin of 30 x sqrt(32).
    wrong, _ = policies.score("a", batch_of([scored([3, 4, 5], [5])], layout))
    assert wrong.item() < -100


@LAYOUTS
def test_c02_every_sampled_token_is_scored_also_behind_a_prompt_of_one(policies, layout):
    samples = [scored([7], [8]), scored([7], [9, 10, 11]), scored([7], [8, 8]), scored([5, 6], [7])]
    batch = batch_of(samples, layout)
    assert batch.tokens == 1 + 3 + 2 + 1
    values, _ = policies.score("a.b", batch)
    found = by_sample(batch, values)
    for index, one in enumerate(samples):
        assert len(found[index]) == len(ids_of(one))
        assert torch.allclose(found[index], whole_model(policies, "a.b", one), atol=1e-5)


@pytest.mark.parametrize("double", [False, True], ids=["fp32", "fp64"])
def test_c03_alone_padded_packed_and_shared_give_the_same(policies, double):
    if double:
        model_of(policies).double()
    samples = members()
    alone = [policies.score("a.b", batch_of([one]))[0] for one in samples]
    tolerance = 1e-10 if double else 1e-5
    for shared, packed in ((True, True), (False, True), (False, False)):
        for budget in (None, 40, 100):
            made = rows(samples, range(len(samples)), shared=shared)
            for micro_batch in micro_batches(made, token_budget=budget, sequences=None, packed=packed):
                batch = build_batch(micro_batch, CPU, packed=packed)
                values, _ = policies.score("a.b", batch)
                assert values.dtype == (torch.float64 if double else torch.float32)
                for index, own in by_sample(batch, values).items():
                    assert (own - alone[index]).abs().max() < tolerance


@LAYOUTS
def test_c04_other_samples_tokens_change_nothing_bit_for_bit(policies, layout):
    kept = [scored([5, 6, 7], [8, 9, 10]), scored([11, 12], [13, 14])]
    changed = [[20, 21, 22, 23], [90, 91, 92, 93]]
    seen = []
    for ids in changed:
        samples = [*kept, scored([5, 6, 7], ids), scored([11, 12], ids[:2])]
        batch = batch_of(samples, layout)
        values, entropies = policies.score("a.b", batch, entropy=True)
        found = by_sample(batch, values)
        own = torch.cat([found[0], found[1]])
        of_entropy = by_sample(batch, entropies)
        grads = gradients(policies, "a.b", own.sum())
        seen.append((own, torch.cat([of_entropy[0], of_entropy[1]]), *grads))
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))
    assert distance(seen[0][2:], [torch.zeros_like(one) for one in seen[0][2:]]) > 0


@LAYOUTS
def test_c05_the_end_token_is_trained_and_seen_though_it_is_the_padding(policies, layout):
    # Token 0 is both <end> and the padding of the tiny model.
    short, long = scored([5, 0, 6], [7, 0]), scored([5, 9, 6], [7, 8, 9, 10, 0])
    batch = batch_of([short, long], layout)
    values, _ = policies.score("a.b", batch)
    found = by_sample(batch, values)
    for index, one in enumerate((short, long)):
        assert torch.allclose(found[index], whole_model(policies, "a.b", one), atol=1e-5)
    end = gradients(policies, "a.b", found[0][-1])
    assert max(one.abs().max().item() for one in end) > 1e-4
    other, _ = policies.score("a.b", batch_of([scored([5, 9, 6], [7, 0])], layout))
    values, _ = policies.score("a.b", batch_of([short], layout))
    assert not torch.allclose(values, other, atol=1e-3), "an <end> inside a prompt is seen"


@LAYOUTS
@pytest.mark.parametrize("chunk", [256, 2], ids=["whole", "chunked"])
@pytest.mark.parametrize("recomputed", [False, True], ids=["kept", "recomputed"])
def test_c17_only_sampled_tokens_carry_loss(tiny_model, monkeypatch, layout, chunk, recomputed, kind):
    monkeypatch.setattr(logprobs, "CHUNK_POSITIONS", chunk)
    model = {"enable_gradient_checkpointing": recomputed, "specialization": kind}
    policies = policies_of(tiny_model, model=model)
    seen = []

    def keep(module, arguments, output):
        output.last_hidden_state.retain_grad()
        seen.append(output.last_hidden_state)

    model_of(policies).base_model.register_forward_hook(keep)
    # The prompt holds what others said: system text, an observation, another agent's message.
    prompt = [1, 40, 41, 1, 50, 51, 52, 1, 60, 1]
    samples = [scored(prompt, [70, 71, 0]), scored(prompt, [72]), scored([5], [6, 7])]
    batch = batch_of(samples, layout)
    values, entropies = policies.score("a.b", batch, entropy=True)
    (values.sum() + entropies.sum()).backward()
    [hidden] = seen
    carried = hidden.grad.flatten(0, 1).abs().amax(dim=1)
    sampled = torch.zeros(len(carried), dtype=torch.bool)
    sampled[batch.scored_N] = True
    assert torch.equal(carried > 0, sampled)
    # 3 + 1 + 2 tokens; where the prompt is shared, two first tokens have one position.
    assert sampled.sum() == (5 if layout == "shared" else 6)


@pytest.mark.parametrize("kind", ["lora"])
def test_c22_the_reference_of_a_fresh_adapter_is_the_base_model(tiny_model, policies):
    samples = members(2)
    base = Policies(plans_of(("x",)).values(), tiny_model, CPU, trust_remote_code=False, seed=5)
    batch = batch_of(samples)
    wanted, _ = base.score("x", batch)
    for name in policies.plans:
        own, _ = policies.score(name, batch)
        found, _ = policies.score(name, batch, reference=True)
        assert torch.equal(found, wanted) and not torch.equal(found, own)
        assert not found.requires_grad
        again, _ = policies.score(name, batch)
        assert torch.equal(again, own) and again.requires_grad


@pytest.mark.parametrize("kind", ["lora"])
def test_c22_the_reference_of_a_started_run_is_its_frozen_starting_adapter(tiny_model, policies, tmp_path):
    batch = batch_of(members(2))
    start, _ = policies.score("b", batch)
    policies.export("b", tmp_path)
    plans = plans_of(("fresh", "on"), model={})
    started = plans_of(("fresh", "on"), model={"lora_adapter_path": str(tmp_path)})
    made = Policies([plans["fresh"], started["on"]], tiny_model, CPU, trust_remote_code=False, seed=0)
    own, _ = made.score("on", batch)
    assert torch.equal(own, start), "the distance at the start is 0"
    assert torch.equal(made.score("on", batch, reference=True)[0], start)
    own.sum().backward()
    made.optimizers["on"].step()
    assert not torch.allclose(made.score("on", batch)[0], start, atol=1e-3)
    assert torch.equal(made.score("on", batch, reference=True)[0], start)
    fresh, _ = made.score("fresh", batch)
    assert torch.equal(made.score("fresh", batch, reference=True)[0], fresh), "base: nothing was trained"


def drawn_from(logits, sampling):
    """Probabilities of a list of logits, cut by min_p, top_k and top_p one after the other; 0 where cut."""
    shares = [math.exp(value / sampling.temperature) for value in logits]
    order = sorted(range(len(shares)), key=lambda token: -shares[token])
    order = [token for token in order if shares[token] >= sampling.min_p * shares[order[0]]]
    order = order[: sampling.top_k] if sampling.top_k > 0 else order
    mass, nucleus = sum(shares[token] for token in order), []
    while sum(shares[token] for token in nucleus) < sampling.top_p * mass and len(nucleus) < len(order):
        nucleus.append(order[len(nucleus)])
    left = sum(shares[token] for token in nucleus)
    return [shares[token] / left if token in nucleus else 0.0 for token in range(len(shares))]


@pytest.fixture(scope="module")
def eight_tokens(tmp_path_factory):
    """A model of eight tokens that likes some of them better: few enough to try every draw."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=8,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            initializer_range=0.4,
            bos_token_id=0,
            eos_token_id=0,
        )
    )
    folder = tmp_path_factory.mktemp("models") / "eight"
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "cut",
    [{}, {"top_p": 0.8}, {"top_k": 3}, {"min_p": 0.3}, {"top_p": 0.9, "top_k": 5, "min_p": 0.05}],
    ids=lambda cut: " ".join(cut) or "whole",
)
def test_the_mean_distance_over_all_draws_is_the_kl_to_the_whole_reference(eight_tokens, cut):
    sampling, prompt = replace(PLAIN, temperature=0.7, **cut), (3, 4)
    policies = policies_of(eight_tokens)
    inner = model_of(policies).double()

    def logits(adapter, ids):
        with torch.no_grad(), policies.weights["a.b"].switch.using(adapter):
            return inner(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].tolist()

    # Every pair of tokens that can be drawn with its probability; KL is the sum over both draws.
    pairs, kl, cut_away = {}, 0.0, 0.0
    first_draw = drawn_from(logits("policy0", prompt), sampling)
    for before, weight in [((), 1.0), *(((token,), share) for token, share in enumerate(first_draw))]:
        if weight == 0:
            continue
        own = drawn_from(logits("policy0", (*prompt, *before)), sampling)
        whole = drawn_from(logits(None, (*prompt, *before)), replace(PLAIN, temperature=0.7))
        for token, share in enumerate(own):
            if share > 0:
                kl += weight * share * math.log(share / whole[token])
                if before:
                    pairs[(*before, token)] = weight * share
            else:
                cut_away += weight * whole[token]
    assert sum(pairs.values()) == pytest.approx(1) and kl > 0.01 and (cut_away > 0.05) == bool(cut)

    batch = batch_of([scored(prompt, ids, sampling=sampling) for ids in pairs])
    with torch.no_grad():
        new, _ = policies.score("a.b", batch)
        reference, _ = policies.score("a.b", batch, reference=True)
    share_N = torch.tensor(list(pairs.values()))[torch.tensor(batch.samples)][batch.sequence_N]

    def mean(kind):
        return (share_N * kl_estimate(kind, new, reference)).sum().item()

    assert mean("k1") == pytest.approx(kl, abs=1e-6)
    # exp(-d) - 1 sums to the reference's probability of what can be drawn, less 1.
    assert mean("k3") == pytest.approx(kl - cut_away, abs=1e-6)


@pytest.mark.parametrize("kind", ["lora"])
@pytest.mark.parametrize("started", [False, True], ids=["fresh", "started"])
def test_c22_an_exception_leaves_adapter_and_gradients_as_they_were(
    tiny_model, policies, tmp_path, monkeypatch, started
):
    if started:
        policies.export("b", tmp_path)
        policies = policies_of(tiny_model, model={"lora_adapter_path": str(tmp_path)})
    batch = batch_of(members(2))
    before, _ = policies.score("a.b", batch)
    wanted = gradients(policies, "a.b", before.sum())
    pending, _ = policies.score("a.b", batch)
    model = policies.weights["a.b"].model
    flags = {name: one.requires_grad for name, one in model.named_parameters()}

    def broken(*arguments, **options):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(policies_module, "chosen_logprobs", broken)
        with pytest.raises(MemoryError):
            policies.score("a.b", batch, reference=True)
    assert {name: one.requires_grad for name, one in model.named_parameters()} == flags
    assert model.active_adapter == policies.weights["a.b"].adapter
    got = gradients(policies, "a.b", pending.sum())
    assert all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True))
    assert torch.equal(policies.score("a.b", batch)[0], before)


@pytest.mark.parametrize("recomputed", [False, True], ids=["kept", "recomputed"])
def test_c24_switching_between_steps_keeps_every_policy_learning(tiny_model, recomputed, kind):
    model = {"enable_gradient_checkpointing": recomputed, "specialization": kind}
    policies = policies_of(tiny_model, model=model)
    batch = batch_of(members(2))
    sets = {name: {id(one) for one in policies.parameters(name)} for name in policies.plans}
    # 2 layers of 7 matrices, each with two factors; or 7 matrices and 2 norms, one norm, and the tied ends.
    count = {"lora": 28, "full": 20}[kind]
    assert all(len(one) == count for one in sets.values())
    assert not sets["a.b"] & sets["b"]
    for name, optimizer in policies.optimizers.items():
        held = [one for group in optimizer.param_groups for one in group["params"]]
        assert {id(one) for one in held} == sets[name] and len(held) == count
    for name in ("a.b", "b", "a.b", "b"):
        before = [one.detach().clone() for one in policies.parameters(name)]
        policies.optimizers[name].zero_grad()
        values, _ = policies.score(name, batch)
        values.mean().backward()
        assert all(one.grad is not None and one.grad.abs().max() > 0 for one in policies.parameters(name))
        policies.optimizers[name].step()
        pairs = zip(before, policies.parameters(name), strict=True)
        assert not any(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("recomputed", [False, True], ids=["kept", "recomputed"])
def test_c24_a_switch_before_the_backward_pass_takes_no_gradient(tiny_model, recomputed, kind):
    model = {"enable_gradient_checkpointing": recomputed, "specialization": kind}
    policies = policies_of(tiny_model, model=model, actor={"use_kl_loss": True})
    batch = batch_of(members(2))
    wanted = {
        name: gradients(policies, name, policies.score(name, batch)[0].sum()) for name in policies.plans
    }
    losses = {name: policies.score(name, batch)[0].sum() for name in policies.plans}
    policies.score("b", batch, reference=True)
    for name, loss in losses.items():
        got = gradients(policies, name, loss)
        assert all(torch.equal(a, b) for a, b in zip(got, wanted[name], strict=True))


@pytest.mark.parametrize("kind", ["lora"])
def test_c28_a_tied_model_stays_tied_and_its_adapters_hold_no_head(tiny_model, policies, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    batch = batch_of(members(2))
    policies.score("a.b", batch)[0].sum().backward()
    policies.optimizers["a.b"].step()
    inner = model_of(policies)
    assert inner.get_output_embeddings().weight is inner.get_input_embeddings().weight
    policies.export("a.b", tmp_path)
    names = set(load_file(tmp_path / "adapter_model.safetensors"))
    assert len(names) == 28
    assert all(".lora_A." in name or ".lora_B." in name for name in names)
    assert not any("embed" in name or "lm_head" in name for name in names)
    settings = json.loads((tmp_path / "adapter_config.json").read_text())
    assert not settings["modules_to_save"]
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), tmp_path).eval()
    again = loaded.base_model.model
    assert again.get_output_embeddings().weight is again.get_input_embeddings().weight
    one = members(2)[0]
    ids = torch.tensor([[*one.prompt_ids, *ids_of(one)]])
    assert torch.allclose(loaded(ids).logits, model_of(policies, "a.b")(ids).logits, atol=1e-6)


@pytest.mark.parametrize(
    "target",
    [["q_proj", "lm_head"], ["embed_tokens"], r".*(q_proj|lm_head)"],
    ids=["head", "embed", "pattern"],
)
def test_c28_an_adapter_on_either_end_of_a_tied_model_is_refused(tiny_model, target):
    with pytest.raises(RefusedError, match="which is tied to the other end of the model") as caught:
        policies_of(tiny_model, model={"target_modules": target})
    assert "'a.b'" in str(caught.value) and "target_modules" in caught.value.help


@LAYOUTS
def test_c29_bf16_weights_keep_log_probabilities_close_and_in_fp32(tiny_model, layout):
    precise = policies_of(tiny_model)
    rough = policies_of(tiny_model, actor={"fsdp_config": {"model_dtype": "bf16"}})
    assert model_of(rough).get_output_embeddings().weight.dtype == torch.bfloat16
    for name in rough.plans:
        assert all(one.dtype == torch.float32 for one in rough.parameters(name))
        # Fresh adapters are rounded to the base's format; here both have the same.
        for own, other in zip(rough.parameters(name), precise.parameters(name), strict=True):
            own.data.copy_(other)
    for one in (precise, rough):
        # Fresh weights are sure of nothing: with logits 16 times as large, errors weigh as in a real model.
        model_of(one).get_output_embeddings().weight.data.mul_(16)
    batch = batch_of(members(8), layout)
    wanted, _ = precise.score("a.b", batch)
    found, entropies = rough.score("a.b", batch, entropy=True)
    assert wanted.std() > 1
    error = (found - wanted).square().mean().sqrt().item()
    assert 0 < error < 0.05
    assert {found.dtype, entropies.dtype, batch.engine_N.dtype, batch.advantage_N.dtype} == {torch.float32}
    head = model_of(rough).get_output_embeddings().weight
    logits = rough.hidden("a.b", batch).float() @ head.float().T
    exact = torch.log_softmax(logits, dim=1).gather(1, batch.chosen_N[:, None])[:, 0]
    assert torch.allclose(found, exact, atol=1e-6), "the product with the head is taken in float32"


@pytest.mark.parametrize("recomputed", [False, True], ids=["kept", "recomputed"])
def test_c48_a_shared_prompt_gives_the_full_pass_log_probabilities_and_gradients(
    tiny_model, recomputed, kind
):
    model = {"enable_gradient_checkpointing": recomputed, "specialization": kind}
    policies = policies_of(tiny_model, model=model)
    samples = [scored(range(20, 60), range(60 + n, 70 + 2 * n)) for n in range(8)]
    assert policies.shared_prompt
    weights = [math.sin(index + 1) for index in range(8)]
    full = [whole_model(policies, "a.b", one) for one in samples]
    wanted = gradients(policies, "a.b", sum(w * own.sum() for w, own in zip(weights, full, strict=True)))
    batch = batch_of(samples)
    # 40 tokens of the prompt once, and all but the last of 10 to 17 tokens.
    assert batch.input_BT.shape == (1, 40 + sum(9 + n for n in range(8)))
    values, _ = policies.score("a.b", batch)
    found = by_sample(batch, values)
    assert max((found[n] - full[n]).abs().max().item() for n in range(8)) < 1e-5
    got = gradients(policies, "a.b", sum(weights[n] * found[n].sum() for n in range(8)))
    assert distance(got, wanted) < 1e-5
