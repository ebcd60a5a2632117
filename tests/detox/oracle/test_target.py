"""The target q: against listed texts, and as a guide."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.detox.networks import KeyValues, Policy, sample
from helpers.detox.oracle import OracleGuide, linear, log_target
from helpers.detox.oracle.network import blank
from helpers.errors import LabError
from tests.detox.oracle import tiny

NUMBERS = st.lists(st.floats(-20, 20), min_size=4, max_size=4)


def after(said, base) -> torch.Tensor:
    """log p of the next word."""
    return torch.tensor(tiny.next_chances(base, said), dtype=torch.float64).log()


def success(said, base) -> torch.Tensor:
    """Logits of the exact R after each next word; minus infinity where R is 0."""
    later = [tiny.exact(base, (*said, word)) for word in range(5)]
    return torch.logit(torch.tensor(later, dtype=torch.float64))


def test_word_by_word_it_is_the_model_given_that_the_text_satisfies():
    """The product of q over a text is p · C / R, with C and R from the list of all texts."""
    base = tiny.network()
    root = sum(tiny.chance(base, text) for text in tiny.texts() if tiny.satisfied(text))
    assert 0.05 < root < 0.95
    divergence = 0.0
    for text in tiny.texts():
        if not tiny.satisfied(text):
            continue
        q = 1.0
        for place, word in enumerate(text):
            said = text[:place]
            q *= math.exp(log_target(after(said, base), success(said, base))[word])
        assert q == pytest.approx(tiny.chance(base, text) / root, rel=1e-9)
        divergence += q * math.log(q / tiny.chance(base, text))
    assert divergence == pytest.approx(-math.log(root), rel=1e-9)


def test_a_word_that_cannot_succeed_is_never_said():
    base = tiny.network()
    assert log_target(after((), base), success((), base)).exp()[tiny.BAD] == 0


@settings(deadline=None)
@given(NUMBERS, NUMBERS, st.floats(-50, 50), st.floats(0, 3))
def test_it_is_a_distribution_whatever_is_added_to_the_logits(logits, said, constant, strength):
    p, h = torch.tensor(logits, dtype=torch.float64), torch.tensor(said, dtype=torch.float64)
    q = log_target(p, h, strength)
    wanted = p.softmax(0) * h.sigmoid() ** strength
    assert torch.allclose(q.exp(), wanted / wanted.sum(), atol=1e-9)
    assert torch.allclose(log_target(p + constant, h, strength), q, atol=1e-9)


@pytest.mark.parametrize("size", [-100.0, 100.0])
def test_logits_of_a_hundred_leave_numbers(size):
    q = log_target(torch.zeros(4).log_softmax(0), torch.tensor([size, size, -size, 0.0]))
    assert q.isfinite().all()


def test_strength_0_leaves_the_model_also_where_nothing_can_succeed():
    p = torch.tensor([0.25, 0.75])
    assert torch.allclose(log_target(p.log(), torch.full((2,), -torch.inf), 0.0).exp(), p)


def test_gradients_flow_where_they_are_asked_for():
    p = torch.zeros(1, 3, requires_grad=True)
    log_target(p, torch.tensor([[0.0, 1.0, 2.0]]))[0, 0].backward()
    assert p.grad.abs().sum() > 0.1


def test_no_success_anywhere_is_said():
    with pytest.raises(LabError, match="R = 0 for every word that p allows at 1 of 2 places"):
        log_target(torch.zeros(2, 3), torch.tensor([[0.0] * 3, [-torch.inf] * 3]))
    with pytest.raises(LabError, match="R = 0 for every word"):  # the one that can, p forbids
        log_target(torch.tensor([0.0, -torch.inf]), torch.tensor([-torch.inf, 1.0]))


@pytest.mark.parametrize(
    ("log_p", "said"),
    [
        (torch.tensor([0.0, torch.nan]), torch.zeros(2)),
        (torch.zeros(2), torch.tensor([0.0, torch.nan])),
        (torch.tensor([0.0, torch.inf]), torch.zeros(2)),
        (torch.zeros(2), torch.zeros(3)),
        (torch.zeros(0), torch.zeros(0)),
        (torch.zeros(2), [0.0, 0.0]),
        (torch.zeros(2), torch.zeros(2) * 1j),
    ],
)
def test_what_are_no_logits_is_refused(log_p, said):
    with pytest.raises(LabError, match="expected"):
        log_target(log_p, said)


@pytest.mark.parametrize("strength", [-1.0, math.nan, math.inf, "1"])
def test_a_strength_that_is_none_is_refused(strength):
    with pytest.raises(LabError, match="strength of an oracle"):
        log_target(torch.zeros(2), torch.zeros(2), strength)
    with pytest.raises(LabError, match="strength of an oracle"):
        OracleGuide(blank(tiny.SHAPE, 0), strength)


# ---------------------------------------------------------------------------------------------
# before anything is learned q is p


@pytest.mark.parametrize("chance", [0.5, 0.03])
@pytest.mark.parametrize("kind", ["separate", "linear"])
def test_an_oracle_that_has_learned_nothing_leaves_the_model_as_it_is(kind, chance):
    base = tiny.network()
    oracle = blank(tiny.SHAPE, 1, chance) if kind == "separate" else linear(base, chance)
    tokens = tiny.rows(tiny.texts())
    assert torch.allclose(oracle(tokens).sigmoid(), torch.tensor(chance))
    guided = Policy(base, OracleGuide(oracle, 2.0)).log_probs(tokens)
    assert torch.allclose(guided, Policy(base).log_probs(tokens), atol=1e-5)
    with torch.no_grad():  # the test can fail: an output layer that is not zero
        oracle.head.weight.normal_(generator=torch.Generator().manual_seed(0))
    other = Policy(base, OracleGuide(oracle)).log_probs(tokens)
    assert (other - Policy(base).log_probs(tokens))[..., 2:].abs().max() > 0.1


# ---------------------------------------------------------------------------------------------
# as a guide


def taught(seed: int = 0):
    oracle = blank(tiny.SHAPE, seed)
    with torch.no_grad():
        oracle.head.weight.normal_(0, 1.0, generator=torch.Generator().manual_seed(seed))
    return oracle


@pytest.mark.parametrize("kind", ["separate", "linear"])
def test_word_by_word_with_a_cache_the_guide_says_the_same(kind):
    base = tiny.network()
    oracle = taught() if kind == "separate" else linear(base)
    with torch.no_grad():
        oracle.head.weight.normal_(0, 1.0, generator=torch.Generator().manual_seed(7))
    guide, tokens = OracleGuide(oracle), tiny.rows(tiny.texts())
    whole = Policy(base, guide).log_probs(tokens)
    past, state = KeyValues(), guide.begin()
    for place in range(tokens.shape[1]):
        new = tokens[:, place : place + 1]
        said = guide(base(new, past), new, state)
        assert torch.allclose(said[:, 0], whole[:, place], atol=1e-5)


def test_what_a_guided_policy_writes_follows_q():
    """4 000 first words, each within five standard errors of its chance p · R / Σ p · R."""
    base, oracle = tiny.network(), taught()
    begin = torch.full((4000, 1), tiny.BEGIN)
    rows = sample(Policy(base, OracleGuide(oracle)), begin, torch.Generator().manual_seed(0), new=1)
    wanted = base(begin[:1])[0, 0].softmax(0) * oracle(begin[:1])[0, 0].sigmoid()
    wanted = (wanted / wanted.sum()).double()
    found = torch.bincount(rows[:, 1], minlength=5) / 4000
    assert ((found - wanted).abs() <= 5 * (wanted * (1 - wanted) / 4000).sqrt() + 1e-6).all()
    plain = base(begin[:1])[0, 0].softmax(0).double()
    assert (wanted - plain).abs().max() > 0.05
