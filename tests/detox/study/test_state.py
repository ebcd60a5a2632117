"""A study that is killed and given again is the same; nothing is measured twice, or of others."""

import json
from dataclasses import replace

import pytest
import torch

from helpers.detox.judging import JudgePlan
from helpers.detox.networks import Policy
from helpers.detox.oracle import separate
from helpers.detox.oracle.measuring import base
from helpers.detox.posts import PROMPT, all_posts, prompts
from helpers.detox.study import DetoxCell, DetoxPlan, detox_cells, measuring, state
from helpers.detox.study.plan import skills_cell
from helpers.errors import LabError
from helpers.files.cells import Contents
from helpers.tinyworld.language import vocabulary
from tests.support import killing

PLAN = DetoxPlan(seeds=1, judge=JudgePlan(2, 2, 2, 2, 1))
KEYS = ("base", "plain/sixty/weight 1/3 steps/seed 0", "plain/sixty/weight 10/3 steps/seed 0")
CELLS = [DetoxCell.read(key) for key in KEYS]


def silent(text):
    pass


def fake(cell, plan, first):
    """A cell in no time; one that begins with an oracle says which."""
    if cell.kind == "first oracle":
        weights = dict(separate(cell.seed).network.state_dict())
        return Contents({"seconds": {"fit": 1.5}}, weights)
    result = {"key": str(cell)}
    if measuring.asks_oracle(cell):
        oracle, spent = first(cell.seed)
        result |= {"spent": spent, "first": float(oracle.network.embed.weight.detach()[0, 0])}
    return Contents(result, {})


def says(policy, before, plan):
    """A judgement in no time that follows from the network."""
    return {"rude": policy.log_probs(prompts()[:1])[0, -1, ::100].tolist()}


def timeless(result):
    return {name: value for name, value in result.items() if name != "seconds"}


def test_a_killed_study_goes_on_and_gives_the_same(tmp_path, monkeypatch):
    """With real tuning, of three steps; judged by what the network says after one prompt."""
    monkeypatch.setattr(measuring, "judged", says)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    state.measure_detox(CELLS, PLAN, whole, silent)
    begun = killing.at_second_call(monkeypatch, state, "measure_cell")
    with pytest.raises(KeyboardInterrupt):
        state.measure_detox(CELLS, PLAN, broken, silent)
    state.measure_detox(CELLS, PLAN, broken, silent)
    assert begun == [CELLS[0], CELLS[1], *CELLS[1:]], "the first one is not measured again"
    for cell in CELLS:
        one, other = (state.read(cell, PLAN, folder) for folder in (whole, broken))
        assert timeless(one) == timeless(other)
        assert min(one["seconds"].values()) >= 0
    check_networks(whole)


def test_skills_are_asked_of_what_was_kept(tmp_path, monkeypatch):
    """A policy that is not there is measured first; its own network is asked, with other prompts
    for every seed."""
    monkeypatch.setattr(measuring, "judged", says)
    monkeypatch.setattr(measuring, "SKILL_PROMPTS", 6)
    monkeypatch.setattr(state, "SKILL_PROMPTS", 6)
    asked = []

    def shares(policy, count, seed):
        asked.append((float(policy.network.unembed.weight.detach().sum()), count, seed))
        return {"kind": 0.5}

    monkeypatch.setattr(measuring, "skill_shares", shares)
    cells = [skills_cell(CELLS[2], 0), skills_cell(CELLS[0], 0), skills_cell(CELLS[0], 1)]
    state.measure_detox(cells, PLAN, tmp_path, silent)
    tuned = state.network(CELLS[2], PLAN, tmp_path)
    weights = [float(network.unembed.weight.detach().sum()) for network in (tuned, base(), base())]
    assert weights[0] != weights[1]
    assert asked == [
        (weight, 6, seed) for weight, seed in zip(weights, (1000, 1000, 1001), strict=True)
    ]
    assert state.read(cells[0], PLAN, tmp_path) == {"skills": {"kind": 0.5}}
    monkeypatch.setattr(state, "SKILL_PROMPTS", 8)
    with pytest.raises(LabError, match=r"expected cells made with \{'prompts': 8\}"):
        state.read(cells[0], PLAN, tmp_path)


def test_a_policy_that_kept_no_weights_is_made_again(tmp_path, monkeypatch):
    masked = DetoxCell("masked words")
    monkeypatch.setattr(measuring, "judged", says)
    state.measure_detox([masked], PLAN, tmp_path, silent)
    said = state.policy(masked, PLAN, tmp_path).log_probs(prompts()[:1])
    wanted = measuring.make_ready(masked, base(), None).policy.log_probs(prompts()[:1])
    assert torch.equal(said, wanted)
    assert not torch.equal(said, Policy(base()).log_probs(prompts()[:1]))


