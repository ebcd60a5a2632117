"""Errors against the exact success: by hand, and on the model itself."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from helpers import zoo
from helpers.detox.networks import Policy, plain
from helpers.detox.oracle import OracleGuide, calibration, linear, measuring, shipped
from helpers.detox.oracle.calibrated import Truth, truth
from helpers.detox.oracle.network import blank
from helpers.detox.oracle.stored import DATA, about
from helpers.detox.posts import (
    PostLabel,
    all_posts,
    exact_shares,
    exact_success,
    labels,
    prompts,
)
from helpers.errors import LabError
from tests.detox.oracle import tiny

SAID = torch.logit(torch.tensor([[0.5, 0.5, 0.25, 0.5, 0.5], [0.5, 0.5, 1.0, 0.0, 0.5]]), eps=1e-9)


class Stub:
    """An oracle that says one thing after a row of one token, another after two."""

    head = SimpleNamespace(out_features=5)

    def __call__(self, tokens):
        return SAID[: tokens.shape[1]].expand(len(tokens), -1, -1)


def by_hand() -> Truth:
    """Two prefixes and two next words each, of weights .5, .25 and .125, .125."""
    weight, exact = np.zeros((2, 5)), np.zeros((2, 5))
    weight[0, [2, 3]], weight[1, [2, 3]] = [0.5, 0.25], [0.125, 0.125]
    exact[0, [2, 3]], exact[1, [2, 3]] = [0.5, 0.5], [0.5, 0.5]
    rows = torch.tensor([[tiny.BEGIN, 0], [tiny.BEGIN, tiny.GOOD]])
    return Truth(rows, torch.tensor([0, 1]), np.array([0, 1]), weight, exact)


def test_errors_are_weighted_by_what_the_model_says():
    """Errors .25, 0, .5, .5 of weights .5, .25, .125, .125."""
    found = calibration(Stub(), tiny.network(), torch.tensor([[tiny.BEGIN]]), [by_hand()])
    assert found.mean_error == pytest.approx(0.5 * 0.25 + 0.25 * 0.5)
    assert found.rmse == pytest.approx((0.5 * 0.0625 + 0.25 * 0.25) ** 0.5)
    assert found.by_depth == pytest.approx({0: 0.125 / 0.75, 1: 0.5})
    assert found.weight_by_depth == pytest.approx({0: 0.75, 1: 0.25})
    wanted = [[0.5, 0.25, 0.5, 0], [0.25, 0.5, 0.5, 0], [0.125, 1, 0.5, 1], [0.125, 0, 0.5, 1]]
    assert np.allclose(found.points, wanted, atol=1e-6)


def test_prompts_count_alike_whatever_their_weights_sum_to():
    other = by_hand()
    other.exact[:] = np.stack([SAID[0].sigmoid(), SAID[1].sigmoid()])
    two = torch.tensor([[tiny.BEGIN], [tiny.BEGIN]])
    found = calibration(Stub(), tiny.network(), two, [by_hand(), other])
    assert found.mean_error == pytest.approx(0.125)
    assert found.points[:, 0].sum() == pytest.approx(1.0)


@pytest.fixture(scope="module")
def base():
    return plain(zoo.load("tinyworld", device="cpu")).requires_grad_(False)


@pytest.fixture(scope="module")
def one(base) -> Truth:
    """What is true after the first person's name."""
    return truth(base, prompts()[0])


def test_the_truth_is_consistent_and_has_none_outside_the_grammar(base, one):
    success = exact_success(Policy(base), prompts()[0], complete=False)
    assert len(one.rows) == len(success.prefixes) == 2769
    assert float(one.weight[0].sum()) == pytest.approx(1.0, abs=1e-5)
    # one word later R is expected to be R: Bellman's equation, at the root and at every prefix
    reach = one.weight.sum(1)
    expected = (one.weight * one.exact).sum(1) / reach
    assert np.abs(expected - success.kind).max() < 0.03  # those go wrong after they have decided
    first = {post.tokens[0] for post in all_posts()}
    outside = [word for word in range(one.exact.shape[1]) if word not in first]
    assert not one.exact[0, outside].any()
    assert one.exact[0, sorted(first)].min() > 0.1


