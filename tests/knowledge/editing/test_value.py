"""The value of an edit: what the model says when it is written, and searches that end as asked."""

import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.editing import Requests, drawn
from helpers.knowledge.editing.memory import contexts, keys, output_matrix
from helpers.knowledge.editing.value import ValueSettings, wanted
from helpers.knowledge.facts import divided, facts
from helpers.knowledge.masks import blocks

FRAME = "the {entity} is a kind of"
MODEL = zoo.load("tinyworld", device="cpu")
ITS = blocks.of(MODEL)
ASKED = drawn(divided()[1], 3, FRAME)
MATRIX = output_matrix(ITS, 1)


def said_with(value, tokens, at):
    """Log-probabilities of the model itself with a value written by its second MLP."""

    def write(written, hook):
        written = written.clone()
        written[torch.arange(len(value)), at] = value
        return written

    with torch.no_grad():
        logits = MODEL.run_with_hooks(tokens, fwd_hooks=[("blocks.1.hook_mlp_out", write)])
    return logits[:, -1].log_softmax(-1)


@pytest.mark.parametrize("place", ["subject", "last"])
def test_the_loss_is_that_of_the_model_with_the_value_written(place):
    given = contexts(ASKED, place)
    found = wanted(MATRIX, ASKED.new, given)
    said = said_with(found.value, ASKED.asked.tokens, given.at)
    assert torch.allclose(found.nll, -said.gather(1, ASKED.new[:, None])[:, 0], atol=1e-4)
    assert torch.equal(found.key, keys(MATRIX, ITS.values, given))
    plain = said_with(found.before, ASKED.asked.tokens, given.at)
    with torch.no_grad():
        assert torch.allclose(plain, MODEL(ASKED.asked.tokens)[:, -1].log_softmax(-1), atol=1e-4)


def test_a_value_stays_within_its_bound_and_uses_it():
    found = wanted(MATRIX, ASKED.new, contexts(ASKED), ValueSettings(bound=0.5))
    share = found.change.norm(dim=1) / found.before.norm(dim=1)
    assert share.tolist() == pytest.approx([0.5] * 3, abs=1e-4)


def test_a_search_stops_when_it_has_enough():
    found = wanted(MATRIX, ASKED.new, contexts(ASKED), ValueSettings(enough=1.0, bound=9.0))
    assert found.nll.max() < 1.0
    fewer = wanted(MATRIX, ASKED.new, contexts(ASKED), ValueSettings(steps=2))
    assert (fewer.nll > found.nll).any()


def test_the_divergence_keeps_what_shall_stay():
    realm = "seen broadly , the {entity} is one more"
    kept = facts("realm", ASKED.asked.subjects, [realm])
    given = contexts(ASKED, "subject")
    others = torch.tensor([next(c for c in kept.candidates if c != a) for a in kept.answers])
    stay = contexts(Requests(kept, others), "subject")

    def apart(weight):
        settings = ValueSettings(kl=weight, enough=0.0, steps=8, bound=9.0)
        found = wanted(MATRIX, ASKED.new, given, settings, stay=stay)
        with torch.no_grad():
            before = MODEL(kept.tokens)[:, -1].log_softmax(-1)

        def add(written, hook):
            written = written.clone()
            written[torch.arange(3), stay.at] += found.change
            return written

        with torch.no_grad():
            logits = MODEL.run_with_hooks(kept.tokens, fwd_hooks=[("blocks.1.hook_mlp_out", add)])
        after = logits[:, -1].log_softmax(-1)
        return float((before.exp() * (before - after)).sum(-1).mean())

    assert apart(10.0) < 0.5 * apart(0.0)


def test_nan_stops_one_search_and_leaves_the_last_finite_value():
    found = wanted(MATRIX, ASKED.new, contexts(ASKED), ValueSettings(size=1e36, bound=3e38))
    assert found.undone.all()
    assert torch.equal(found.value, found.before)
    assert found.nll.isfinite().all(), "the loss of the last finite value"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (ValueSettings(steps=0), "expected a number of steps of at least 1"),
        (ValueSettings(size=0.0), "expected one or more positive sizes"),
        (ValueSettings(bound=float("nan")), "expected one or more positive sizes"),
        (ValueSettings(enough=float("nan")), "expected at least 0 nats that are enough"),
        (ValueSettings(kl=-1.0), "expected at least 0 as the weight"),
    ],
)
def test_settings_that_search_nothing_are_refused(settings, words):
    with pytest.raises(LabError, match=words):
        wanted(MATRIX, ASKED.new, contexts(ASKED), settings)


def test_contexts_of_other_facts_are_refused():
    given = contexts(ASKED)
    two = contexts(drawn(divided()[1], 2, FRAME))
    with pytest.raises(LabError, match="expected contexts of each of the 2 facts; got them of 3"):
        wanted(MATRIX, ASKED.new[:2], given)
    with pytest.raises(LabError, match="expected contexts of each of the 3 facts"):
        wanted(MATRIX, ASKED.new, given, stay=two)
