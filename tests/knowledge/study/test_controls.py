"""Controls: false facts are false and consistent, shuffled weights are the same ones."""

import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.facts import divided
from helpers.knowledge.masks import judge
from helpers.knowledge.study import ASKED, CONTROLS, control
from helpers.knowledge.study.controls import BEFORE
from helpers.texts import final_logits
from helpers.texts.prompts import answers
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.language import world as worlds
from helpers.tinyworld.sets.tasks import prompts

KIND_OF = {entity.name: entity.kind for entity in worlds.load().entities}


def wanted(its, way):
    asked = its.asked[way]
    found: dict[str, set[str]] = {}
    for subject, answer in zip(asked.subjects, asked.answers.tolist(), strict=True):
        found.setdefault(subject, set()).add(vocabulary().words[answer])
    assert all(len(kinds) == 1 for kinds in found.values()), "one answer an entity"
    return {subject: kinds.pop() for subject, kinds in found.items()}


@pytest.mark.parametrize("name", ["facts", "shuffled weights"])
def test_true_facts_are_the_worlds(name):
    its = control(name)
    for way in ASKED:
        assert all(KIND_OF[subject] == kind for subject, kind in wanted(its, way).items())


@pytest.mark.parametrize("seed", [0, 1])
def test_exchanged_kinds_are_one_exchange_throughout(seed):
    its = control("exchanged kinds", seed)
    pairs = {(KIND_OF[s], kind) for way in ASKED for s, kind in wanted(its, way).items()}
    assert all(old != new for old, new in pairs)
    assert len(pairs) == len({old for old, _ in pairs}) == len({new for _, new in pairs}) == 20


def test_facts_dealt_out_are_false_and_the_same_in_every_frame():
    its = control("dealt out")
    learned, frames, others = (wanted(its, way) for way in ASKED)
    assert learned == frames
    together = learned | others
    assert all(KIND_OF[subject] != kind for subject, kind in together.items())
    assert sorted(together.values()) == sorted(KIND_OF.values())
    birds = [kind for subject, kind in together.items() if KIND_OF[subject] == "bird"]
    assert len(set(birds)) > 3, "birds have many answers"
    assert wanted(control("dealt out", 1), "learned") != learned


def test_what_is_asked_is_divided_as_it_says():
    searched, held_out = divided()
    its = control("facts")
    assert [set(its.asked[way].subjects) for way in ASKED] == [
        set(searched),
        set(searched),
        set(held_out),
    ]
    frames = [
        {tuple(row) for row in its.asked[way].tokens.tolist()}
        for way in ("learned", "other frames")
    ]
    assert not frames[0] & frames[1]


def test_shuffled_weights_are_the_same_ones_of_each_tensor_elsewhere():
    plain, its = control("facts").blocks, control("shuffled weights", 3).blocks
    ours, theirs = plain.tensors(plain.values), its.tensors(its.values)
    for name in plain.names:
        assert torch.equal(ours[name].flatten().sort().values, theirs[name].flatten().sort().values)
    assert float((plain.values != its.values).float().mean()) > 0.9
    assert all(torch.equal(plain.around[name], its.around[name]) for name in plain.around)
    assert torch.equal(control("shuffled weights", 3).blocks.values, its.values)


@pytest.mark.parametrize("name", ["untrained", "before the facts", "shuffled weights"])
def test_a_network_that_never_learned_them_knows_no_kinds(name):
    its = control(name)
    asked = its.asked["other entities"]
    assert judge(its.blocks, its.blocks.values, asked).accuracy < 0.12


def test_before_the_facts_verbs_are_known():
    verbs = prompts("verb number", 200)
    for step, low, high in ((BEFORE, 0.9, 1.0), (0, 0.3, 0.7)):
        said = answers(final_logits(zoo.load("tinyworld", "cpu", step=step), verbs), verbs)
        assert low <= float(said.right.float().mean()) <= high


def test_the_objective_is_the_nll_of_what_is_wanted():
    its = control("exchanged kinds")
    rows, asked = torch.arange(12), its.asked["learned"]
    with torch.no_grad():
        said = its.blocks.logits(its.blocks.values, asked.tokens[:12], asked.last[:12])
        expected = -said.log_softmax(-1)[rows, asked.answers[:12]].mean()
        got = its.objective.loss(its.blocks.values, rows)
    assert float(got) == pytest.approx(float(expected), rel=1e-5)


def test_an_unknown_control_is_refused():
    assert len(CONTROLS) == 6
    with pytest.raises(LabError, match="expected a control of masks: facts, exchanged kinds"):
        control("random")
