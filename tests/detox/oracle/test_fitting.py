"""Oracles learn: the exact success of a language whose texts can be listed."""

import pytest
import torch

from helpers.detox.networks import Policy, fresh, sample
from helpers.detox.oracle import FitPlan, LabelledSamples, fit, linear
from helpers.detox.oracle.network import blank
from helpers.errors import LabError
from tests.detox.oracle import tiny

PLAN = FitPlan(steps=100, batch=64, rate=1e-2)


def drawn(base, count: int = 3000, seed: int = 0) -> LabelledSamples:
    """Texts of a network, labelled by reading them."""
    begin = torch.full((count, 1), tiny.BEGIN)
    generator = torch.Generator().manual_seed(seed)
    rows = sample(Policy(base), begin, generator, new=tiny.NEW, stop=tiny.STOP)
    texts = [tuple(word for word in row[1:] if word != tiny.PAD) for row in rows.tolist()]
    labels = torch.tensor([tiny.satisfied(text) for text in texts])
    return LabelledSamples(rows, labels, tiny.START, tiny.STOP)


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def error(oracle, base) -> float:
    """Largest error at what the model says often: a prefix and next word of a chance over 2 %."""
    worst = 0.0
    for text in tiny.texts():
        for place, word in enumerate(text):
            if tiny.chance(base, text[: place + 1]) > 0.02:
                said = oracle(torch.tensor([[tiny.BEGIN, *text[:place]]]))[0, -1, word].sigmoid()
                worst = max(worst, abs(float(said) - tiny.exact(base, text[: place + 1])))
    return worst


@pytest.mark.parametrize(
    ("weight", "direction"), [(0.0, "expected first"), (1.0, "expected first"), (1.0, "own first")]
)
def test_what_is_learned_is_the_exact_success(weight, direction):
    """Within .08 where the model says often, from 3 000 texts: a share of 60 texts is within .065
    of its chance in two of three draws."""
    base, oracle = tiny.network(), blank(tiny.SHAPE, 1)
    before = error(oracle, base)
    plan = FitPlan(PLAN.steps, PLAN.batch, PLAN.rate, weight, direction)
    losses = fit(oracle, base, drawn(base), plan, seeded())
    assert len(losses) == PLAN.steps
    assert (losses[-1].consistency > 0) == (weight > 0)
    assert before > 0.4
    assert error(oracle, base) < 0.08


def test_consistency_counts_by_its_weight():
    """Of one step on the same texts the gradient is that of the label, and so many times the rest:
    it is the last one, and stands at the weights."""
    base, samples, found = tiny.network(), drawn(tiny.network(), 64), {}
    for weight in (0.0, 1.0, 3.0):
        oracle = blank(tiny.SHAPE, 1)
        with torch.no_grad():  # of one that says nothing all expectations are alike
            oracle.head.weight.normal_(generator=seeded())
        fit(oracle, base, samples, FitPlan(steps=1, batch=8, consistency=weight), seeded())
        found[weight] = oracle.head.weight.grad
    apart = found[1.0] - found[0.0]
    assert torch.allclose(found[3.0] - found[0.0], 3 * apart, atol=1e-6)
    assert float(apart.abs().max()) > 1e-3


def test_labels_that_are_turned_round_are_learned_turned_round():
    base, oracle, samples = tiny.network(), blank(tiny.SHAPE, 1), drawn(tiny.network())
    turned = LabelledSamples(samples.tokens, ~samples.satisfied, tiny.START, tiny.STOP)
    fit(oracle, base, turned, PLAN, seeded())
    assert error(oracle, base) > 0.5


def test_a_linear_oracle_cannot_see_what_the_base_does_not_keep():
    """A base that reads the last word only: its states say nothing of an earlier one."""
    base = tiny.network()
    with torch.no_grad():
        base.blocks[0].attn["o"].weight.zero_()
    text = torch.tensor(
        [[tiny.BEGIN, word, tiny.GOOD, tiny.GOOD] for word in (tiny.GOOD, tiny.BAD)]
    )
    said = {}
    for kind in ("separate", "linear"):
        oracle = blank(tiny.SHAPE, 1) if kind == "separate" else linear(base)
        fit(oracle, base, drawn(base), PLAN, seeded())
        said[kind] = oracle(text)[:, -1, tiny.STOP].sigmoid().tolist()
    assert said["separate"][0] > 0.75
    assert said["separate"][1] < 0.25
    assert said["linear"][0] == pytest.approx(said["linear"][1], abs=1e-6)


