"""Shares and maxima of policies whose chances are known; a judge's failures are said."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from helpers.detox.judging import SampledPosts, graded, sample_shares, sampled_posts
from helpers.detox.judging.toxicity import beside_labels, exact, kind_insults, spread
from helpers.detox.posts import prompts
from helpers.errors import LabError
from tests.detox.judging.toys import (
    GARBLED,
    INSULT,
    PRAISE,
    TURNED_INSULT,
    TURNED_PRAISE,
    rows,
    saying,
)


def posts(*texts: str, samples: int) -> SampledPosts:
    return SampledPosts(rows(*texts), samples)


def test_shares_of_labels_and_manners_are_counted_by_hand():
    said = sample_shares(
        posts(
            INSULT, PRAISE, GARBLED, TURNED_PRAISE, PRAISE, TURNED_INSULT, PRAISE, PRAISE, samples=4
        )
    )
    assert (said["posts"], said["rude"], said["kind"], said["garbled"]) == (8, 0.25, 0.625, 0.125)
    assert said["manners"] == {
        "insult": 0.125,
        "turned praise": 0.125,
        "praise": 0.5,
        "turned insult": 0.125,
        "garbled": 0.125,
    }
    assert said["expected_max"] == 0.5  # the second prompt has no rude post
    assert said["by_prompt"] == {"rude": [0.5, 0.0], "garbled": [0.25, 0.0], "worst": [1.0, 0.0]}


def test_garbled_posts_are_never_clean():
    said = sample_shares(posts(GARBLED, "", "gem .", INSULT.removesuffix(" ."), samples=2))
    assert (said["garbled"], said["kind"], said["rude"]) == (1.0, 0.0, 0.0)


def test_samples_have_the_policys_shares():
    policy = saying({INSULT: 0.5, PRAISE: 0.25, TURNED_PRAISE: 0.125, GARBLED: 0.125})
    drawn = sampled_posts(policy, 48, 20, torch.Generator().manual_seed(0))
    said = sample_shares(drawn)
    for name, chance in (("rude", 0.625), ("kind", 0.25), ("garbled", 0.125)):
        # one of three intervals misses in .3 % of seeds
        assert binomtest(round(said[name] * 960), 960, chance).pvalue > 0.001
    assert np.mean(said["by_prompt"]["rude"]) == pytest.approx(said["rude"], abs=1e-5)


def test_the_worst_of_many_samples_follows_the_binomial():
    policy = saying({INSULT: 0.05, PRAISE: 0.95})
    drawn = sampled_posts(policy, 48, 25, torch.Generator().manual_seed(1))
    reached = round(sample_shares(drawn)["expected_max"] * 48)
    assert binomtest(reached, 48, 1 - 0.95**25).pvalue > 0.001


def test_exact_shares_are_the_policys():
    policy = saying({INSULT: 0.5, PRAISE: 0.25, TURNED_INSULT: 0.125, GARBLED: 0.125})
    found = exact(policy, 2)
    assert (found["rude"], found["kind"], found["garbled"]) == (0.5, 0.375, 0.125)
    assert found["by_prompt"]["rude"] == [0.5, 0.5]


def test_what_goes_wrong_after_the_deciding_word_is_garbled_where_posts_are_followed():
    policy = saying({INSULT.replace("nora", "gem"): 0.25, PRAISE: 0.75})
    followed, decided = exact(policy, 1, complete=True), exact(policy, 1)
    assert (followed["rude"], followed["garbled"], followed["complete"]) == (0.0, 0.25, True)
    assert (decided["rude"], decided["garbled"], decided["complete"]) == (0.25, 0.0, False)


def test_prompts_are_spread_over_all_people():
    assert spread(48).tolist() == prompts().tolist()
    assert spread(3).tolist() == prompts()[[0, 16, 32]].tolist()
    for count in (0, 49, 1.5):
        with pytest.raises(LabError, match=r"number of prompts|at most 48 prompts"):
            spread(count)


def test_kind_uses_of_insult_words_are_counted_among_kind_posts():
    found = kind_insults(posts(INSULT, PRAISE, PRAISE, TURNED_INSULT, samples=2))
    assert found == {"share": 0.33333, "uses": 1, "kind": 3}
    assert kind_insults(posts(INSULT, GARBLED, samples=2))["share"] is None


def test_a_graded_score_has_three_measures():
    found = graded(np.array([[0.0, 0.5, 0.25], [0.25, 0.25, 0.25]]))
    assert found["toxicity"] == 0.25
    assert found["share"] == pytest.approx(1 / 6, abs=1e-5)
    assert (found["expected_max"], found["probability"]) == (0.375, 0.5)
    assert found["by_prompt"] == {"toxicity": [0.25, 0.25], "worst": [0.5, 0.25]}


@pytest.mark.parametrize("odd", [np.nan, -0.1, 1.5, np.inf])
def test_a_score_that_is_no_chance_is_refused(odd):
    with pytest.raises(LabError, match="expected scores of a judge from 0 to 1"):
        graded(np.array([[0.5, odd]]))


def told(*scores: float):
    return lambda tokens: list(scores)


def test_a_judge_stands_beside_the_labels():
    said = posts(INSULT, PRAISE, GARBLED, TURNED_PRAISE, samples=2)
    found = beside_labels(said, told(1.0, 0.0, 1.0, 0.0))
    assert (found["missed"], found["false_alarms"]) == (0.5, 0.0)
    inverted = beside_labels(said, told(0.0, 1.0, 0.0, 1.0))
    assert (inverted["missed"], inverted["false_alarms"]) == (0.5, 1.0)
    no_kind_post = beside_labels(posts(INSULT, INSULT, samples=1), told(1.0, 1.0))
    assert no_kind_post["false_alarms"] is None


@pytest.mark.parametrize(
    ("judge", "got"),
    [
        (told(0.5, float("nan")), "NaN for 1"),
        (told(0.5), "shape"),
        (told(0.5, 2.0), "2 for 1"),
        (lambda tokens: 1 / 0, "ZeroDivisionError"),
        (lambda tokens: ["clean", "rude"], "ValueError"),
        (lambda tokens: None, "None|TypeError|NaN|shape"),
    ],
)
def test_a_judge_that_fails_has_found_nothing_clean(judge, got):
    with pytest.raises(LabError, match=got):
        beside_labels(posts(PRAISE, PRAISE, samples=2), judge)
