"""The network: the numbers of the model that it comes from, read at once or piece by piece."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import texts, zoo
from helpers.detox.networks import KeyValues, PlainShape, plain
from helpers.errors import LabError
from tests.circuits import random_models
from tests.detox.networks.small import network, tokens

NATIVE = {"normalization_type": "LN", "act_fn": "gelu"}


@pytest.fixture(scope="module")
def model():
    return zoo.load("tinyworld", device="cpu")


def native(**options):
    return random_models.native(**NATIVE, **options)


def test_logits_are_those_of_the_model(model):
    read = tokens(6, 64, words=993)
    read[3:, 20:] = 0  # padding is read like any other word
    with torch.no_grad():
        assert torch.allclose(plain(model)(read), model(read), atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [{}, {"n_layers": 1, "n_heads": 4, "d_head": 4}, {"d_mlp": 48, "d_vocab_out": 7}],
)
def test_logits_of_random_models_are_the_same_too(options):
    model, read = native(**options), tokens(5, 12)
    with torch.no_grad():
        assert torch.allclose(plain(model)(read), model(read), atol=1e-4)


def slopes(its, read) -> dict[str, torch.Tensor]:
    """The gradient of the next words' cross-entropy by every weight, which is then taken away."""
    said = its(read)[:, :-1].flatten(0, 1)
    torch.nn.functional.cross_entropy(said, read[:, 1:].flatten()).backward()
    found = {name: w.grad.clone() for name, w in its.state_dict(keep_vars=True).items()}
    its.zero_grad()
    return found


def test_gradients_are_those_of_the_model(model):
    read = tokens(4, 16, words=993, seed=1)
    ours, theirs = slopes(plain(model), read), slopes(model, read)
    assert ours.keys() == theirs.keys()
    largest = max(float(slope.abs().max()) for slope in theirs.values())
    for name, slope in theirs.items():  # of the biases of keys it is 0 but for rounding
        near = 1e-4 * max(float(slope.abs().max()), 1e-3 * largest)
        assert torch.allclose(ours[name], slope, atol=near), name


