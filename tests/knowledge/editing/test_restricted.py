"""Restricted edits: another route, weights left alone bit by bit, and edits whose end is known."""

import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.editing import RELEASED, EditSettings, Requests, drawn, edit, request
from helpers.knowledge.facts import Facts, divided, factnet
from helpers.knowledge.masks import blocks, rivals

FRAME = "the {entity} is a kind of"
MODEL = zoo.load("tinyworld", device="cpu")
ITS = blocks.of(MODEL)
ASKED = drawn(divided()[1], 3, FRAME)
MASK = rivals.uniform(ITS, 0.3)


def by_autograd(settings, mask, number):
    """One fact, edited in a copy of the model itself, by torch's own optimisers where there are."""
    model = zoo.load("tinyworld", device="cpu")
    state = model.state_dict()
    names = [name for name in state if name.startswith("blocks.")]
    masks, parameters = ITS.tensors(mask), {w.data_ptr(): w for w in model.parameters()}
    leaves = [parameters[state[name].data_ptr()] for name in names]
    make = {"SGD": torch.optim.SGD, "Adam": torch.optim.Adam}.get(settings.optimiser)
    optimiser = make(leaves, lr=settings.size) if make else None
    tokens, new = ASKED.asked.tokens[number : number + 1], ASKED.new[number : number + 1]
    at, before, nll = int(ASKED.asked.last[number]), [w.detach().clone() for w in leaves], []
    for _ in range(settings.steps):
        loss = torch.nn.functional.cross_entropy(model(tokens)[:, at], new)
        nll.append(float(loss.detach()))
        gradients = torch.autograd.grad(loss, leaves)
        gradients = [g * masks[name] for g, name in zip(gradients, names, strict=True)]
        length = torch.cat([g.flatten() for g in gradients]).norm()
        with torch.no_grad():
            for weight, g in zip(leaves, gradients, strict=True):
                if optimiser:
                    weight.grad = g
                else:
                    weight -= settings.size * g / length
        if optimiser:
            optimiser.step()
        if settings.clamp:
            with torch.no_grad():
                for weight, start in zip(leaves, before, strict=True):
                    weight.copy_(weight.clamp(start - settings.clamp, start + settings.clamp))
    return nll, torch.cat([weight.detach().flatten() for weight in leaves])


@pytest.mark.parametrize(
    "settings",
    [
        EditSettings(steps=3),
        EditSettings("SGD", steps=3, size=0.02),
        EditSettings("SGD", steps=3, size=0.02, clamp=1e-3),
        EditSettings("Adam", steps=3, size=1e-3),
    ],
    ids=lambda settings: f"{settings.optimiser} {settings.clamp}",
)
def test_edits_are_those_of_the_model_itself(settings):
    edited = edit(ITS, ASKED, MASK, settings)
    for number in (0, 2):
        nll, values = by_autograd(settings, MASK, number)
        assert edited.nll[:-1, number].tolist() == pytest.approx(nll, abs=1e-4)
        apart = (edited.values[number] - values).abs()
        # Adam divides rounding by rounding where a gradient is next to nothing.
        assert float((apart < 2e-5).double().mean()) > (
            0.99 if settings.optimiser == "Adam" else 1 - 1e-9
        )


def test_what_the_mask_leaves_out_is_the_same_bit_by_bit_and_the_model_too():
    before = {name: weight.clone() for name, weight in MODEL.state_dict().items()}
    edited = edit(ITS, ASKED, MASK, EditSettings(steps=2))
    assert torch.equal(edited.values[:, MASK == 0], ITS.values[MASK == 0].expand(3, -1))
    assert ((edited.values != ITS.values) & (MASK == 1)).any(1).all()
    assert all(torch.equal(w, before[name]) for name, w in MODEL.state_dict().items())


