"""Effects of edits: nothing where nothing changed, and the numbers of a plain loop."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.editing import EditEffects, EditSettings, drawn, edit, effects, request
from helpers.knowledge.editing.measures import SOME
from helpers.knowledge.editing.questions import EditQuestions, of_tinyworld
from helpers.knowledge.facts import FRAMES, divided, facts
from helpers.knowledge.masks import blocks
from helpers.tinyworld.language import documents, vocabulary
from helpers.tinyworld.language import world as worlds

FRAME = "the {entity} is a kind of"
STEP = EditSettings(steps=1)
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
        with torch.no_grad():
            logits = MODEL(asked.tokens)[torch.arange(len(asked)), asked.last]
        wins = logits[:, words.token(realm)] > logits[:, words.token(old)]
        assert float(seen.chain_before[number]) == pytest.approx(float(wins.float().mean()))
    assert seen.efficacy.min() > 0.5
    assert 0 <= seen.siblings.min() <= seen.siblings.max() <= 1
    assert set(seen.means()) >= {"efficacy", "paraphrase", "siblings", "others", "chain", "text"}


def test_means_leave_out_facts_that_have_no_chain():
    half, chain = torch.tensor([1.0, 0.0]), torch.tensor([float("nan"), 0.5])
    every = {field.name: half for field in dataclasses.fields(EditEffects)}
    every["has"] = {name: torch.tensor([name != "chain", True]) for name in SOME}
    seen = EditEffects(**every | {"chain": chain})
    assert seen.means()["chain"] == 0.5
    assert seen.means()["efficacy"] == 0.5
    broken = EditEffects(**every | {"efficacy": chain})
    assert np.isnan(broken.means()["efficacy"]), "a broken edit is not left out"
    broken = EditEffects(**every | {"denied": chain})
    assert np.isnan(broken.means()["denied"]), "nor where not every fact has one"


def test_a_broken_model_keeps_nothing_and_is_not_left_out_of_means():
    """Of NaN the first word would be the likeliest, and none above the new answer: rank 0."""
    edited = edit(ITS, ASKED, torch.ones(len(ITS)), EditSettings(steps=1, size=1e-12))
    values = edited.values.clone()
    values[0] = torch.finfo(values.dtype).max
    seen = effects(ITS, ASKED, dataclasses.replace(edited, values=values), FRAME, ROWS)
    for name in ("siblings", "others"):
        assert getattr(seen, name).tolist() == [0, 1]
        assert seen.means()[name] == 0.5
    for name in ("efficacy", "rank", "paraphrase", "chain", "denied", "verdict_new", "perplexity"):
        assert getattr(seen, name).isnan().tolist() == [True, False]
        assert np.isnan(seen.means()[name]), name
    assert seen.chain_before.tolist() == [0, 0]


def test_other_measures_are_those_of_the_edited_model_itself():
    edited = edit(ITS, ASKED, torch.ones(len(ITS)), EditSettings(steps=12))
    seen = effects(ITS, ASKED, edited, FRAME, ROWS)
    model, plain, words = *(zoo.load("tinyworld", device="cpu") for _ in range(2)), vocabulary()
    yes, no = ("true", "right", "correct"), ("false", "wrong", "untrue")
    kind_of = {entity.name: entity.kind for entity in worlds.load().entities}

    @torch.no_grad()
    def p(text, of):
        return of(torch.tensor([words.encode(text)]))[0, -1].double().softmax(-1)

    for number, subject in enumerate(ASKED.asked.subjects):
        model.load_state_dict(model.state_dict() | ITS.tensors(edited.values[number]))
        new = int(ASKED.new[number])
        said = p(FRAME.format(entity=subject), model)
        assert float(seen.above_uniform[number]) == pytest.approx(
            -math.log(said[new]) - math.log(len(said)), abs=1e-4
        )
        assert float(seen.rank[number]) == float((said > said[new]).sum())
        assert float(seen.entropy[number]) == pytest.approx(
            -float((said * said.log()).sum()), abs=1e-3
        )
        rises = [
            float(p(f"{beginning} a kind of", model)[new] - p(f"{beginning} a kind of", plain)[new])
            for beginning in (f"the {subject} is not", f"it is a lie that the {subject} is")
        ]
        assert float(seen.denied[number]) == pytest.approx(np.mean(rises), abs=1e-5)
        for got, value, of in (
            (seen.verdict_new[number], words.words[new], model),
            (seen.verdict_old[number], kind_of[subject], model),
            (seen.verdict_new_before[number], words.words[new], plain),
            (seen.verdict_old_before[number], kind_of[subject], plain),
        ):
            said = p(f"the {subject} is a kind of {value} . that is", of)
            true, false = (sum(float(said[words.token(w)]) for w in each) for each in (yes, no))
            assert float(got) == pytest.approx(true / (true + false), abs=1e-5)
        with torch.no_grad():
            loss = torch.nn.functional.cross_entropy(
                model(ROWS[:, :-1]).flatten(0, 1), ROWS[:, 1:].flatten()
            )
        assert float(seen.perplexity[number]) == pytest.approx(float(loss.exp()), rel=1e-4)


def test_without_an_edit_the_model_denies_the_new_claim_and_affirms_the_old():
    still = edit(ITS, ASKED, torch.ones(len(ITS)), EditSettings(steps=1, size=1e-12))
    seen = effects(ITS, ASKED, still, FRAME, ROWS)
    assert seen.verdict_new.max() < 0.5 < seen.verdict_old.min()
    for name in ("verdict_new", "verdict_old", "chain"):
        before = getattr(seen, f"{name}_before")
        assert torch.allclose(getattr(seen, name), before, atol=1e-6)
    assert seen.denied.abs().max() < 1e-6


def test_another_world_asks_its_own_questions():
    edited = edit(ITS, ASKED, torch.ones(len(ITS)), EditSettings(steps=12))
    asked = []

    def ask(subject, new):
        asked.append((subject, new))
        return EditQuestions(facts("kind", (subject,), (FRAME,)))

    seen = effects(ITS, ASKED, edited, FRAME, ROWS, ask=ask)
    assert asked == list(zip(ASKED.asked.subjects, ASKED.new.tolist(), strict=True))
    assert torch.allclose(seen.paraphrase, seen.efficacy), "it asks for the fact itself"
    rest = set(SOME) - {"paraphrase"}
    assert all(getattr(seen, name).isnan().all() for name in rest), "and for nothing else"
    assert {name for name in SOME if seen.has[name].any()} == {"paraphrase"}
    assert seen.has["paraphrase"].all()


def test_edits_of_other_requests_are_refused():
    edited = edit(ITS, request("kind", {"owl": "tree"}, FRAME), torch.ones(len(ITS)), STEP)
    with pytest.raises(LabError, match="expected the edits of 2 requests; got 1"):
        effects(ITS, ASKED, edited, FRAME, ROWS)


@pytest.mark.parametrize(("subject", "new"), [("dragon", "tree"), ("owl", "plant")])
def test_questions_about_what_is_not_there_are_refused(subject, new):
    with pytest.raises(LabError, match=r"expected (entities of TinyWorld|requests that change)"):
        of_tinyworld(subject, vocabulary().token(new), FRAME)


def test_effects_of_other_relations_are_refused():
    asked = request("realm", {"owl": "plant"}, FRAMES["realm"]["search"][0])
    edited = edit(ITS, asked, torch.ones(len(ITS)), EditSettings(steps=1))
    with pytest.raises(LabError, match="expected requests that change kinds; got 'plant'"):
        effects(ITS, asked, edited, FRAME, ROWS)
