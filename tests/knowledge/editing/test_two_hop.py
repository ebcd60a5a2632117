"""A kind's realm is changed: members, strangers, and FactNet's kind of inference."""

import dataclasses

import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.editing import EditSettings, edit
from helpers.knowledge.editing.two_hop import followed, realm_requests
from helpers.knowledge.facts import FRAMES, facts
from helpers.knowledge.masks import blocks
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.language import world as worlds

MODEL = zoo.load("tinyworld", device="cpu")
ITS, WORDS = blocks.of(MODEL), vocabulary()
ASKED = realm_requests({"bird": "plant", "tree": "animal"})


def test_the_model_knows_the_realms_of_kinds_that_no_text_states():
    with torch.no_grad():
        said = ITS.logits(ITS.values, ASKED.asked.tokens, ASKED.asked.last).argmax(-1)
    assert said.tolist() == ASKED.asked.answers.tolist()
    assert [WORDS.words[token] for token in said] == ["animal", "plant"]


def test_without_an_edit_nobody_moves():
    still = edit(ITS, ASKED, torch.ones(len(ITS)), EditSettings(steps=1, size=1e-12))
    found = followed(ITS, ASKED, still)
    assert found.members.tolist() == found.strangers.tolist() == [0, 0]
    assert found.kinds.tolist() == [1, 1]
    assert found.inferred.tolist() == [0, 0]


def test_shares_are_those_of_the_edited_model_itself():
    edited = edit(ITS, ASKED, torch.ones(len(ITS)), EditSettings(steps=12))
    found, entities = followed(ITS, ASKED, edited), worlds.load().entities
    model = zoo.load("tinyworld", device="cpu")
    for number, (kind, old, new) in enumerate(
        [("bird", "animal", "plant"), ("tree", "plant", "animal")]
    ):
        model.load_state_dict(model.state_dict() | ITS.tensors(edited.values[number]))

        def moved(names, model=model, old=old, new=new):
            asked = facts("realm", names, FRAMES["realm"]["held out"])
            with torch.no_grad():
                said = model(asked.tokens)[torch.arange(len(asked)), asked.last]
            return float((said[:, WORDS.token(new)] > said[:, WORDS.token(old)]).float().mean())

        members = [e.name for e in entities if e.kind == kind]
        strangers = [e.name for e in entities if e.realm == old and e.kind != kind]
        assert float(found.members[number]) == pytest.approx(moved(members))
        assert float(found.strangers[number]) == pytest.approx(moved(strangers))
        text = f"taken broadly , a {kind} is one more"
        with torch.no_grad():
            p = model(torch.tensor([WORDS.encode(text)]))[0, -1].softmax(-1)[WORDS.token(new)]
        assert float(found.efficacy[number]) == pytest.approx(float(p), abs=1e-5)


def test_a_broken_model_moves_nobody_and_is_not_said_to_leave_them():
    edited = edit(ITS, ASKED, torch.ones(len(ITS)), EditSettings(steps=1, size=1e-12))
    values = edited.values.clone()
    values[0] = torch.finfo(values.dtype).max
    found = followed(ITS, ASKED, dataclasses.replace(edited, values=values))
    for part in (found.efficacy, found.members, found.strangers, found.inferred):
        assert part.isnan().tolist() == [True, False]
    assert found.kinds.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "expected kinds of TinyWorld"),
        ({"owl": "plant"}, "expected kinds of TinyWorld: .*; got 'owl'"),
        ({"bird": "tree"}, "expected a new realm that is one word"),
        ({"bird": "animal"}, "expected a new answer that differs from the old one"),
    ],
)
def test_what_changes_no_realm_is_refused(changes, words):
    with pytest.raises(LabError, match=words):
        realm_requests(changes)


def test_edits_of_entities_are_refused():
    from helpers.knowledge.editing import request

    asked = request("kind", {"owl": "tree"}, "the {entity} is a kind of")
    with pytest.raises(LabError, match=r"expected kinds of TinyWorld: .*; got 'owl'"):
        followed(ITS, asked, edit(ITS, asked, torch.ones(len(ITS)), EditSettings(steps=1)))
    with pytest.raises(LabError, match="expected the edits of 2 requests"):
        followed(
            ITS, ASKED, edit(ITS, ASKED.only([0]), torch.ones(len(ITS)), EditSettings(steps=1))
        )
