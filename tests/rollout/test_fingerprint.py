"""Every change of a model's weights changes its fingerprint, also of those that cannot be read."""

import pytest

torch = pytest.importorskip("torch")


def model():
    torch.manual_seed(0)
    made = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5))
    made.register_buffer("steps", torch.arange(6, dtype=torch.bfloat16))
    return made.requires_grad_(False)


def print_of(made):
    from pettingllms.rollout.fingerprint import fingerprint

    return fingerprint(made)


def test_equal_weights_have_equal_fingerprints():
    assert print_of(model()) == print_of(model())
    turned = model()
    # The same values, laid out otherwise.
    turned[0].weight.data = turned[0].weight.data.t().contiguous().t()
    assert print_of(turned) == print_of(model())


def last_bit(made):
    weight = made[0].weight[3, 4]
    weight.copy_(torch.nextafter(weight, weight + 1))


def two_rows(made):
    made[0].weight.copy_(made[0].weight[[0, 2, 1, 3, 4]])


def a_buffer(made):
    made.steps[5] = 4.96875  # bf16: one step below 5


def a_sign_of_zero(made):
    made[1].bias[0] = -made[1].bias[0]


def a_type(made):
    made.steps = made.steps.half()


def a_shape(made):
    made[0].weight.data = made[0].weight.data.view(6, 5)


@pytest.mark.parametrize("change", [last_bit, two_rows, a_buffer, a_sign_of_zero, a_type, a_shape])
def test_every_change_shows(change):
    changed = model()
    change(changed)
    assert print_of(changed) != print_of(model())


def test_tensors_longer_than_one_piece_are_read_whole(monkeypatch):
    whole = print_of(model())
    monkeypatch.setattr("pettingllms.rollout.fingerprint.CHUNK", 7)
    assert print_of(model()) == whole
    changed = model()
    last_bit(changed)
    assert print_of(changed) != whole


def packed(matrix, weight):
    """A layer as vLLM keeps it on the CPU: the matrix only inside a function."""
    layer = torch.nn.Module()
    layer.register_parameter("weight", torch.nn.Parameter(weight, requires_grad=False))
    layer.input_size = 3
    layer.cpu_linear = lambda rows, weight, bias: rows @ matrix.t()
    return torch.nn.ModuleDict({"layer": layer})


@pytest.mark.parametrize("weight", [torch.empty(0), torch.ones(2, 3)], ids=["hidden", "readable too"])
def test_packed_matrices_show_through_their_products(weight):
    matrix = torch.tensor([[0.5, -1.0, 2.0], [0.25, 3.0, -0.125]])
    changed = matrix.clone()
    changed[1, 2] += 2**-20
    assert print_of(packed(matrix, weight)) == print_of(packed(matrix.clone(), weight))
    assert print_of(packed(matrix, weight)) != print_of(packed(changed, weight))


def test_a_slice_of_a_packed_matrix_is_as_wide_as_its_part():
    layer = packed(torch.ones(2, 2), torch.empty(0))
    # Split over two workers, each of which has two of four columns.
    layer["layer"].input_size, layer["layer"].input_size_per_partition = 4, 2
    assert print_of(layer) == print_of(layer)
