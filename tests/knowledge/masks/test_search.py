"""Learned masks: they find what is wired, and beat their controls."""

import math

import numpy as np
import pytest
import torch

from helpers.errors import LabError
from helpers.knowledge.facts import factnet
from helpers.knowledge.masks import blocks, compare, estimators, rivals, search
from helpers.knowledge.masks.search import SearchSettings
from helpers.stats import auroc

TOKENS, ANSWERS = factnet.prompts()
LAST = torch.full((len(TOKENS),), 2)


def wired(net, its):
    return torch.cat([net.wired[name].flatten() for name in its.names]).numpy()


def accuracy(its, mask):
    with torch.no_grad():
        said = its.logits(its.values * mask, TOKENS, LAST).argmax(-1)
    return float((said == ANSWERS).float().mean())


CONCRETE = SearchSettings("hard concrete", (0.05,), steps=400, learning_rate=0.1, batch=36)


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03])
def test_hard_concrete_finds_the_wires(noise):
    net = factnet.build(noise=noise)
    its = blocks.of(net.model)
    learned = search.learn(its, search.predictions(its, TOKENS, LAST), CONCRETE)
    (mask,) = learned.masks.values()
    assert auroc(learned.scores[0.05].numpy(), wired(net, its)) > 0.99
    assert accuracy(its, mask) == 1
    assert mask.numpy()[wired(net, its)].mean() == 1, "every wire is kept"
    assert accuracy(its, rivals.complement(mask)) < 0.2
    drawn = [accuracy(its, rivals.per_tensor(its, mask, seed)) for seed in range(10)]
    assert np.mean(drawn) < 0.3, "one draw may have luck; the largest kind alone is 10 in 36"
    assert learned.losses[-1] < 0.1 < learned.losses.max()


def test_a_search_is_the_same_again_and_another_with_another_seed():
    net = factnet.build()
    its = blocks.of(net.model)
    objective = search.predictions(its, TOKENS, LAST)
    first, again, other = (
        search.learn(its, objective, SearchSettings(densities=(0.5, 0.2), steps=5, seed=seed))
        for seed in (0, 0, 1)
    )
    for density in (0.5, 0.2):
        assert torch.equal(first.masks[density], again.masks[density])
        assert not torch.equal(first.masks[density], other.masks[density])
        assert first.masks[density].mean() == pytest.approx(density, abs=1e-4)
    assert torch.equal(first.losses, again.losses)


def test_the_objective_is_the_divergence_that_a_loop_gives():
    its = blocks.of(factnet.build(noise=0.03).model)
    objective = search.predictions(its, TOKENS, LAST)
    mask = rivals.uniform(its, 0.9)
    rows = torch.tensor([3, 17, 35])
    with torch.no_grad():
        got = float(objective.loss(its.values * mask, rows))
        full = its.logits(its.values, TOKENS, LAST).double().softmax(-1).numpy()
        masked = its.logits(its.values * mask, TOKENS, LAST).double().softmax(-1).numpy()
    expected = (full * np.log(full / masked)).sum(1)[rows.numpy()].mean()
    assert got == pytest.approx(expected, rel=1e-4)
    assert float(objective.loss(its.values, rows).detach()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("estimator", ["top-k", "hard concrete", "binary concrete"])
def test_every_estimator_runs_whatever_mode_gradients_are_in(estimator):
    its = blocks.of(factnet.build().model)
    objective = search.predictions(its, TOKENS, LAST)
    settings = SearchSettings(estimator, (0.9,), steps=3, learning_rate=1.0)
    with torch.no_grad():
        learned = search.learn(its, objective, settings)
    assert torch.isfinite(learned.losses).all()
    assert learned.masks[0.9].sum() == round(0.9 * len(its))


@pytest.mark.parametrize("estimator", ["top-k", "hard concrete", "binary concrete"])
def test_the_density_of_the_masks_that_are_tried_falls(estimator):
    its = blocks.of(factnet.build().model)
    objective = search.predictions(its, TOKENS, LAST)
    settings = SearchSettings(estimator, (0.7, 0.5), steps=60, learning_rate=0.1, batch=36)
    learned = search.learn(its, objective, settings)
    assert learned.densities[0] > 0.9
    assert learned.densities[-1] == pytest.approx(0.5, abs=0.08)
    assert set(learned.masks) == {0.7, 0.5}


def test_the_released_way_takes_a_mask_when_its_density_is_first_below_the_wanted_one():
    its = blocks.of(factnet.build().model)
    objective = search.predictions(its, TOKENS, LAST)
    settings = SearchSettings("binary concrete", (0.8, 0.6), steps=60, learning_rate=0.1, batch=36)
    learned = search.learn(its, objective, settings)
    first = next(step for step, d in enumerate(learned.densities.tolist()) if d <= 0.6)
    assert len(learned.densities) == first + 1, "it stops there"
    slow = SearchSettings("binary concrete", (0.8, 0.6), steps=5, learning_rate=0.001, batch=36)
    assert search.learn(its, objective, slow).masks == {}, "it does not get there"


def test_targets_are_learned_with_their_own_loss():
    its = blocks.of(factnet.build().model)
    false = ANSWERS.roll(7)
    objective = search.Targets(its, TOKENS, LAST, false)
    loss = objective.loss(its.values, torch.arange(len(false)))
    with torch.no_grad():
        said = its.logits(its.values, TOKENS, LAST).log_softmax(-1)
    assert float(loss) == pytest.approx(-float(said[torch.arange(len(false)), false].mean()))


def test_the_density_falls_geometrically_and_stays():
    path = search.schedule((0.5, 0.1), 10)
    assert len(path) == 20
    assert path[5:10] == pytest.approx([0.5] * 5)
    assert path[15:] == pytest.approx([0.1] * 5)
    steps = np.diff(np.log([1.0, *path[:6]]))
    assert steps == pytest.approx([steps[0]] * 6)


@pytest.mark.parametrize("densities", [(), (0.5, 0.5), (0.1, 0.2), (1.0,), (0.5, 0.0), (math.nan,)])
def test_densities_that_do_not_fall_are_refused(densities):
    its = blocks.of(factnet.build().model)
    objective = search.predictions(its, TOKENS, LAST)
    with pytest.raises(LabError, match=r"expected (densities between|a density above)"):
        search.learn(its, objective, SearchSettings(densities=densities, steps=2))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"estimator": "topk"}, "expected an estimator of masks: top-k"),
        ({"steps": 0}, "expected a number of steps of at least 1"),
        ({"steps": 2.5}, "expected a number of steps of at least 1"),
        ({"batch": 0}, "expected a number of prompts of at least 1"),
        ({"batch": True}, "expected a number of prompts of at least 1"),
        ({"learning_rate": math.nan}, "expected one or more positive learning rates"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, words):
    its = blocks.of(factnet.build().model)
    with pytest.raises(LabError, match=words):
        search.learn(its, search.predictions(its, TOKENS, LAST), SearchSettings(**options))