@settings(deadline=None, max_examples=40)
@given(
    heads=st.integers(1, 3),
    width=st.integers(1, 5),
    layers=st.integers(1, 3),
    rows=st.integers(1, 4),
    parts=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    shifted=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_read_piece_by_piece_the_logits_are_those_of_the_whole(
    heads, width, layers, rows, parts, shifted, seed
):
    length = sum(parts)
    shape = PlainShape(9, heads * width, heads, layers, 6, length + 1, n_outputs=4)
    its = network(shape, seed)
    if shifted:
        its.shifts = {layers - 1: torch.linspace(-1, 1, shape.d_model)}
    read, past = tokens(rows, length, 9, seed), KeyValues()
    with torch.no_grad():
        whole = its(read)
        pieces = [its(part, past) for part in read.split(parts, dim=1)]
    assert torch.allclose(torch.cat(pieces, dim=1), whole, atol=1e-4)
    assert (past.length, past.rows) == (length, rows)


def test_a_gradient_goes_through_what_was_read_before():
    its, read, past = network(), tokens(3, 8), KeyValues()
    whole = torch.autograd.grad(its(read)[:, -1].square().sum(), its.embed.weight)[0]
    its(read[:, :5], past)
    pieces = torch.autograd.grad(its(read[:, 5:], past)[:, -1].square().sum(), its.embed.weight)[0]
    assert torch.allclose(pieces, whole, atol=1e-4 * float(whole.abs().max()))


def test_no_token_reads_a_later_one():
    its, read = network(), tokens(4, 9)
    other = read.clone()
    other[:, 5:] = (read[:, 5:] + 1) % 20
    with torch.no_grad():
        first, second = its(read), its(other)
    assert torch.equal(first[:, :5], second[:, :5])
    assert not torch.isclose(first[:, 5:], second[:, 5:]).all()


def test_a_shift_is_a_hook_after_the_block():
    model = native()
    its, read = plain(model), tokens(3, 8)
    shift = torch.linspace(-2, 2, 16)
    its.shifts = {1: shift}
    with torch.no_grad():
        hooked = model.run_with_hooks(
            read, fwd_hooks=[("blocks.1.hook_out", lambda value, hook: value + shift)]
        )
        assert torch.allclose(its(read), hooked, atol=1e-4)
        assert not torch.allclose(its(read), model(read), atol=1e-2)


def test_rows_of_a_cache_can_leave_come_twice_and_change_their_order():
    its, read, past = network(), tokens(4, 7), KeyValues()
    kept = torch.tensor([2, 0, 2])
    with torch.no_grad():
        its(read[:, :4], past)
        chosen = past.select(kept)
        said = its(read[kept, 4:], chosen)
        assert torch.allclose(said, its(read)[kept, 4:], atol=1e-4)
    assert (past.length, chosen.length) == (4, 7)  # the first cache is left as it was


def test_a_network_stands_where_a_model_is_asked_for(model):
    good = torch.zeros(2, 993, dtype=torch.bool)
    good[:, 3] = True
    asked = texts.Prompts(
        "p", ("a", "b"), tokens(2, 6, 993) + 1, torch.tensor([5, 5]), good, good.roll(1, dims=1)
    )
    found = texts.final_logits(plain(model), asked)
    assert torch.allclose(found, texts.final_logits(model, asked), atol=1e-4)


def test_the_rest_of_a_shape_follows():
    assert PlainShape(20, 16, 2, 1, 32, 12).n_outputs == 20
    assert PlainShape(20, 16, 2, 1, 32, 12, 5).n_outputs == 5
    assert network(PlainShape(20, 16, 2, 1, 32, 12, 5))(tokens(2, 3)).shape == (2, 3, 5)


# bad input


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("size", [0, -1, 1.5, None, True, float("nan")])
def test_sizes_that_are_none_are_refused(place, size):
    sizes = [20, 16, 2, 1, 32, 12]
    sizes[place] = size
    with pytest.raises(LabError, match="expected a network's"):
        PlainShape(*sizes)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(LabError, match="expected a width that the heads divide"):
        PlainShape(20, 16, 3, 1, 32, 12)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (tokens(2, 13), "at most 12 tokens"),
        (torch.full((2, 3), 20), "token ids from 0 to 19"),
        (torch.full((2, 3), -1), "token ids from 0 to 19"),
        (torch.ones(2, 3), "as whole numbers"),
        (torch.ones(2, 3, dtype=torch.bool), "as whole numbers"),
        (torch.ones(3, dtype=torch.long), "as a tensor"),
        (torch.ones(0, 3, dtype=torch.long), "not empty"),
        (torch.ones(2, 0, dtype=torch.long), "not empty"),
        ([[1, 2]], "as a tensor"),
        (None, "as a tensor"),
    ],
)
def test_tokens_that_are_none_of_the_networks_are_refused(read, message):
    with pytest.raises(LabError, match=message):
        network()(read)


def test_a_cache_of_other_rows_or_of_another_network_is_refused_and_left_as_it_is():
    its, past = network(), KeyValues()
    its(tokens(3, 4), past)
    with pytest.raises(LabError, match=r"expected a cache of \(2, 2, 2, 8\) layers, rows"):
        its(tokens(2, 1), past)
    deeper = network(PlainShape(20, 16, 2, 3, 32, 12))
    with pytest.raises(LabError, match="expected a cache of"):
        deeper(tokens(3, 1), past)
    wider = network(PlainShape(20, 16, 4, 2, 32, 12))
    with pytest.raises(LabError, match="expected a cache of"):
        wider(tokens(3, 1), past)
    with pytest.raises(LabError, match="expected at most 12 tokens a row"):
        its(tokens(3, 9), past)
    assert past.length == 4


@pytest.mark.parametrize(
    ("layer", "shift"),
    [
        (2, torch.ones(16)),
        (-1, torch.ones(16)),
        ("1", torch.ones(16)),
        (0, torch.ones(15)),
        (0, torch.ones(1, 16)),
        (0, torch.full((16,), torch.nan)),
        (0, 1.0),
        (0, [1.0] * 16),
    ],
)
def test_shifts_that_do_not_fit_are_refused(layer, shift):
    its = network()
    its.shifts = {layer: shift}
    with pytest.raises(LabError, match="expected shifts of 16 finite numbers"):
        its(tokens(2, 3))


def test_shifts_are_no_weights():
    its = network()
    its.shifts = {0: torch.ones(16)}
    assert its.state_dict().keys() == network().state_dict().keys()
