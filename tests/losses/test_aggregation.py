import pytest
import torch

from pettingllms.losses.aggregation import token_weights

# Three sequences of 1, 2 and 4 tokens, mixed; the losses of the first sum to 8, the second to 6, the third
# to 4.
SEQUENCE = torch.tensor([2, 0, 1, 2, 2, 1, 2])
LENGTH = torch.tensor([1, 2, 4])
LOSS = torch.tensor([1.0, 8.0, 2.0, 1.0, 1.0, 4.0, 1.0])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("token-mean", 18 / 7),
        ("seq-mean-token-sum", 18 / 3),
        ("seq-mean-token-mean", (8 / 1 + 6 / 2 + 4 / 4) / 3),
        ("seq-mean-token-sum-norm", 18 / 10 / 3),
    ],
)
def test_the_value_of_each_mode(mode, expected):
    weight = token_weights(mode, SEQUENCE, LENGTH, tokens=7, sequences=3, scale=10.0)
    assert weight.dtype is torch.float32
    assert (weight * LOSS).sum().item() == pytest.approx(expected)


@pytest.mark.parametrize(
    "mode", ["token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"]
)
def test_parts_of_a_mini_batch_add_up_to_the_whole(mode):
    whole = token_weights(mode, SEQUENCE, LENGTH, tokens=7, sequences=3, scale=10.0)
    total = 0.0
    for part in ([0, 2], [1], []):
        there = torch.isin(SEQUENCE, torch.tensor(part))
        number = torch.zeros(3, dtype=torch.long)
        number[part] = torch.arange(len(part))
        weight = token_weights(mode, number[SEQUENCE[there]], LENGTH[part], tokens=7, sequences=3, scale=10.0)
        total += (weight * LOSS[there]).sum().item()
    assert total == pytest.approx((whole * LOSS).sum().item())
