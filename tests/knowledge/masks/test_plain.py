"""The model by plain tensors: the numbers of the model itself, and read-outs in its place."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.facts import FRAMES, divided, factnet, facts
from helpers.knowledge.masks import blocks, plain, rivals, search
from tests.circuits import random_models

ASKED = facts("kind", divided()[1][:12], FRAMES["kind"]["held out"])
MODEL = zoo.load("tinyworld", device="cpu")
MODULES, PLAIN = blocks.of(MODEL), plain.of(MODEL)


@pytest.mark.parametrize("density", [1.0, 0.9, 0.5])
def test_logits_are_those_of_the_model_with_the_same_weights(density):
    values = MODULES.values * rivals.uniform(MODULES, density)
    with torch.no_grad():
        expected = MODULES.run(values, ASKED.tokens)
        got = PLAIN.run(values, ASKED.tokens)
        at_last = PLAIN.logits(values, ASKED.tokens, ASKED.last)
    assert torch.allclose(got, expected, atol=1e-4)
    assert torch.allclose(at_last, expected[torch.arange(len(ASKED)), ASKED.last], atol=1e-4)


def test_gradients_are_those_of_the_model():
    slopes = []
    for its in (MODULES, PLAIN):
        values = (its.values * rivals.uniform(its, 0.95)).requires_grad_()
        objective = search.predictions(its, ASKED.tokens, ASKED.last)
        (slope,) = torch.autograd.grad(objective.loss(values, torch.arange(9)), values)
        slopes.append(slope)
    assert torch.allclose(*slopes, atol=1e-4 * float(slopes[0].abs().max()))


def test_a_model_without_normalisation_is_the_same_too():
    model, (tokens, _) = factnet.build(noise=0.02).model, factnet.prompts()
    with torch.no_grad():
        expected = model(tokens)
        got = plain.of(model).run(plain.of(model).values, tokens)
    assert torch.allclose(got, expected, atol=1e-4)


def test_padding_is_not_read():
    its, longer = PLAIN, torch.nn.functional.pad(ASKED.tokens, (0, 3), value=5)
    with torch.no_grad():
        short, padded = (
            its.logits(its.values, tokens, ASKED.last) for tokens in (ASKED.tokens, longer)
        )
    assert torch.allclose(short, padded, atol=1e-4)


def test_a_read_out_is_a_linear_map_of_what_the_unembedding_reads():
    head = torch.randn(2, 128, generator=torch.Generator().manual_seed(0))
    under = PLAIN.with_head(head)
    features = PLAIN.features(ASKED.tokens, ASKED.last)
    with torch.no_grad():
        got = under.logits(under.values, ASKED.tokens, ASKED.last)
        words = PLAIN.logits(PLAIN.values, ASKED.tokens, ASKED.last)
    assert torch.allclose(got, features @ head.T, atol=1e-4)
    assert torch.allclose(features @ MODEL.W_U + MODEL.b_U, words, atol=1e-4)
    labels = (ASKED.answers == ASKED.answers[0]).numpy()
    classifier = LogisticRegression(fit_intercept=False).fit(features.numpy(), labels)
    row = torch.from_numpy(classifier.coef_[0]).float() / 2
    under = PLAIN.with_head(torch.stack([-row, row]))
    with torch.no_grad():
        said = under.logits(under.values, ASKED.tokens, ASKED.last).argmax(-1)
    assert said.bool().tolist() == classifier.predict(features.numpy()).tolist()


def test_what_computes_otherwise_is_refused(tmp_path):
    with pytest.raises(LabError, match="expected a native model with plain attention"):
        plain.of(random_models.gpt2(tmp_path))
    with pytest.raises(LabError, match="expected a native model with plain attention"):
        plain.of(zoo.load("tinyworld-attn", device="cpu"))


@pytest.mark.parametrize(
    "head", [torch.ones(2, 64), torch.ones(128), torch.full((2, 128), torch.nan)]
)
def test_a_read_out_of_another_model_is_refused(head):
    with pytest.raises(LabError, match="expected a read-out of 128 finite weights"):
        PLAIN.with_head(head)


def test_a_mask_of_another_model_and_places_that_are_none_are_refused():
    with pytest.raises(LabError, match="expected a vector over the 529,920 weights"):
        PLAIN.run(torch.ones(7), ASKED.tokens)
    with pytest.raises(LabError, match="expected the place of the last token"):
        PLAIN.logits(PLAIN.values, ASKED.tokens, ASKED.last + 50)
