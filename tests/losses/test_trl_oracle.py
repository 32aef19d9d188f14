"""Our loss and gradients beside those of TRL's GRPOTrainer, on the same tokens and weights.

Everything but the drawing of tokens is TRL's own code on a real trainer: `_generate_and_score_completions`,
which computes old, reference and importance ratios from the tokens that stand in for `_generate`'s, and
`_compute_loss`.
"""

import os
import random
from dataclasses import replace
from importlib import import_module
from unittest import mock

import pytest
import torch

from pettingllms.losses.logprobs import chosen_logprobs
from pettingllms.losses.policy_loss import LossSettings, LossTokens, policy_loss
from pettingllms.types import TokenSampling

LONGEST = 12
TEMPERATURE = 0.7
SAMPLING = TokenSampling(temperature=TEMPERATURE, max_tokens=LONGEST)
REWARDS = [1.0, 0.0, 0.25, 0.0, 0.5, 1.0, 0.0, 0.75]

source = random.Random(3)
PROMPTS = [[source.randint(2, 250) for _ in range(length)] for length in (5, 9) for _ in range(4)]
RESPONSES = [[source.randint(2, 250) for _ in range(length)] for length in (1, 12, 4, 7, 2, 12, 9, 3)]
NOISE = [[source.gauss(0, 0.5) for _ in response] for response in RESPONSES]
"""What the engine's log-probabilities are off by, in nats."""

LOSS = LossSettings(
    clip_low=0.2,
    clip_high=0.2,
    clip_c=torch.inf,
    aggregation="token-mean",
    scale=LONGEST,
    kl_coef=0.0,
    kl_kind="k3",
    kl_bias_correction=False,
    entropy_coeff=0.0,
    rollout_is=False,
    is_level="token",
    is_mode="truncate",
    is_threshold=1.5,
    is_lower=0.0,  # TRL's own default is no lower bound; ours is 1 / threshold, as verl's.
)


def flat(lists):
    return [one for of_one in lists for one in of_one]


@pytest.fixture(scope="module")
def trl():
    """TRL's module; what it sets for the whole process is put back in the end."""
    from accelerate.state import AcceleratorState

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # The tensors are tiny.
    with pytest.MonkeyPatch.context() as patch, mock.patch.dict(os.environ):
        # TRL warns of vLLM versions that it does not know, and these tests need none.
        imports = import_module("trl.import_utils")
        patch.setattr(imports, "is_vllm_available", lambda *versions, **named: False)
        yield import_module("trl")
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.set_num_threads(threads)


