"""Causal tracing: the known paths of FactNet, and the patches of another module."""

from dataclasses import replace

import pytest
import torch

from helpers import interventions, zoo
from helpers.errors import LabError
from helpers.interventions import Node
from helpers.knowledge.facts import Facts, divided, factnet, facts
from helpers.knowledge.tracing import Noise, exchanged, trace
from tests.circuits import random_models

NET = factnet.build(loudness=3.0)
TOKENS, ANSWERS = factnet.prompts()
KINDS = Facts(TOKENS[:16], torch.full((16,), 2), ANSWERS[:16], ANSWERS, factnet.ENTITIES)
FRAME = "the {entity} is a kind of"
MODEL = zoo.load("tinyworld", device="cpu")
ASKED = facts("kind", divided()[1][:6], [FRAME])
POOL = facts("kind", divided()[1], [FRAME])


def token(name):
    return [factnet.token(name)]


def traced_in_factnet(state, direction, corruption=None):
    corruption = corruption or exchanged(KINDS, tokens_of=token)
    places = ("subject", "last")
    return trace(NET.model, KINDS, corruption, state, direction, places, token)


@pytest.mark.parametrize("direction", ["restore", "replace"])
@pytest.mark.parametrize(
    ("state", "known"),
    [
        # head L0H0 reads the subject before the first block has written anything
        ("residual", [[0, 1], [0, 1]]),
        ("attention", [[0, 1], [0, 0]]),
        ("MLP", [[0, 1], [0, 1]]),
    ],
)
def test_the_path_of_a_fact_through_factnet(state, direction, known):
    found = traced_in_factnet(state, direction)
    assert (found.shares - torch.tensor(known)).abs().max() < 2e-3
    assert found.clean.min() > 0.998, "a margin of 10 leaves the rest to 24 other words"
    assert found.corrupted.max() < 1e-3


def test_noise_on_the_subject_is_restored_by_what_reads_it():
    found = traced_in_factnet("attention", "restore", Noise(draws=4))
    assert found.shares[0, 1] == pytest.approx(1, abs=1e-4)
    assert found.shares[1].abs().max() < 1e-4
    assert found.corrupted.mean() < 0.9 * found.clean.mean()


@pytest.mark.parametrize("corruption", [exchanged(ASKED, POOL), Noise(draws=2)])
@pytest.mark.parametrize("direction", ["restore", "replace"])
def test_the_last_state_of_the_last_place_is_the_whole_answer(corruption, direction):
    found = trace(MODEL, ASKED, corruption, "residual", direction, ("last",))
    assert found.shares[-1, 0] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("state", ["attention", "MLP"])
def test_patches_are_those_of_interventions(state):
    other = exchanged(ASKED, POOL)
    found = trace(MODEL, ASKED, other, state, "restore", ("subject", "last"))
    for layer in (0, 2):
        for number, position in enumerate((2, 6)):
            heads = [-1] if state == "MLP" else range(4)
            nodes = [Node(position, layer, head) for head in heads]
            logits = interventions.patch(MODEL, other.tokens, nodes, ASKED.tokens)[:, 6]
            p = logits.softmax(-1).gather(1, ASKED.answers[:, None])[:, 0]
            assert torch.allclose(found.patched[layer, number], p, atol=1e-6)
    plain = MODEL(ASKED.tokens)[:, 6].softmax(-1).gather(1, ASKED.answers[:, None])[:, 0]
    assert torch.allclose(found.clean, plain.detach(), atol=1e-6)


def test_noise_comes_from_its_seed_and_grows_with_its_scale():
    def corrupted(**options):
        noise = Noise(draws=3, **options)
        return trace(MODEL, ASKED, noise, "MLP", places=("last",)).corrupted

    assert torch.equal(corrupted(seed=1), corrupted(seed=1))
    assert not torch.equal(corrupted(seed=1), corrupted(seed=2))
    assert corrupted(scale=6.0).mean() < corrupted(scale=1.0).mean()


def test_an_exchanged_prompt_differs_in_its_subject_alone():
    frames = ["a {entity} is a kind of", "every {entity} is a kind of"]
    asked = facts("kind", divided()[1], frames)
    other = exchanged(asked, seed=4)
    assert (other.answers != asked.answers).all()
    assert ((other.tokens != asked.tokens).sum(1) == 1).all(), "an owl is not made a owl"
    assert (other.tokens != asked.tokens)[:, 2].all()
    assert other.subjects == exchanged(asked, seed=4).subjects != exchanged(asked).subjects