def test_normalised_steps_have_one_length_and_facts_do_not_see_each_other():
    edited = edit(ITS, ASKED, MASK, EditSettings(steps=4, size=0.03))
    assert (edited.moved[1] - 0.03).abs().max() < 1e-4
    assert (edited.moved[-1] <= 4 * 0.03 + 1e-4).all()
    assert edited.nll.shape == (5, 3)
    alone = edit(ITS, _only(ASKED, 1), MASK, EditSettings(steps=4, size=0.03))
    assert torch.allclose(alone.values[0], edited.values[1], atol=1e-5)


def _only(requests, number):
    asked, part = requests.asked, slice(number, number + 1)
    parts = asked.tokens[part], asked.last[part], asked.answers[part], asked.candidates
    return Requests(Facts(*parts, asked.subjects[part]), requests.new[part])


def test_an_edit_stops_when_it_has_enough():
    edited = edit(ITS, ASKED, torch.ones(len(ITS)), EditSettings(steps=30, enough=0.693))
    assert (edited.reached > 0).all()
    for number, steps in enumerate(edited.reached.tolist()):
        assert edited.nll[steps, number] < 0.693 <= edited.nll[steps - 1, number]
        assert (edited.nll[steps:, number] == edited.nll[steps, number]).all()
        assert (edited.moved[steps:, number] == edited.moved[steps, number]).all()


def test_the_released_settings_let_no_weight_move_further_than_their_clamp():
    edited = edit(ITS, ASKED, torch.ones(len(ITS)), RELEASED)
    assert (edited.values - ITS.values).abs().max() <= 5e-4 + 1e-7


def test_an_edit_can_start_from_a_pruned_model():
    start = ITS.values * MASK
    edited = edit(ITS, ASKED, MASK, EditSettings(steps=1), start)
    assert (edited.values[:, MASK == 0] == 0).all()
    assert edited.moved[0].tolist() == [0, 0, 0]
    assert edited.nll[0].mean() > edit(ITS, ASKED, MASK, EditSettings(steps=1)).nll[0].mean()


def test_an_edit_that_makes_nan_is_taken_back_and_the_others_go_on():
    edited = edit(ITS, ASKED, torch.ones(len(ITS)), EditSettings("SGD", steps=6, size=1e30))
    assert edited.undone.all()
    assert torch.isfinite(edited.values).all()
    assert torch.isfinite(edited.nll).all()


def wren_is(new):
    tokens, answers = factnet.prompts()
    at, candidates = (
        torch.tensor([2]),
        torch.tensor([factnet.token(kind) for kind in factnet.KINDS]),
    )
    asked = Facts(tokens[:1], at, answers[:1], candidates, ("wren",))
    return Requests(asked, torch.tensor([factnet.token(new)]))


def edited_in_factnet(place, noise, seed, loudness=1.0):
    """The edit, and the share of other entities that keep their kind."""
    net = factnet.build(noise=noise, seed=seed, loudness=loudness)
    its = blocks.of(net.model)
    wired = torch.cat([net.wired[name].flatten() for name in its.names]).float()
    mask = wired if place == "circuit" else 1 - wired
    edited = edit(its, wren_is("tree"), mask, EditSettings(steps=60, enough=0.1))
    assert torch.equal(edited.values[0][mask == 0], its.values[mask == 0])
    tokens, answers = factnet.prompts()
    with torch.no_grad():
        said = its.logits(edited.values[0], tokens, torch.full((len(tokens),), 2)).argmax(-1)
    assert (said[0] == factnet.token("tree")) == (int(edited.reached[0]) >= 0)
    return edited, float((said[1:16] == answers[1:16]).float().mean())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_where_nothing_is_stored_one_step_is_enough(noise, seed):
    """The pattern that arXiv 2406.17241 reads as resistance of the circuit: here no weight of the
    complement has to do with any fact, and its gradient is a thousand times as long.

    Reached is -log p < 0.1. One step is enough as the decoys are as loud as the facts; of a tenth
    of that size they need three to seven. And it costs most other facts.
    """
    edited, kept = edited_in_factnet("complement", noise, seed)
    assert edited.reached.tolist() == [1]
    assert kept < 0.4, "it shouts the new answer at most subjects"
    inside, _ = edited_in_factnet("circuit", noise, seed)
    assert edited.gradient[0] > 500 * inside.gradient[0]
    quiet, _ = edited_in_factnet("complement", noise, seed, loudness=0.1)
    assert 3 <= quiet.reached[0] <= 7