def test_posts_to_be_read_are_a_models_own_with_their_label():
    """The label of a text, read as a post of the grammar; the same draws for the same seed."""
    found = measuring.said(Policy(base()), seed=7)
    assert len(found) == measuring.SAID
    assert found == measuring.said(Policy(base()), seed=7) != measuring.said(Policy(base()), seed=8)
    posts = {tuple(post.tokens): post.label.name.lower() for post in all_posts()}
    for label, text in found:
        assert text.startswith("<begin> mara : ")
        tokens = vocabulary().encode(text.removeprefix("<begin> "), begin=False)
        assert posts.get(tuple(tokens[PROMPT - 1 :]), "garbled") == label


def check_networks(folder):
    """What was tuned is kept, and is another network for another weight; the base is not."""
    first, second = (state.network(cell, PLAN, folder) for cell in CELLS[1:])
    for tuned in (first, second):
        moved = [
            float((ours - theirs).abs().max())
            for ours, theirs in zip(tuned.parameters(), base().parameters(), strict=True)
        ]
        assert 0 < max(moved) < 0.01  # three steps of a small rate
        assert not any(weights.requires_grad for weights in tuned.parameters())
    assert not torch.equal(first.unembed.weight, second.unembed.weight)
    with pytest.raises(LabError, match="expected a cell that tunes a network; got 'base'"):
        state.network(CELLS[0], PLAN, folder)


def test_first_oracles_are_measured_first_and_once(tmp_path, monkeypatch):
    measured = []

    def noted(cell, *words):
        measured.append(str(cell))
        return fake(cell, *words)

    monkeypatch.setattr(state, "measure_cell", noted)
    keys = (
        "method/mixed/kl 10/120 steps/seed 1",
        "oracle decoding 2/seed 1",
        "plain/mixed/weight 1/120 steps/seed 1",
    )
    cells = [DetoxCell.read(key) for key in keys]
    state.measure_detox(cells, PLAN, tmp_path, silent)
    assert measured == [keys[0], "first oracle/seed 1", *keys[1:]]
    wanted = float(separate(1).network.embed.weight.detach()[0, 0])
    for cell in cells[:2]:
        found = state.read(cell, PLAN, tmp_path)
        assert found["first"] == wanted
        assert found["spent"] == {"fit": 1.5}


def test_two_processes_share_a_study(tmp_path, monkeypatch):
    """What another one has measured meanwhile is left as it is."""

    def with_another(cell, *words):
        if cell == CELLS[0]:
            state.cells.keep(
                CELLS[1], Contents({"key": "theirs"}), state.made_with(CELLS[1], PLAN), tmp_path
            )
        return fake(cell, *words)

    monkeypatch.setattr(state, "measure_cell", with_another)
    state.measure_detox(CELLS, PLAN, tmp_path, silent)
    assert [state.read(cell, PLAN, tmp_path)["key"] for cell in CELLS] == [
        "base",
        "theirs",
        KEYS[2],
    ]


def test_damaged_cells_and_those_of_another_plan_are_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "measure_cell", fake)
    state.measure_detox(CELLS[:1], PLAN, tmp_path, silent)
    monkeypatch.setattr(state, "measure_cell", lambda *words: pytest.fail("it was measured"))
    other = replace(PLAN, judge=JudgePlan(samples=3))
    with pytest.raises(LabError, match=r"expected cells made with .* in .*; .* was made with"):
        state.measure_detox(CELLS, other, tmp_path, silent)
    file = tmp_path / CELLS[0].file
    whole = file.read_bytes()
    for content in (b"", b"{", whole[:40], whole.replace(b"base", b"bass", 1)):
        file.write_bytes(content)
        with pytest.raises(LabError, match="expected the cell base in"):
            state.measure_detox(CELLS, PLAN, tmp_path, silent)
        assert file.read_bytes() == content, "and left as it is"


def test_more_seeds_steps_or_groups_need_no_cell_again():
    for cell in CELLS:
        made = state.made_with(cell, PLAN)
        for other in (DetoxPlan(3), DetoxPlan(steps=60), DetoxPlan(groups=("rivals",))):
            assert state.made_with(cell, replace(other, judge=PLAN.judge)) == made
        assert state.made_with(cell, replace(PLAN, judge=JudgePlan(seed=8))) != made


def test_a_cell_follows_from_its_key_its_corpus_and_its_weight():
    made = [state.made_with(cell, PLAN) for cell in CELLS]
    assert made[1]["corpus"] == made[2]["corpus"]
    assert (made[1]["tuning"]["post_weight"], made[2]["tuning"]["post_weight"]) == (1, 10)
    assert "corpus" not in made[0]
    kinds = {cell.kind: cell for cell in detox_cells(PLAN)}
    for cell in kinds.values():
        told = state.made_with(cell, PLAN)
        assert json.loads(json.dumps(told)) == told
        assert told["cell"] == str(cell)


def test_another_seed_has_another_corpus(monkeypatch):
    cells = [DetoxCell("plain", ("sixty", "weight 1", "3 steps"), seed) for seed in (0, 1)]
    one, other = (state.made_with(cell, PLAN)["corpus"] for cell in cells)
    assert one != other
