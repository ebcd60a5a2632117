"""What is stored, held to the model by other code; and the chapter, held to what is stored."""

import numpy as np
import pytest
import torch

from helpers.changes import change_cells, stored_changes, summaries, verdicts
from helpers.changes.plan import models_of
from helpers.changes.reading import both_possible, read_posts
from helpers.changes.stored import CHANGES
from helpers.changes.subjects import before
from helpers.detox.networks import Policy
from helpers.detox.posts import PostLabel, exact_shares, manners, noun_places, noun_words, prompts

pytestmark = pytest.mark.skipif(not CHANGES.is_file(), reason="nothing is stored")
TUNED = ("method", "method without posts", "exact filter")


@pytest.fixture(scope="module")
def study():
    return stored_changes()


def test_all_cells_are_there(study):
    assert list(study.cells) == change_cells(study.plan)


def test_the_base_is_as_rude_as_is_stored(study):
    people = prompts()[1::2][[0, -1]]
    shares = exact_shares(Policy(before()), people)[:, PostLabel.RUDE]
    for question in ("groups", "offset", "neurons"):
        for model in models_of(question):
            for cell in study.seeds(question, model):
                assert cell["base"] == pytest.approx(list(shares), abs=2e-5)


def test_the_base_writes_what_is_stored(study):
    posts = read_posts(study.plan.posts)
    posts = posts[both_possible(posts)]
    turned = np.array(["turned" in manner for manner in manners(posts)])
    logits = before()(posts)[torch.arange(len(posts)), noun_places(posts) - 1]
    insults, praises = (logits[:, list(words)].mean(1).numpy() for words in noun_words())
    for frame, which in (("plain", ~turned), ("turned", turned)):
        said = study.cell("writers/base")[frame]["mean"][-1]
        assert said == pytest.approx((insults - praises)[which].mean(), abs=1e-3)


def test_the_concept_is_not_gone(study):
    for row in summaries.probe_rows(study):
        if row["model"] in TUNED:
            assert row["own"].low > 0.95
            assert row["base's"].low > 0.89
        if row["model"] == "dpo":
            assert row["own"].low > row["base's"].high


def test_one_offset_does_not_explain_the_change(study):
    for model in TUNED:
        row = summaries.offset_row(study, model)
        assert row["vector"].high < 0.2 < 0.35 < row["directions"][0].low
        assert max(row["made"].high, row["undone"].high) < 0.1
    row = summaries.offset_row(study, "dpo")
    assert row["made"].low > row["made, random"].high
    assert row["undone"].low > row["undone, random"].high
    assert row["undone"].high < 0.25, "far from half"


def test_weights_elsewhere_undo_as_much_as_the_unembedding(study):
    for model in TUNED:
        rows = {row["group"]: row["undone"].mean for row in summaries.restored_rows(study, model)}
        assert max(rows, key=rows.__getitem__) in ("unembedding", "same norm")
        assert rows["same norm"] > 0.7 * rows["unembedding"]
        assert rows["random"] < 0.25
    dpo = {row["group"]: row for row in summaries.restored_rows(study, "dpo")}["unembedding"]
    assert dpo["undone"].high < 0.1 < 0.4 < dpo["made"].low


def test_four_posts_bring_rudeness_back(study):
    young = verdicts.attack_row(study, "checkpoint 113", 4)["steps"]
    for model in TUNED:
        assert verdicts.attack_row(study, model, 4)["steps"].high < 4 < young.low
    assert verdicts.attack_row(study, "dpo", 4)["steps"].low > young.high


def test_neurons_explain_a_part(study):
    for model in TUNED:
        row = summaries.neuron_row(study, model)
        assert row["random 50"].high < 0.1 < row["ranked 50"].low < row["ranked 50"].high < 0.45
        assert 0.4 < row["ranked 1024"].mean < 0.6
    dpo = summaries.neuron_row(study, "dpo")
    assert dpo["ranked 50"].low < dpo["random 50"].high, "its tunings do not agree"
    assert dpo["ranked 1024"].high < 0.5


def test_mlps_write_by_the_frame(study):
    rows = {row["part"]: row for row in verdicts.writer_rows(study, "method without posts")}
    parts = [part for part in rows if part != "sum"]
    assert set(parts[:2]) == {"L3M", "L2M"}
    assert rows["sum"]["plain"].high < -2 < 2 < rows["sum"]["turned"].low
    assert abs(rows["sum"]["split, base"]) < 0.05
    dpo = {row["part"]: row for row in verdicts.writer_rows(study, "dpo")}["sum"]
    assert dpo["plain"].high < 0
    assert dpo["turned"].high < 0


def test_circuits_are_shared_in_part(study):
    for model in (*TUNED, "dpo"):
        row = verdicts.shared_row(study, model)
        assert row["circuit chance"].mean < 0.06 < 0.2 < row["circuit shared"].low
        assert row["circuit shared"].high < row["circuit after again"].low


def test_what_masks_share_comes_from_the_seed(study):
    row = verdicts.shared_row(study, "method without posts")
    same, other = row["mask shared, share"], row["mask shared, other seed, share"]
    assert row["mask shared, other seed, chance"].high < other.low < other.high < same.low
    assert other.high < row["mask base again, share"].low
