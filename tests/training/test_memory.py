"""F8: an update that does not fit into memory goes on with smaller micro-batches, and gives the same."""

import pytest
import torch
from plans import ragged_groups
from test_update import Stepped, close, policies_of

from pettingllms.config.ppo import KlControlConfig
from pettingllms.errors import RefusedError
from pettingllms.training.memory import Room, ran_out
from pettingllms.training.penalties import KlControl, penalised
from pettingllms.training.ranks import Ranks
from pettingllms.training.update import Update

ERRORS = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    "cpu": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
        "to allocate 80 bytes. Error code 12 (Cannot allocate memory)"
    ),
    "python": MemoryError(),
}


class Scarce:
    """Memory for `tokens` of a micro-batch at most: `score` fails above it, or the backward pass half way."""

    def __init__(self, policies, monkeypatch, tokens, error=ERRORS["cuda"], *, backward=False):
        self.sizes, self.failures = [], 0
        score = policies.score

        def scarce(policy, batch, **asked):
            size = batch.input_BT.numel()
            new, entropy = score(policy, batch, **asked)
            if size <= tokens:
                self.sizes.append(size)
                return new, entropy
            self.failures += 1
            if not (backward and new.requires_grad):
                raise error
            return self.fails_half_way(policies.parameters(policy), new, error), entropy

        monkeypatch.setattr(policies, "score", scarce)

    @staticmethod
    def fails_half_way(parameters, new, error):
        """The same numbers, whose backward pass has reached some parameters when memory runs out."""
        reached = []

        def note(parameter):
            reached.append(parameter)
            if len(reached) == len(parameters) // 2:
                for one in reached:
                    one.hooks.remove()
                raise error

        for parameter in parameters:
            parameter.hooks = parameter.register_post_accumulate_grad_hook(note)
        return new


def updated(policies, room, **changes):
    policies.optimizers["a.b"] = Stepped(policies.parameters("a.b"))
    values = {"seed": 0, "check": lambda: None, "room": room} | changes
    result = Update(policies, "a.b", ragged_groups(), Ranks(), **values).run()
    return result, policies.optimizers["a.b"].gradients


ACTORS = {
    "tokens": {},
    "sequences": {"use_dynamic_bsz": False, "ppo_micro_batch_size_per_gpu": 16},
    "several steps": {"ppo_mini_batch_size": 2, "ppo_epochs": 2, "use_kl_loss": True, "entropy_coeff": 0.01},
}


@pytest.mark.parametrize(
    ("actor", "error"),
    [("tokens", "cuda"), ("tokens", "cpu"), ("sequences", "python"), ("several steps", "cuda")],
)
def test_the_gradient_is_that_of_enough_memory_and_it_is_told_once(tiny_model, monkeypatch, actor, error):
    _, wanted = updated(policies_of(tiny_model, actor=ACTORS[actor]), Room(print))
    policies, told = policies_of(tiny_model, actor=ACTORS[actor]), []
    scarce = Scarce(policies, monkeypatch, 60, ERRORS[error])
    result, got = updated(policies, Room(told.append))
    assert scarce.failures == len(told) >= 1
    assert "did not fit into memory" in told[0]
    assert len(got) == len(wanted)
    for one, other in zip(got, wanted, strict=True):
        scale = max(tensor.abs().max().item() for tensor in other)
        assert close(one, other, 1e-6 * scale)
    assert result.metrics["scored_tokens"] > 0


def test_a_backward_pass_that_failed_half_way_is_not_counted(tiny_model, monkeypatch):
    _, wanted = updated(policies_of(tiny_model), Room(print))
    policies, told = policies_of(tiny_model), []
    scarce = Scarce(policies, monkeypatch, 60, backward=True)
    clean, _ = updated(policies_of(tiny_model), Room(print))
    result, got = updated(policies, Room(told.append))
    assert scarce.failures == len(told) >= 1
    assert close(got[0], wanted[0], 1e-6 * max(tensor.abs().max().item() for tensor in wanted[0]))
    assert result.metrics == pytest.approx(clean.metrics, rel=1e-5, abs=1e-7), "nothing is measured twice"


def test_the_ratio_stays_exactly_one_after_it(tiny_model, monkeypatch):
    # Log-probabilities that an attempt left behind would be those of other micro-batches.
    policies = policies_of(tiny_model, actor={"clip_ratio": 1e-9})
    Scarce(policies, monkeypatch, 60)
    result, _ = updated(policies, Room(print))
    assert result.metrics["kl"] == 0 and result.metrics["clip_fraction"] == 0


def test_what_fits_is_known_for_the_rest_of_the_run_and_by_policy(tiny_model, monkeypatch):
    policies, room = policies_of(tiny_model), Room(print)
    scarce = Scarce(policies, monkeypatch, 60)
    updated(policies, room)
    before = scarce.failures
    scarce.sizes.clear()
    updated(policies, room)
    assert scarce.failures == before and max(scarce.sizes) <= 60
    assert room.tokens("b", 2048) == 2048
    assert room.tokens("a.b", 4) == 4, "less is asked for than fits"
    assert room.tokens("a.b", None) is None
    kept = Room(print)
    kept.load_state(*room.state())
    assert kept.tokens("a.b", 2048) == room.tokens("a.b", 2048) < 2048
    assert kept.sequences("a.b", 99) == room.sequences("a.b", 99) < 99


def test_one_response_that_does_not_fit_alone_is_refused_with_help(tiny_model, monkeypatch):
    policies = policies_of(tiny_model)
    Scarce(policies, monkeypatch, 0)
    with pytest.raises(RefusedError, match="one response with its prompt") as caught:
        updated(policies, Room(print))
    assert "max_response_length" in caught.value.help and "gradient_checkpointing" in caught.value.help


def test_other_errors_are_no_lack_of_memory(tiny_model, monkeypatch):
    policies = policies_of(tiny_model)
    Scarce(policies, monkeypatch, 60, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        updated(policies, Room(print))
    assert not ran_out(ValueError("can't allocate memory"))


@pytest.mark.parametrize("packed", [True, False])
def test_penalties_are_those_of_enough_memory(tiny_model, monkeypatch, packed):
    from test_penalties import episode

    monkeypatch.setattr("pettingllms.training.weights.packs", lambda model: packed)
    responses = [[7 + n] * (1 + n % 5) for n in range(24)]
    controls = {"a.b": KlControl(KlControlConfig(kl_coef=0.5))}

    def measured(tokens):
        policies = policies_of(tiny_model)
        scarce, told = Scarce(policies, monkeypatch, tokens), []
        _, distances = penalised([episode(*responses)], policies, controls, lambda: None, Room(told.append))
        assert scarce.failures == len(told)
        return sorted(distances["a.b"]), len(told)

    wanted, none = measured(10**6)
    got, halved = measured(30)
    assert none == 0 and halved >= 1
    # Differences of log-probabilities near 5, which differ by a rounding or two: 2.4e-7 each.
    assert got == pytest.approx(wanted, rel=1e-5, abs=1e-6)


def test_real_memory_that_runs_out_is_recognised(tiny_model):
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert ran_out(caught.value)