def test_the_truth_at_the_root_is_what_sampled_posts_say(base, one):
    """R of the root from 512 sampled posts, within five standard errors."""
    samples = measuring.labelled_samples(Policy(base), 512, torch.Generator().manual_seed(3))
    sampled = float((labels(samples.tokens) == 0).mean())
    exact = float((one.weight[0] * one.exact[0]).sum())
    assert abs(sampled - exact) < 5 * (0.25 / 512) ** 0.5


def test_the_oracle_of_the_package_knows_the_truth_and_a_blank_one_does_not(base, one):
    learned = calibration(shipped(), base, prompts()[:1], [one])
    blind = calibration(measuring.separate(0), base, prompts()[:1], [one])
    stated = about(DATA)
    assert stated["mean error"] < 0.02
    assert learned.mean_error == pytest.approx(stated["mean error"], abs=0.01)  # one person of four
    assert learned.rmse == pytest.approx(stated["rmse"], abs=0.02)
    assert blind.mean_error > 3 * learned.mean_error
    assert max(learned.by_depth.values()) < 0.06


def test_the_oracle_of_the_package_guides(base):
    """Rude shares by another way than in training: the exact ones of p · R."""
    prompt = prompts()[5:6]
    plain_share = exact_shares(Policy(base), prompt)[0, PostLabel.RUDE]
    guided = exact_shares(Policy(base, OracleGuide(shipped())), prompt)[0, PostLabel.RUDE]
    assert plain_share > 0.4
    assert guided < 0.02


def test_what_does_not_belong_together_is_refused(base, one):
    with pytest.raises(LabError, match="what is true after each of 2 prompts"):
        calibration(shipped(), base, prompts()[:2], [one])
    with pytest.raises(LabError, match=r"over the base's \d+ words"):
        calibration(blank(tiny.SHAPE, 0), base, prompts()[:1], [one])
    with pytest.raises(LabError, match="expected"):
        truth(base, prompts()[0, :2])
    with pytest.raises(LabError, match="expected"):
        truth(tiny.network(), prompts()[0])


def test_a_cell_has_every_number_and_its_arms_share_their_samples(base, one, monkeypatch):
    monkeypatch.setattr(measuring, "truths", lambda: (one,))
    monkeypatch.setattr(measuring, "HELD_TO", 48)
    monkeypatch.setattr(measuring, "base", lambda: base)
    monkeypatch.setattr(measuring, "constant_error", lambda: 0.5)
    cells = [measuring.measure(kind, 48, seed=1, steps=2) for kind in measuring.ORACLES]
    for cell in cells:
        assert sum(cell["guided"].values()) == pytest.approx(1.0)
        assert 0 < cell["mean error"] < cell["rmse"] < 1
        assert set(cell["seconds"]) == {"sample", "fit"}
        assert set(cell["by depth"]) == {str(depth) for depth in np.unique(one.depth)}
    assert cells[0]["last losses"]["satisfied"] == cells[1]["last losses"]["satisfied"]
    assert cells[0]["mean error"] != cells[1]["mean error"]
    with pytest.raises(LabError, match="a kind of oracle: separate, linear"):
        measuring.measure("oracle", 4)
    with pytest.raises(LabError, match="direction"):
        measuring.measure("separate", 4, direction="both")
    with pytest.raises(LabError, match="weight of consistency"):
        measuring.measure("separate", 4, consistency=float("nan"))


def test_a_linear_oracle_of_the_model_says_one_chance_before_it_learns(base):
    said = linear(base, 0.25)(prompts()[:1]).sigmoid().detach()
    assert torch.allclose(said, torch.tensor(0.25))
