import ast
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pettingllms.losses.truncation import kept_tokens, truncates
from pettingllms.types import TokenSampling

TABLE = torch.tensor([[0.4, 0.1, 0.2, 0.3]]).log()


def sampling(**cuts):
    return TokenSampling(temperature=1.0, max_tokens=1, **cuts)


def kept(logits, chosen=None, **cuts):
    likeliest = logits.argmax(dim=1) if chosen is None else torch.tensor(chosen)
    return kept_tokens(logits, likeliest, sampling(**cuts))


@pytest.mark.parametrize(
    ("cuts", "expected"),
    [
        ({}, [1, 1, 1, 1]),
        # Least probability 0.6 x 0.4 = 0.24, and 0.5 x 0.4 = 0.2 less a little: at the border a token stays.
        ({"min_p": 0.6}, [1, 0, 0, 1]),
        ({"min_p": 0.4999}, [1, 0, 1, 1]),
        ({"top_k": 1}, [1, 0, 0, 0]),
        ({"top_k": 3}, [1, 0, 1, 1]),
        ({"top_k": 0}, [1, 1, 1, 1]),
        ({"top_k": 9}, [1, 1, 1, 1]),
        # Sums from the least likely on: 0.1, 0.3, 0.6, 1. Those of at most 1 - top_p go.
        ({"top_p": 0.95}, [1, 1, 1, 1]),
        ({"top_p": 0.85}, [1, 0, 1, 1]),
        ({"top_p": 0.65}, [1, 0, 0, 1]),
        ({"top_p": 0.45}, [1, 0, 0, 1]),
        ({"top_p": 0.35}, [1, 0, 0, 0]),
        ({"top_p": 1e-9}, [1, 0, 0, 0]),
        # top_p looks at what the others left: of 0.4 and 0.3, 4/7 alone is at least 0.55.
        ({"top_p": 0.55}, [1, 0, 0, 1]),
        ({"top_k": 2, "top_p": 0.55}, [1, 0, 0, 0]),
        ({"min_p": 0.6, "top_p": 0.55}, [1, 0, 0, 0]),
        # top_k counts what min_p left, too: nothing more goes.
        ({"min_p": 0.6, "top_k": 3}, [1, 0, 0, 1]),
    ],
)
def test_the_tokens_that_are_left(cuts, expected):
    assert kept(TABLE, **cuts).tolist() == [[bool(one) for one in expected]]
    assert truncates(sampling(**cuts)) == any(
        (cuts.get("min_p"), cuts.get("top_k", 0) > 0, cuts.get("top_p", 1) < 1)
    )


def test_tokens_as_likely_as_the_last_of_top_k_stay():
    assert kept(torch.tensor([[2.0, 1.0, 1.0, 0.0]]), top_k=2).tolist() == [[True, True, True, False]]


def test_the_chosen_token_is_always_in_the_set():
    assert kept(TABLE, [1], top_k=1).tolist() == [[True, True, False, False]]


def test_the_set_carries_no_gradient():
    assert not kept(TABLE.clone().requires_grad_(), top_p=0.5).requires_grad


def engine_functions(file, *names):
    """Functions of the installed vLLM, `f` or `Class.f`, without importing it, which takes 20 seconds."""
    tree = ast.parse((Path(find_spec("vllm").submodule_search_locations[0]) / file).read_text())
    space = {"torch": torch}
    for name in names:
        node = tree
        for part in name.split("."):
            (node,) = (one for one in node.body if getattr(one, "name", None) == part)
        exec(compile(ast.Module(body=[node], type_ignores=[]), file, "exec"), space)
    return [space[name.split(".")[-1]] for name in names]


class MinP:
    """What vLLM's min_p processor holds of a batch."""

    def __init__(self, min_p):
        self.min_p = torch.tensor([[min_p]])
        self.min_p_count = int(min_p > 0)


@pytest.fixture(scope="module")
def engine():
    """What vLLM makes of logits before it draws."""
    # The second is what the first calls where only top_k is set, so both must share their globals.
    top_k_top_p, _ = engine_functions(
        "v1/sample/ops/topk_topp_sampler.py", "apply_top_k_top_p_pytorch", "apply_top_k_only"
    )
    (min_p_only,) = engine_functions("v1/sample/logits_processor/builtin.py", "MinPLogitsProcessor.apply")

    def processed(logits, top_p=1.0, top_k=-1, min_p=0.0):
        logits = min_p_only(MinP(min_p), logits.clone())
        k = torch.full((len(logits),), top_k) if 0 < top_k < logits.shape[1] else None
        p = torch.full((len(logits),), top_p) if top_p < 1 else None
        return top_k_top_p(logits, k, p, allow_cpu_sync=True)

    return processed


@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.sampled_from([1, 2, 9, 300]),
    spread=st.sampled_from([0.1, 1.0, 8.0]),
    top_p=st.sampled_from([1.0, 0.999, 0.9, 0.5, 0.01]),
    top_k=st.sampled_from([-1, 0, 1, 2, 50, 1000]),
    min_p=st.sampled_from([0.0, 0.01, 0.3, 1.0]),
)
def test_the_set_is_the_engines(engine, seed, width, spread, top_p, top_k, min_p):
    logits = spread * torch.randn(8, width, generator=torch.Generator().manual_seed(seed))
    cuts = {"top_p": top_p, "top_k": top_k, "min_p": min_p}
    expected = engine(logits, **cuts) > -torch.inf
    assert torch.equal(kept(logits, **cuts), expected)


def test_equal_logits_are_told_apart_as_by_the_engine(engine):
    logits = torch.tensor([[1.0, 0.5, 0.5, 0.5, 0.5, 0.0]]).repeat(3, 1)
    for cuts in ({"top_p": 0.6}, {"top_k": 3}, {"top_k": 3, "top_p": 0.6}):
        assert torch.equal(kept(logits, **cuts), engine(logits, **cuts) > -torch.inf)
