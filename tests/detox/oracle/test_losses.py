"""The losses of an oracle against loops over words, and against SciPy."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, rel_entr

from helpers.detox.networks import fresh, frozen
from helpers.detox.oracle import FitPlan, LabelledSamples, fit, losses
from helpers.detox.oracle.network import blank
from helpers.errors import LabError
from tests.detox.oracle import tiny

DIRECTIONS = ("expected first", "own first")


def bernoulli_kl(first: float, second: float) -> float:
    return float(rel_entr([first, 1 - first], [second, 1 - second]).sum())


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.integers(0, 4), min_size=5, max_size=5), min_size=1, max_size=4))
def test_what_counts_is_what_was_written(table):
    found = losses.counted(torch.tensor(table), start=2, stop=2).tolist()
    for row, marks in zip(table, found, strict=True):
        written = row[2:]
        if 2 in written:
            written = written[: written.index(2) + 1]
        while written and written[-1] == 0:
            written.pop()
        assert marks == [False] * 2 + [place < len(written) for place in range(3)]


@given(st.floats(0.01, 0.99), st.floats(-8, 8))
def test_consistency_is_the_divergence_in_the_stated_direction(expected, own):
    said, at = float(expit(own)), torch.tensor([[True]])
    a, e = (torch.tensor([[x]], dtype=torch.float64) for x in (own, expected))
    first = float(losses.consistency(a, e, at, "expected first"))
    second = float(losses.consistency(a, e, at, "own first"))
    assert first == pytest.approx(bernoulli_kl(expected, said), abs=1e-9)
    assert second == pytest.approx(bernoulli_kl(said, expected), abs=1e-9)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("own", [-100.0, 100.0])
@pytest.mark.parametrize("inner", [-100.0, 100.0])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_every_branch_is_finite_with_its_gradient_at_logits_of_a_hundred(
    direction, own, inner, label
):
    a = torch.full((2, 3), own, requires_grad=True)
    h = torch.full((2, 3, 5), inner, requires_grad=True)
    at = torch.ones(2, 3, dtype=torch.bool)
    e = losses.expected_success(h, torch.full((2, 3, 5), 0.2))
    loss = losses.entropy(a, torch.full((2,), label), at)
    loss = loss + losses.consistency(a, e, at, direction)
    loss.backward()
    assert loss.isfinite()
    assert a.grad.isfinite().all()
    assert h.grad.isfinite().all()


def test_both_sides_of_consistency_get_a_gradient():
    a = torch.zeros(1, 1, requires_grad=True)
    h = torch.ones(1, 1, 2, requires_grad=True)
    e = losses.expected_success(h, torch.tensor([[[0.5, 0.5]]]))
    losses.consistency(a, e, torch.tensor([[True]])).backward()
    assert abs(float(a.grad)) > 0.1
    assert float(h.grad.abs().min()) > 0.01


# ---------------------------------------------------------------------------------------------
# the losses of a fit, against a loop that reads the definition word by word


def by_loop(oracle, base, row, label, direction="expected first", mistake=None):
    """Entropy and consistency of one text, as they are defined, or with a mistake."""
    with torch.no_grad():
        said, p = oracle(row[None])[0].double(), base(row[None])[0].double().softmax(-1)
    written = [place for place in range(tiny.START, len(row)) if row[place] != tiny.PAD]
    if mistake == "pads counted":
        written = list(range(tiny.START, len(row)))
    if mistake == "prompt counted":
        written = [1, *written] if tiny.START > 1 else [0, *written]
    entropy = consistency = 0.0
    for place in written:
        own = said[max(place - 1, 0), row[place]]  # what was said of this word, before it
        if mistake == "label shifted":
            own = said[place, row[place]]
        chance = 1 / (1 + math.exp(-float(own)))
        entropy -= math.log(chance if label else 1 - chance)
        if row[place] != tiny.STOP or mistake == "the end asked":
            expected = float((p[place] * said[place].sigmoid()).sum())
            pair = (expected, chance)
            consistency += bernoulli_kl(*(pair if direction == "expected first" else pair[::-1]))
    return entropy, consistency


def first_losses(oracle, base, row, label, direction="expected first"):
    """What `fit` says of its first step on one text alone, before it has changed the oracle."""
    samples = LabelledSamples(row[None], torch.tensor([label]), tiny.START, tiny.STOP)
    plan = FitPlan(steps=1, batch=3, direction=direction)
    [loss] = fit(oracle, base, samples, plan, torch.Generator().manual_seed(0))
    return loss.entropy, loss.consistency


def opinionated(seed: int = 3):
    """An oracle that says something."""
    oracle = blank(tiny.SHAPE, seed)
    with torch.no_grad():
        oracle.head.weight.normal_(0, 1.0, generator=torch.Generator().manual_seed(seed))
    return oracle


TEXTS = [(tiny.GOOD, tiny.STOP), (tiny.BAD, tiny.GOOD, tiny.BAD, tiny.GOOD), (tiny.STOP,)]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("label", [True, False])
def test_a_fit_counts_what_was_written_once_with_the_label_of_the_prefix_that_ends_there(
    text, label, direction
):
    base, [row] = tiny.network(), tiny.rows([text])
    wanted = by_loop(opinionated(), base, row, label, direction)
    assert first_losses(opinionated(), base, row, label, direction) == pytest.approx(wanted, 1e-4)


@pytest.mark.parametrize(
    "mistake", ["label shifted", "pads counted", "prompt counted", "the end asked"]
)
def test_the_loop_tells_the_mistakes_apart(mistake):
    base, [row] = tiny.network(), tiny.rows([(tiny.GOOD, tiny.STOP)])
    found = first_losses(opinionated(), base, row, True)
    wrong = by_loop(opinionated(), base, row, True, mistake=mistake)
    assert max(abs(a - b) for a, b in zip(found, wrong, strict=True)) > 0.05


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_step_goes_down_the_gradient_of_both_losses_through_both_sides(direction):
    """Adam's first step moves every weight by the learning rate against its gradient's sign."""
    base, [row] = tiny.network(), tiny.rows([(tiny.GOOD, tiny.BAD, tiny.STOP)])
    reference, oracle = opinionated(), opinionated()
    said, p = reference(row[None])[0], base(row[None])[0].softmax(-1)
    loss = torch.zeros(())
    for place in (1, 2, 3):
        a = said[place - 1, row[place]].sigmoid()
        e = (p[place] * said[place].sigmoid()).sum()
        x, y = (e, a) if direction == "expected first" else (a, e)
        loss = loss - a.log()
        if place < 3:
            loss = loss + x * (x / y).log() + (1 - x) * ((1 - x) / (1 - y)).log()
    loss.backward()
    samples = LabelledSamples(row[None], torch.tensor([True]), tiny.START, tiny.STOP)
    plan = FitPlan(steps=1, batch=1, rate=0.01, direction=direction)
    fit(oracle, base, samples, plan, torch.Generator().manual_seed(0))
    steeps = 0
    for name, weight in reference.named_parameters():
        moved, gradient = oracle.get_parameter(name) - weight, weight.grad
        steep = gradient.abs() > 1e-3
        assert torch.allclose(moved[steep], -0.001 * gradient.sign()[steep], rtol=0.02)
        steeps += int(steep.sum())
    assert steeps > 100


def test_the_exact_success_is_consistent_with_itself_but_another_is_not():
    """Bellman's equation: what is expected of R one word later is R."""
    base = tiny.network()
    for said in [(), (tiny.GOOD,), (tiny.GOOD, tiny.GOOD)]:
        p = torch.tensor(tiny.next_chances(base, said), dtype=torch.float64)
        later = [tiny.exact(base, (*said, word)) for word in range(5)]
        logits = torch.logit(torch.tensor(later, dtype=torch.float64), eps=1e-12)
        expected = losses.expected_success(logits, p)[None, None]
        own = torch.logit(torch.tensor([[tiny.exact(base, said)]], dtype=torch.float64))
        at = torch.tensor([[True]])
        for direction in DIRECTIONS:
            assert float(losses.consistency(own, expected, at, direction)) < 1e-9
            assert float(losses.consistency(own + 1, expected, at, direction)) > 0.01