def move(model, seed):
    """Other weights near by."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.02)


def score(model, *, entropy=False):
    """Log-probabilities and entropies of all responses, each sequence alone and without padding."""
    hidden = torch.cat(
        [
            model.model(torch.tensor([prompt + response])).last_hidden_state[0, len(prompt) - 1 : -1]
            for prompt, response in zip(PROMPTS, RESPONSES, strict=True)
        ]
    )
    return chosen_logprobs(
        hidden, model.lm_head.weight, torch.tensor(flat(RESPONSES)), SAMPLING, entropy=entropy
    )


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.fixture
def compare(trl, tiny_model, tmp_path):
    """Compares loss and gradients under the settings `theirs` and `ours`; returns our sums.

    `unknown`: tokens whose log-probability the engine does not tell.
    """
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer

    def compared(theirs, ours, unknown=()):
        reference = AutoModelForCausalLM.from_pretrained(tiny_model)
        model = AutoModelForCausalLM.from_pretrained(tiny_model)
        move(model, seed=1)
        with torch.no_grad():
            reference_N, old_N = score(reference)[0], score(model)[0]
        engine = [value + noise for value, noise in zip(old_N.tolist(), flat(NOISE), strict=True)]
        for place in unknown:
            engine[place] = None
        rest = iter(engine)
        engine_lists = [[next(rest) for _ in response] for response in RESPONSES]

        trainer = trl.GRPOTrainer(
            model=model,
            reward_funcs=lambda completions, **named: REWARDS,
            args=trl.GRPOConfig(
                output_dir=str(tmp_path),
                use_cpu=True,
                bf16=False,
                report_to="none",
                gradient_checkpointing=False,
                per_device_train_batch_size=len(RESPONSES),
                num_generations=4,
                # Old log-probabilities are computed although there is no engine.
                num_iterations=2,
                max_completion_length=LONGEST,
                temperature=TEMPERATURE,
                **{"loss_type": "bnpo", "vllm_importance_sampling_correction": False, **theirs},
            ),
            train_dataset=Dataset.from_dict({"prompt": ["unused"] * len(RESPONSES)}),
            processing_class=AutoTokenizer.from_pretrained(tiny_model),
        )
        trainer.use_vllm = True
        trainer.current_gradient_accumulation_steps = 1
        texts = ["unused"] * len(RESPONSES)
        trainer._generate = lambda prompts: (PROMPTS, RESPONSES, None, texts, engine_lists, {}, None, [])
        model.train()
        inputs = trainer._generate_and_score_completions([{"prompt": text} for text in texts])

        move(model, seed=2)
        their_loss = trainer._compute_loss(model, inputs)
        their_gradients = gradients(model, their_loss)

        length_S = torch.tensor([len(response) for response in RESPONSES])
        sequence_N = torch.arange(len(RESPONSES)).repeat_interleave(length_S)
        new_N, entropy_N = score(model, entropy=True)
        loss, sums = policy_loss(
            LossTokens(
                new_N=new_N,
                old_N=old_N,
                engine_N=torch.tensor([float("nan") if value is None else value for value in engine]),
                advantage_N=inputs["advantages"][sequence_N],
                sequence_N=sequence_N,
                length_S=length_S,
                reference_N=reference_N,
                entropy_N=entropy_N,
            ),
            replace(LOSS, **ours),
            total_tokens=len(new_N),
            total_sequences=len(RESPONSES),
        )
        our_gradients = gradients(model, loss)
        assert loss.item() == pytest.approx(their_loss.item(), abs=1e-5)
        for name, gradient in their_gradients.items():
            assert torch.allclose(our_gradients[name], gradient, rtol=0, atol=1e-5), name
        return {name: value.item() for name, value in sums.items()}

    return compared


@pytest.mark.parametrize(
    ("loss_type", "aggregation"),
    [
        ("grpo", "seq-mean-token-mean"),
        ("bnpo", "token-mean"),
        ("dapo", "token-mean"),
        ("dr_grpo", "seq-mean-token-sum-norm"),
        ("luspo", "seq-mean-token-sum"),
    ],
)
def test_losses_are_averaged_as_by_trl(compare, loss_type, aggregation):
    assert compare({"loss_type": loss_type}, {"aggregation": aggregation})["clipped"] > 2


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"epsilon": 0.1, "epsilon_high": 0.4}, {"clip_low": 0.1, "clip_high": 0.4}),
        ({"delta": 1.25}, {"clip_c": 1.25}),
    ],
    ids=["two widths", "dual clip"],
)
def test_ratios_are_clipped_as_by_trl(compare, theirs, ours):
    assert compare(theirs, ours)["clipped"] > 2


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("mode", ["truncate", "mask"])
@pytest.mark.parametrize("unknown", [(), (3, 20)], ids=["all known", "two unknown"])
def test_engine_samples_are_weighed_as_by_trl(compare, level, mode, unknown):
    sums = compare(
        {
            "vllm_importance_sampling_correction": True,
            "vllm_importance_sampling_mode": f"{level}_{mode}",
            "vllm_importance_sampling_clip_max": 1.5,
        },
        {"rollout_is": True, "is_level": level, "is_mode": mode, "is_threshold": 1.5},
        unknown,
    )
    assert 2 < sums["is_capped"] < 40
    assert sums["nonfinite_engine"] == len(unknown)


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_a_mask_with_two_bounds_is_that_of_trl_with_both(compare, level):
    # TRL's `truncate` modes lift weights to the lower bound; here it is read in `mask` mode only.
    def masked(lower):
        return compare(
            {
                "vllm_importance_sampling_correction": True,
                "vllm_importance_sampling_mode": f"{level}_mask",
                "vllm_importance_sampling_clip_max": 1.5,
                "vllm_importance_sampling_clip_min": lower,
            },
            {
                "rollout_is": True,
                "is_level": level,
                "is_mode": "mask",
                "is_threshold": 1.5,
                "is_lower": lower or 0.0,
            },
        )["is_capped"]

    assert masked(None) < masked(1 / 1.5) < sum(map(len, RESPONSES))


@pytest.mark.parametrize("corrected", [False, True])
def test_the_distance_to_the_reference_is_added_as_by_trl(compare, corrected):
    sums = compare(
        {"beta": 0.5, "use_bias_correction_kl": corrected},
        {"kl_coef": 0.5, "kl_bias_correction": corrected},
    )
    assert sums["reference_kl"] > 0.1


def test_the_entropy_bonus_is_that_of_trl_for_the_mean_over_tokens(compare):
    compare({"entropy_coef": 0.1}, {"entropy_coeff": 0.1})


def test_everything_at_once_is_as_by_trl(compare):
    compare(
        {
            "loss_type": "grpo",
            "epsilon_high": 0.3,
            "delta": 2.0,
            "beta": 0.2,
            "use_bias_correction_kl": True,
            "vllm_importance_sampling_correction": True,
            "vllm_importance_sampling_mode": "sequence_truncate",
            "vllm_importance_sampling_clip_max": 2.0,
        },
        {
            "aggregation": "seq-mean-token-mean",
            "clip_high": 0.3,
            "clip_c": 2.0,
            "kl_coef": 0.2,
            "kl_bias_correction": True,
            "rollout_is": True,
            "is_level": "sequence",
            "is_threshold": 2.0,
        },
    )