def test_prompts_of_one_subject_count_as_one():
    frames = [FRAME, "every {entity} is a kind of"]
    asked = facts("kind", divided()[1][:5], frames)
    found = trace(MODEL, asked, exchanged(asked), "MLP", places=("last",))
    assert found.subjects == divided()[1][:5]
    with torch.no_grad():
        said = MODEL(asked.tokens)[torch.arange(10), asked.last].softmax(-1)
    p = said.gather(1, asked.answers[:, None]).view(5, 2).mean(1)
    assert torch.allclose(found.clean, p, atol=1e-6)
    low, high = found.interval(0, "last")
    assert low <= found.shares[0, 0] <= high
    assert found.effects.shape == (4, 1, 5)


def test_the_model_is_left_as_it_was():
    before = {name: weight.clone() for name, weight in MODEL.state_dict().items()}
    said = MODEL(ASKED.tokens).detach()
    trace(MODEL, ASKED, Noise(draws=1), "residual")
    assert all(torch.equal(w, before[name]) for name, w in MODEL.state_dict().items())
    assert torch.equal(MODEL(ASKED.tokens), said)


def test_a_model_of_gpt2s_shape_can_be_traced(tmp_path):
    model = random_models.gpt2(tmp_path)
    tokens = torch.tensor([[1, 5, 6, 7], [1, 8, 6, 7], [1, 9, 6, 7]])
    last = torch.full((3,), 3)
    answers = model(tokens)[:, -1].argmax(-1)
    asked = Facts(tokens, last, answers, torch.arange(20), ("5", "8", "9"))
    found = trace(model, asked, Noise(draws=5), "residual", tokens_of=lambda name: [int(name)])
    assert found.shares[-1, -1] == pytest.approx(1, abs=1e-5)


OTHERS = divided()[1][6:12]
AROUND = "about another subject for each prompt; got other words around"
BOTH = facts("kind", OTHERS[:3], ["the {entity} stands under", FRAME])
SHORTER = replace(BOTH, tokens=BOTH.tokens[:, : ASKED.tokens.shape[1]])  # half of them end sooner


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"state": "head"}, "expected a state to trace: residual, attention, MLP; got 'head'"),
        ({"direction": "both"}, "expected a direction of tracing: restore, replace; got 'both'"),
        ({"places": ("end",)}, "expected a place in a prompt"),
        ({"corruption": Noise(draws=0)}, "expected a number of draws of at least 1"),
        ({"corruption": Noise(scale=float("nan"))}, "expected at least 0 standard deviations"),
        ({"corruption": Noise(scale=0.0)}, "expected a corruption that lowers"),
        ({"corruption": ASKED}, "expected a corruption that lowers"),
        ({"corruption": POOL}, "expected one prompt about another subject for each prompt"),
        ({"corruption": facts("kind", OTHERS, ["every {entity} is a kind of"])}, AROUND),
        ({"corruption": SHORTER}, AROUND),
        ({"places": ()}, "expected a place in a prompt: subject, after, last; got none"),
        ({"model": factnet.build().model}, "expected token ids from 0 to"),
    ],
)
def test_what_cannot_be_traced_is_refused(options, words):
    given = {"model": MODEL, "asked": ASKED, "corruption": Noise(), "state": "MLP"}
    with pytest.raises(LabError, match=words):
        trace(**given | options)


def test_a_model_without_mlps_has_none_to_trace():
    model = random_models.native(attn_only=True, d_mlp=None)
    asked = Facts(torch.tensor([[1, 2]]), torch.tensor([1]), torch.tensor([3]), ANSWERS, ("2",))
    with pytest.raises(LabError, match="expected a model with MLPs"):
        trace(model, asked, Noise(), "MLP", tokens_of=lambda name: [2])


def test_a_subject_without_another_of_its_frame_is_refused():
    with pytest.raises(LabError, match="expected the same prompt about a subject with another"):
        exchanged(facts("kind", ["owl"], [FRAME]))


def test_a_cell_that_was_not_traced_has_no_interval():
    found = traced_in_factnet("MLP", "restore")
    for layer, place in ((0, "after"), (2, "last"), (-1, "last")):
        with pytest.raises(LabError, match="expected a traced layer below 2"):
            found.interval(layer, place)
