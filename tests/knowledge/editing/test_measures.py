"""Effects of edits: nothing where nothing changed, and the numbers of a plain loop."""

import numpy as np
import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.editing import EditEffects, EditSettings, drawn, edit, effects, request
from helpers.knowledge.facts import FRAMES, divided, facts
from helpers.knowledge.masks import blocks
from helpers.tinyworld.language import documents, vocabulary
from helpers.tinyworld.language import world as worlds

FRAME = "the {entity} is a kind of"
MODEL = zoo.load("tinyworld", device="cpu")
ITS = blocks.of(MODEL)
ASKED = drawn(divided()[1], 2, FRAME)
ROWS = torch.from_numpy(documents.rows(np.random.default_rng(5), 3, 48))


def test_no_edit_has_no_effect():
    still = edit(ITS, ASKED, torch.ones(len(ITS)), EditSettings(steps=1, size=1e-12))
    seen = effects(ITS, ASKED, still, FRAME, ROWS)
    assert seen.siblings.tolist() == seen.others.tolist() == [1, 1]
    assert seen.text.abs().max() < 1e-6
    assert seen.efficacy.max() < 0.1
    assert seen.chain.tolist() == [0, 0]


def test_effects_are_those_of_the_edited_model_itself():
    edited = edit(ITS, ASKED, torch.ones(len(ITS)), EditSettings(steps=12))
    seen = effects(ITS, ASKED, edited, FRAME, ROWS)
    model, words = zoo.load("tinyworld", device="cpu"), vocabulary()
    plain = torch.nn.functional.cross_entropy(
        MODEL(ROWS[:, :-1]).flatten(0, 1), ROWS[:, 1:].flatten()
    )
    for number, subject in enumerate(ASKED.asked.subjects):
        model.load_state_dict(model.state_dict() | ITS.tensors(edited.values[number]))
        new = ASKED.new[number]

        def p(text, model=model):
            return model(torch.tensor([words.encode(text)]))[0, -1].softmax(-1)

        with torch.no_grad():
            assert float(seen.efficacy[number]) == pytest.approx(
                float(p(FRAME.format(entity=subject))[new]), abs=1e-5
            )
            said = [
                float(p(frame.format(entity=subject))[new]) for frame in FRAMES["kind"]["held out"]
            ]
            assert float(seen.paraphrase[number]) == pytest.approx(np.mean(said), abs=1e-5)
            loss = torch.nn.functional.cross_entropy(
                model(ROWS[:, :-1]).flatten(0, 1), ROWS[:, 1:].flatten()
            )
        assert float(seen.text[number]) == pytest.approx(
            float(loss) - float(plain.detach()), abs=1e-5
        )
        realm = {e.kind: e.realm for e in worlds.load().entities}[words.words[new]]
        (old,) = {e.realm for e in worlds.load().entities if e.name == subject}
        assert realm != old
        asked = facts("realm", (subject,), FRAMES["realm"]["search"] + FRAMES["realm"]["held out"])
        with torch.no_grad():
            logits = model(asked.tokens)[torch.arange(len(asked)), asked.last]
        wins = logits[:, words.token(realm)] > logits[:, words.token(old)]
        assert float(seen.chain[number]) == pytest.approx(float(wins.float().mean()))
    assert seen.efficacy.min() > 0.5
    assert 0 <= seen.siblings.min() <= seen.siblings.max() <= 1
    assert set(seen.means()) >= {"efficacy", "paraphrase", "siblings", "others", "chain", "text"}


def test_means_leave_out_facts_that_have_no_chain():
    half, chain = torch.tensor([1.0, 0.0]), torch.tensor([float("nan"), 0.5])
    seen = EditEffects(half, half, half, half, chain, half)
    assert seen.means()["chain"] == 0.5
    assert seen.means()["efficacy"] == 0.5
    broken = EditEffects(chain, half, half, half, half, half)
    assert np.isnan(broken.means()["efficacy"]), "a broken edit is not left out"


def test_effects_of_other_relations_are_refused():
    asked = request("realm", {"owl": "plant"}, FRAMES["realm"]["search"][0])
    edited = edit(ITS, asked, torch.ones(len(ITS)), EditSettings(steps=1))
    with pytest.raises(LabError, match="expected requests that change kinds; got 'plant'"):
        effects(ITS, asked, edited, FRAME, ROWS)
