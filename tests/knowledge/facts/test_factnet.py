"""FactNet: every wire is needed, no decoy is, and a fact is one neuron."""

import pytest
import torch

from helpers.errors import LabError
from helpers.knowledge.facts import factnet
from helpers.knowledge.facts.factnet import ENTITIES, KIND_OF, REALM_OF, WORDS, token

TOKENS, ANSWERS = factnet.prompts()
VARIANTS = {
    "plain": {},
    "loud": {"loudness": 5.0},
    "noisy": {"noise": 0.03},
    "redundant": {"redundant": True},
    "rotated": {"rotated": True},
}


@torch.no_grad()
def margins(model, tokens=TOKENS, answers=ANSWERS):
    """By how much each answer's logit exceeds every other word's."""
    logits = model(tokens)[:, -1]
    others = logits.scatter(1, answers[:, None], -torch.inf).amax(1)
    return logits.gather(1, answers[:, None])[:, 0] - others


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_question_is_answered_in_every_variant(name, seed):
    assert margins(factnet.build(**VARIANTS[name], seed=seed).model).min() > 2


def test_the_prompts_ask_for_kinds_realms_and_realms_of_kinds():
    said = {
        tuple(WORDS[word] for word in row[1:]): WORDS[answer]
        for row, answer in zip(TOKENS.tolist(), ANSWERS.tolist(), strict=True)
    }
    assert said["wren", "kind"] == "bird"
    assert said["wren", "realm"] == said["bird", "realm"] == "animal"
    assert said["poppy", "realm"] == REALM_OF[KIND_OF["poppy"]] == "plant"
    assert len(said) == 2 * len(ENTITIES) + 4


@pytest.mark.parametrize("redundant", [False, True])
def test_everything_but_the_wires_can_go(redundant):
    net = factnet.build(redundant=redundant, loudness=3.0)
    state = net.model.state_dict()
    assert sum(int((weight != 0).sum()) for weight in state.values()) > 25_000, "decoys are there"
    net.model.load_state_dict({name: state[name] * net.wired[name] for name in state})
    assert margins(net.model).min() == pytest.approx(10)


def test_every_single_wire_in_the_blocks_is_needed():
    net = factnet.build()
    state = {name: weight.clone() for name, weight in net.model.state_dict().items()}
    wires = [
        (name, tuple(place.tolist()))
        for name, mask in net.wired.items()
        if name.startswith("blocks.")
        for place in mask.nonzero()
    ]
    assert len(wires) == 106
    for name, place in wires:
        changed = state[name].clone()
        changed[place] = 0
        net.model.load_state_dict(state | {name: changed})
        assert margins(net.model).min() < 10 - 1e-3, f"{name} {place} is not needed"


def test_of_redundant_wires_either_set_is_enough():
    net = factnet.build(redundant=True)
    state = {name: weight.clone() for name, weight in net.model.state_dict().items()}
    for keep in (0, 1):
        gone = [rows[1 - keep] for rows in net.fact_rows.values()]
        weight = state["blocks.0.mlp.out.weight"].clone()
        weight[:, gone] = 0
        net.model.load_state_dict(state | {"blocks.0.mlp.out.weight": weight})
        assert margins(net.model).min() == pytest.approx(10)


def test_moving_one_weight_edits_a_fact_and_its_realm_follows():
    net = factnet.build()
    state = net.model.state_dict()
    (row,) = net.fact_rows["wren"]
    out = state["blocks.0.mlp.out.weight"].clone()
    bird, tree = factnet.KIND[0], factnet.KIND[2]
    assert out[bird, row] == 1
    out[bird, row], out[tree, row] = 0, 1
    net.model.load_state_dict(state | {"blocks.0.mlp.out.weight": out})
    now = ANSWERS.clone()
    now[ENTITIES.index("wren")] = token("tree")
    now[len(ENTITIES) + ENTITIES.index("wren")] = token("plant")
    assert margins(net.model, answers=now).min() == pytest.approx(10)


def test_a_rotation_changes_no_answer_and_spreads_every_wire():
    plain, turned = factnet.build(), factnet.build(rotated=True)
    with torch.no_grad():
        assert torch.allclose(plain.model(TOKENS), turned.model(TOKENS), atol=0.02)
    assert not any(mask.any() for mask in turned.wired.values())
    weight = turned.model.state_dict()["blocks.0.mlp.in.weight"]
    assert (weight[:16].abs() > 1e-6).float().mean() > 0.99


@pytest.mark.parametrize("options", [{"noise": -1}, {"noise": torch.nan}, {"loudness": -0.1}])
def test_what_cannot_be_built_is_refused(options):
    with pytest.raises(LabError, match="expected noise and loudness of 0 or more"):
        factnet.build(**options)


def test_an_unknown_word_is_refused():
    with pytest.raises(LabError, match="expected a word of FactNet"):
        token("sparrow")
