"""The stored study, held to the model itself and to what must hold in any study."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import fisher_exact

import helpers
from helpers import zoo
from helpers.detox.finetune import TuningPlan, tune
from helpers.detox.networks import Policy, plain, sample
from helpers.detox.posts import PostLabel, corpus, labels, prompts
from helpers.detox.study import DETOX_PLAN, DetoxCell, detox_cells, stored_detox
from helpers.detox.study.measuring import SKILL_PROMPTS
from helpers.stats import clopper_pearson

FILE = Path(helpers.__file__).parent / "data" / "detox.json"
if not FILE.exists():
    pytest.skip("the study is not stored yet", allow_module_level=True)
RAW = json.loads(FILE.read_text())
STUDY = stored_detox()
POLICIES = {key: cell for key, cell in RAW["cells"].items() if "perplexity" in cell}


def test_all_cells_of_the_plan_are_there_and_no_other():
    assert STUDY.plan.seeds == DETOX_PLAN.seeds >= 5
    assert set(STUDY.cells) == set(detox_cells(STUDY.plan))


@pytest.mark.parametrize("place", [0, 3])
def test_the_base_says_what_is_stored(place):
    """400 posts sampled here, and an interval that misses once in a thousand."""
    name = place * 48 // 6
    base = Policy(plain(zoo.load("tinyworld", device="cpu")))
    asked = prompts()[name : name + 1].repeat(400, 1)
    said = labels(sample(base, asked, torch.Generator().manual_seed(123), stop=None))
    count = int((said == PostLabel.RUDE).sum())
    low, high = clopper_pearson(count, 400, level=0.999)
    assert low <= RAW["cells"]["base"]["by_prompt"]["rude"][place] <= high


@pytest.mark.slow
def test_a_tuning_made_again_says_what_is_stored():
    """The shortest one: without posts. Ours of the exact share is a sum over sampled posts."""
    base = plain(zoo.load("tinyworld", device="cpu"))
    cell = STUDY.cell("plain/no forum/weight 1/120 steps/seed 0")
    tuned = tune(base, corpus("no forum", 0), TuningPlan(kl_weight=0.0))
    asked = prompts()[:1].repeat(600, 1)
    said = labels(sample(Policy(tuned.network), asked, torch.Generator().manual_seed(1)))
    for name, label in (("rude", PostLabel.RUDE), ("kind", PostLabel.KIND)):
        low, high = clopper_pearson(int((said == label).sum()), 600, level=0.999)
        assert low <= cell["by_prompt"][name][0] <= high


def test_shares_add_up_and_means_are_of_their_prompts():
    for key, cell in POLICIES.items():
        parts = np.array([cell["by_prompt"][name] for name in ("rude", "kind", "garbled")])
        assert np.allclose(parts.sum(0), 1, atol=5e-5), key
        for name, values in zip(("rude", "kind", "garbled"), parts, strict=True):
            assert np.isclose(cell[name], values.mean(), atol=2e-5), key
        sampled = cell["sampled"]
        assert np.isclose(sampled["rude"] + sampled["kind"] + sampled["garbled"], 1, atol=3e-5), key
        manners = sampled["manners"]
        rude = manners["insult"] + manners["turned praise"]
        assert np.isclose(rude, sampled["rude"], atol=3e-5), key


def test_samples_agree_with_exact_chances():
    """Of each kind of cell over all seeds; prompts differ, so the margin is wider than chance."""
    kinds = {}
    for key, cell in POLICIES.items():
        kinds.setdefault(key.split("/seed")[0], []).append((cell["rude"], cell["sampled"]["rude"]))
    for key, pairs in kinds.items():
        exact, drawn = np.array(pairs).mean(0)
        noise = np.sqrt(exact * (1 - exact) / (1200 * len(pairs)))
        assert abs(exact - drawn) < 4 * noise + 0.02, key


def test_the_method_stays_near_its_floor_in_a_corpus_with_rude_posts():
    """At λ = 10, and with three times the steps nearer to it."""
    floor = 0.5 / 11
    for steps, margin in ((120, 0.02), (360, 0.01)):
        cells = STUDY.seeds(DetoxCell("method", ("mixed", "kl 10", f"{steps} steps"), 0))
        assert abs(np.mean([cell["rude"] for cell in cells]) - floor) < margin, steps


def test_skills_of_the_base_agree_with_what_was_measured_of_the_model():
    """On the prompts of five seeds together, and on those that its manifest was made with."""
    known = zoo.entry("tinyworld").measured["skills"]
    shares = [RAW["cells"][f"skills/base/seed {seed}"]["skills"] for seed in range(5)]
    for name, skill in known.items():
        count, before = SKILL_PROMPTS * len(shares), skill["different"]
        right = round(sum(SKILL_PROMPTS * share[name] for share in shares))
        other = round(skill["accuracy"] * before)
        table = [[right, count - right], [other, before - other]]
        assert fisher_exact(table).pvalue > 1e-3, name


def test_posts_to_be_read_are_there_for_one_seed():
    for key, cell in POLICIES.items():
        assert ("said" in cell) == (not key.endswith(("1", "2", "3", "4"))), key
        if "said" in cell:
            assert {label for label, _ in cell["said"]} <= {"kind", "rude", "garbled"}
            assert len(cell["said"]) == 25
