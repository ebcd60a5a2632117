"""Embedding-row edits: torch's own gradient on that row, and no other weight moved by a bit."""

import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.editing import EditSettings, Requests, drawn
from helpers.knowledge.editing.embedding_row import edit_embedding_row, row_mask
from helpers.knowledge.facts import Facts, divided, factnet
from helpers.knowledge.masks import blocks
from tests.circuits import random_models
from tests.knowledge.editing.rivals import (
    become,
    of_random,
    random_requests,
    same_elsewhere,
    token,
)

FRAME = "the {entity} is a kind of"
MODEL = zoo.load("tinyworld", device="cpu")
WHOLE = blocks.of(MODEL, whole=True)
ASKED = drawn(divided()[1], 2, FRAME)


def test_steps_are_those_of_torch_on_the_row_itself():
    edited = edit_embedding_row(WHOLE, ASKED, EditSettings(steps=3, size=0.1))
    for number in range(2):
        model = zoo.load("tinyworld", device="cpu")
        tokens, new = ASKED.asked.tokens[number : number + 1], ASKED.new[number : number + 1]
        row = int(tokens[0, 2])
        for _ in range(3):
            loss = torch.nn.functional.cross_entropy(model(tokens)[:, -1], new)
            (slope,) = torch.autograd.grad(loss, model.embed.weight)
            with torch.no_grad():
                model.embed.weight[row] -= 0.1 * slope[row] / slope[row].norm()
        found = WHOLE.tensors(edited.values[number])["embed.weight"]
        assert torch.allclose(found, model.embed.weight, atol=1e-5)


def test_nothing_but_the_row_moves_and_the_model_not_at_all():
    before = {name: weight.clone() for name, weight in MODEL.state_dict().items()}
    edited = edit_embedding_row(WHOLE, ASKED, EditSettings(steps=2))
    for number, name in enumerate(ASKED.asked.subjects):
        mask = row_mask(WHOLE, name)
        assert mask.sum() == 128
        assert torch.equal(edited.values[number, mask == 0], WHOLE.values[mask == 0])
        assert (edited.values[number, mask == 1] != WHOLE.values[mask == 1]).any()
    assert all(torch.equal(w, before[name]) for name, w in MODEL.state_dict().items())


def test_a_name_of_two_tokens_has_two_rows():
    model = random_models.native()
    whole = blocks.of(model, whole=True)
    tokens = torch.tensor([[1, 5, 8, 7]])
    asked = Facts(tokens, torch.tensor([3]), torch.tensor([3]), torch.arange(20), ("ann lee",))
    requests = Requests(asked, torch.tensor([11]))
    edited = edit_embedding_row(
        whole, requests, EditSettings(steps=2), tokens_of=lambda name: [5, 8]
    )
    changed = changed_rows(whole, edited.values[0])
    assert changed == [5, 8]


def changed_rows(whole, values):
    apart = whole.tensors(values - whole.values)["embed.weight"]
    return apart.abs().sum(1).nonzero().flatten().tolist()


def test_other_facts_of_factnet_are_out_of_reach():
    net = factnet.build(noise=0.01)
    whole = blocks.of(net.model, whole=True)
    settings = EditSettings(steps=20, size=0.2)
    edited = edit_embedding_row(whole, become(wren="tree"), settings, tokens_of=token)
    tokens, answers = factnet.prompts()
    with torch.no_grad():
        said = whole.logits(edited.values[0], tokens, torch.full((len(tokens),), 2)).argmax(-1)
    assert edited.nll[-1] < edited.nll[0] - 1
    rest = [row for row in range(len(tokens)) if row not in (0, 16)]
    assert torch.equal(said[rest], answers[rest])


def test_facts_that_stop_earlier_keep_what_they_had():
    settings = EditSettings(steps=20, size=0.2, enough=0.5)
    both = edit_embedding_row(WHOLE, ASKED, settings)
    assert both.nll.shape[1] == 2
    for number, steps in enumerate(both.reached.tolist()):
        assert 0 < steps < len(both.nll)
        assert both.nll[steps, number] < 0.5 <= both.nll[steps - 1, number]
        assert (both.nll[steps:, number] == both.nll[steps, number]).all()
    assert len(both.nll) - 1 == both.reached.max()


def test_a_tied_embedding_is_found(tmp_path):
    whole = blocks.of(random_models.gpt2(tmp_path), whole=True)
    asked = random_requests()
    edited = edit_embedding_row(whole, asked, EditSettings(steps=2), tokens_of=of_random)
    for number, row in enumerate((5, 8)):
        assert changed_rows(whole, edited.values[number]) == [row]
    assert not same_elsewhere(edited, whole, torch.zeros(len(whole)))


def test_nan_is_taken_back():
    edited = edit_embedding_row(WHOLE, ASKED, EditSettings("SGD", steps=3, size=1e38))
    assert edited.undone.all()
    assert edited.values.isfinite().all()


def test_rows_that_no_prompt_reads_are_refused():
    """They have no gradient: nothing would change, and nothing would say so."""
    with pytest.raises(LabError, match="expected prompts that name their subject"):
        edit_embedding_row(WHOLE, ASKED, EditSettings(steps=1), tokens_of=lambda name: [60])


@pytest.mark.parametrize(
    ("weights", "tokens_of", "words"),
    [
        (blocks.of(MODEL), of_random, "expected all weights of the model, embeddings among them"),
        (WHOLE, lambda name: [], "expected a name of one or more tokens below 993"),
        (WHOLE, lambda name: [993], "expected a name of one or more tokens below 993"),
        (WHOLE, lambda name: [-1], "expected a name of one or more tokens below 993"),
    ],
)
def test_rows_that_are_not_there_are_refused(weights, tokens_of, words):
    with pytest.raises(LabError, match=words):
        row_mask(weights, "five", tokens_of)