def test_other_forms_of_the_same_numbers():
    own, at = torch.tensor([[0.5, -1.0]]), torch.tensor([[True, False]])
    wanted = float(losses.entropy(own, torch.ones(1), at))
    assert wanted == pytest.approx(math.log1p(math.exp(-0.5)), 1e-6)
    assert float(losses.entropy(own.half(), torch.ones(1).half(), at)) == pytest.approx(
        wanted, 1e-3
    )


OWN, AT = torch.zeros(1, 2), torch.tensor([[True, False]])
BAD_CALLS = {
    "labels outside 0 to 1": lambda: losses.entropy(OWN, torch.tensor([2.0]), AT),
    "NaN as label": lambda: losses.entropy(OWN, torch.tensor([torch.nan]), AT),
    "labels of other texts": lambda: losses.entropy(OWN, torch.ones(2), AT),
    "NaN": lambda: losses.consistency(OWN * torch.nan, OWN + 0.5, AT),
    "other marks": lambda: losses.consistency(OWN, OWN + 0.5, AT[:, :1]),
    "numbers as marks": lambda: losses.consistency(OWN, OWN + 0.5, AT.float()),
    "a third direction": lambda: losses.consistency(OWN, OWN + 0.5, AT, "both"),
    "chances of other words": lambda: losses.expected_success(OWN, OWN[:, :1]),
    "a list": lambda: losses.expected_success([0.5], [0.5]),
    "a prompt of nothing": lambda: losses.counted(torch.tensor([[1, 2]]), 0, 2),
    "real numbers as tokens": lambda: losses.counted(torch.ones(1, 2), 1, 2),
}


@pytest.mark.parametrize("call", BAD_CALLS.values(), ids=BAD_CALLS)
def test_what_is_no_input_is_refused(call):
    with pytest.raises(LabError, match="expected"):
        call()


def test_the_base_of_a_fit_is_left_as_it_was():
    base = fresh(tiny.SHAPE, 0)
    before = frozen(base).state_dict()
    first_losses(opinionated(), base, tiny.rows(TEXTS[:1])[0], True)
    assert all((before[name] == value).all() for name, value in base.state_dict().items())
    assert all(weight.grad is None for weight in base.parameters())