def test_a_loss_that_is_not_finite_stops_the_search_in_words():
    its = blocks.of(factnet.build().model)
    objective = search.Targets(its, TOKENS, LAST, ANSWERS)
    broken = blocks.Blocks(
        its.model, its.names, its.shapes, its.values * torch.nan, its._parameters, its._outside
    )
    with pytest.raises(LabError, match="expected a finite loss of the masked model"):
        search.learn(broken, search.Targets(broken, TOKENS, LAST, ANSWERS), SearchSettings(steps=2))
    assert torch.isfinite(objective.loss(its.values, torch.arange(3)))


def test_rivals_have_the_densities_that_they_should():
    its = blocks.of(factnet.build(noise=0.01).model)
    mask = estimators.keep(torch.arange(len(its)).float(), 0.1)  # all in the last tensors
    drawn = [rivals.per_tensor(its, mask, seed) for seed in (0, 0, 1)]
    for ours, theirs in zip(*(its.tensors(m).values() for m in (mask, drawn[0])), strict=True):
        assert ours.sum() == theirs.sum()
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert rivals.uniform(its, 0.1).sum() == round(0.1 * len(its))
    largest = rivals.magnitude(its, 0.1)
    assert its.values[largest == 1].abs().min() >= its.values[largest == 0].abs().max()
    rest = rivals.complement(mask)
    assert torch.equal(rest + mask, torch.ones(len(its)))
    with pytest.raises(LabError, match="expected a density above 0"):
        rivals.complement(torch.ones(5))


def test_the_gradient_rival_is_weight_times_slope_and_a_flat_loss_is_refused():
    its = blocks.of(factnet.build().model)
    objective = search.Targets(its, TOKENS, LAST, ANSWERS.roll(5))
    rows = (torch.arange(0, 18), torch.arange(18, 36))
    losses = [lambda values, part=part: objective.loss(values, part) for part in rows]
    mask = rivals.gradient(its, losses, 0.0005)
    values, total = its.values.double(), torch.zeros(len(its))
    place = int(mask.argmax())
    for part in rows:
        step = 1e-3
        up, down = (its.values.clone() for _ in range(2))
        up[place] += step
        down[place] -= step
        slope = (objective.loss(up, part) - objective.loss(down, part)) / (2 * step)
        total[place] += float((values[place] * slope).abs())
    assert total[place] > 1e-3
    for loss in (lambda values: 0 * values.sum(), lambda values: torch.inf * values.sum()):
        with pytest.raises(LabError, match="expected a loss that some weight changes"):
            rivals.gradient(its, [loss], 0.1)


def test_what_is_no_mask_is_refused():
    its = blocks.of(factnet.build().model)
    kept = rivals.uniform(its, 0.1)
    for value in (2.0, -1.0, 0.5, math.nan):
        odd = torch.full((len(its),), value)
        for ask in (
            lambda mask: rivals.per_tensor(its, mask),
            rivals.complement,
            lambda mask: compare.overlap(its, kept, mask),
            lambda mask: compare.overlap(its, mask, kept),
            lambda mask: compare.composition(its, mask),
        ):
            with pytest.raises(LabError, match="expected a mask of 0 and 1; got"):
                ask(odd)
    assert rivals.complement(kept.double()).dtype == torch.float64
    assert rivals.complement(torch.tensor([True, False])).tolist() == [0, 1]


def test_the_released_penalty_rises_with_the_passes_and_decay_shrinks_the_scores():
    its = blocks.of(factnet.build().model)
    objective = search.predictions(its, TOKENS[:8], LAST[:8])
    settings = SearchSettings("binary concrete", (0.5,), steps=2000, learning_rate=0.1)
    going = search.MaskSearch(its, objective, settings)
    density = torch.tensor(0.25)
    penalties = [float(going._penalty(density, step)) for step in (0, 1, 7, 1500)]
    assert penalties == [10 / 4, 11 / 4, 17 / 4, 1000 / 4], "a step is a pass: 8 prompts of 32"
    before = going.scores.detach().clone()
    going.scores.grad = torch.zeros_like(before)
    going.descent.step()
    assert torch.allclose(going.scores, before * (1 - 0.1 * 0.01))