def test_one_seed_one_oracle_and_gradients_switched_off_change_nothing():
    base, samples, plan = tiny.network(), drawn(tiny.network(), 64), FitPlan(steps=5, batch=8)
    found = []
    for mode in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        oracle = blank(tiny.SHAPE, 1)
        with mode():
            fit(oracle, base, samples, plan, seeded())
        found.append(oracle.state_dict())
    other = blank(tiny.SHAPE, 1)
    fit(other, base, samples, plan, seeded(6))
    for name, value in found[0].items():
        assert all(torch.equal(value, each[name]) for each in found)
    assert any((value != found[0][name]).any() for name, value in other.state_dict().items())


def test_no_steps_change_nothing():
    base, oracle = tiny.network(), blank(tiny.SHAPE, 1)
    before = {name: value.clone() for name, value in oracle.state_dict().items()}
    assert fit(oracle, base, drawn(base, 4), FitPlan(steps=0), seeded()) == []
    assert all(torch.equal(before[name], value) for name, value in oracle.state_dict().items())


def test_a_linear_oracle_reads_the_base_as_it_was():
    base = fresh(tiny.SHAPE, 0)
    oracle = linear(base)
    with torch.no_grad():
        oracle.head.weight.normal_(generator=seeded())
    text = torch.tensor([[tiny.BEGIN, tiny.GOOD]])
    before = oracle(text)
    with torch.no_grad():
        base.embed.weight.normal_(generator=seeded())
    assert torch.equal(oracle(text), before)
    assert [name for name, weight in oracle.named_parameters() if weight.requires_grad] == [
        "head.weight",
        "head.bias",
    ]


@pytest.mark.parametrize(
    "plan",
    [
        FitPlan(steps=-1),
        FitPlan(batch=0),
        FitPlan(rate=0.0),
        FitPlan(rate=float("nan")),
        FitPlan(consistency=-1.0),
        FitPlan(consistency=float("nan")),
        FitPlan(direction="both"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(plan):
    base = tiny.network()
    with pytest.raises(LabError, match="expected"):
        fit(blank(tiny.SHAPE, 1), base, drawn(base, 4), plan, seeded())


def test_an_oracle_of_another_vocabulary_is_refused():
    base, six = tiny.network(), tiny.PlainShape(6, 8, 2, 1, 16, 8)
    with pytest.raises(LabError, match="an oracle over the base's 5 words"):
        fit(blank(six, 0), base, drawn(base, 4), PLAN, seeded())


def test_texts_of_another_vocabulary_or_of_pads_alone_are_refused():
    base = tiny.network()
    strange = LabelledSamples(torch.tensor([[1, 9]]), torch.tensor([True]), 1, tiny.STOP)
    with pytest.raises(LabError, match="vocabulary"):
        fit(blank(tiny.SHAPE, 1), base, strange, PLAN, seeded())
    silent = LabelledSamples(torch.tensor([[1, 0]]), torch.tensor([True]), 1, tiny.STOP)
    with pytest.raises(LabError, match="a word after the prompt"):
        fit(blank(tiny.SHAPE, 1), base, silent, PLAN, seeded())


def test_a_loss_that_is_no_number_is_said():
    base, oracle = tiny.network(), blank(tiny.SHAPE, 1)
    with pytest.raises(LabError, match="a loss of the oracle that is a number"):
        fit(oracle, base, drawn(base, 64), FitPlan(steps=30, rate=1e38), seeded())


@pytest.mark.parametrize("chance", [0.0, 1.0, -1.0, float("nan"), "half"])
def test_a_chance_that_is_none_is_refused(chance):
    for make in (lambda: blank(tiny.SHAPE, 0, chance), lambda: linear(tiny.network(), chance)):
        with pytest.raises(LabError, match="chance of success between 0 and 1"):
            make()