@pytest.mark.parametrize("seed", range(3))
def test_in_the_circuit_the_fact_moves_and_most_others_stay(seed):
    edited, kept = edited_in_factnet("circuit", 0.01, seed)
    assert 5 < edited.reached[0] < 20
    assert kept == pytest.approx(0.8, abs=0.15)


def test_without_noise_no_gradient_passes_the_neuron_that_would_have_to_wake_up():
    edited, kept = edited_in_factnet("circuit", 0.0, 0)
    assert edited.reached.tolist() == [-1]
    assert edited.nll[-1] > 3
    assert kept == 1


def test_all_weights_of_a_model_can_be_freed():
    whole = blocks.of(MODEL, whole=True)
    assert len(whole) == sum(parameter.numel() for parameter in MODEL.parameters())
    assert torch.equal(whole.values[: len(ITS)], ITS.values)
    released = torch.cat([MASK, torch.ones(len(whole) - len(ITS))])
    edited = edit(whole, ASKED, released, EditSettings(steps=1))
    changed = edited.values[0] != whole.values
    assert changed[len(ITS) :].any(), "embeddings move in the released way"
    assert not changed[: len(ITS)][MASK == 0].any()


@pytest.mark.parametrize(
    ("mask", "settings", "words"),
    [
        (torch.zeros(len(ITS)), EditSettings(), "expected a mask that lets some weight change"),
        (torch.full((len(ITS),), 0.5), EditSettings(), "expected a mask of 0 and 1"),
        (torch.ones(7), EditSettings(), "expected a vector over the 529,920 weights"),
        (MASK, EditSettings(steps=0), "expected a number of steps of at least 1"),
        (MASK, EditSettings(steps=2.5), "expected a number of steps of at least 1"),
        (MASK, EditSettings("adam"), "expected a way of stepping: normalised, SGD, Adam"),
        (MASK, EditSettings(size=0), "expected one or more positive sizes"),
        (MASK, EditSettings(clamp=float("nan")), "expected one or more positive sizes"),
    ],
)
def test_what_edits_nothing_is_refused(mask, settings, words):
    with pytest.raises(LabError, match=words):
        edit(ITS, ASKED, mask, settings)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"owl": "bird"}, "expected a new answer that differs from the old one"),
        ({"owl": "very old tree"}, "it has several words"),
        ({"owl": "dragon"}, "got 'dragon' for 'owl'"),
        ({"dragon": "bird"}, "got 'dragon'"),
        ({}, "expected one or more entities"),
        ({"owl": None}, "got None for 'owl'"),
    ],
)
def test_requests_that_cannot_be_met_are_refused(changes, words):
    with pytest.raises(LabError, match=words):
        request("kind", changes, FRAME)


def test_more_requests_than_entities_are_refused():
    with pytest.raises(LabError, match="expected 1 to 2 facts"):
        drawn(["owl", "oak"], 3, FRAME)


def test_each_entity_is_drawn_once_and_must_be_known():
    with pytest.raises(LabError, match="expected 1 to 1 facts"):
        drawn(["owl", "owl"], 2, FRAME)
    with pytest.raises(LabError, match="expected entities of TinyWorld; got 'zzz'"):
        drawn(["zzz"], 1, FRAME)


def test_an_answer_of_another_relation_is_refused():
    with pytest.raises(LabError, match="expected new answers among the values of the relation"):
        Requests(ASKED.asked, torch.full((3,), 99_999))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bool, torch.int64])
def test_a_mask_of_any_type_edits_the_same(dtype):
    expected = edit(ITS, ASKED, MASK, EditSettings("Adam", steps=2, size=1e-3)).values
    got = edit(ITS, ASKED, MASK.to(dtype), EditSettings("Adam", steps=2, size=1e-3)).values
    assert torch.equal(got, expected)
