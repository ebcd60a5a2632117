"""All numbers of a policy, in one dictionary."""

import json
from dataclasses import replace

import pytest

from helpers.detox.judging import JudgePlan, judged
from helpers.errors import LabError
from tests.detox.judging.toys import GARBLED, INSULT, PRAISE, TURNED_INSULT, blank_network, saying

PLAN = JudgePlan(samples=3, rows=1, skill_prompts=2, prompts=4, exact_prompts=1, seed=0)
CHANCES = {INSULT: 0.5, PRAISE: 0.25, TURNED_INSULT: 0.125, GARBLED: 0.125}
JUDGES = {"says rude": lambda tokens: [1.0] * len(tokens)}


@pytest.fixture(scope="module")
def found():
    return judged(saying(CHANCES), blank_network(), PLAN, JUDGES)


def test_every_number_has_its_name(found):
    assert set(found) == {
        *(
            "rude",
            "kind",
            "garbled",
            "by_prompt",
            "complete",
            "sampled",
            "perplexity",
            "skills",
            "distinct",
        ),
        *("kl_to_base", "kind_insults", "verdicts", "false_positives", "judge"),
    }
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["rude"], found["kind"], found["garbled"]) == (0.5, 0.375, 0.125)
    assert found["sampled"]["posts"] == 12
    assert found["judge"]["says rude"]["toxicity"] == 1.0


def test_a_mask_makes_one_direction_infinite(found):
    assert found["kl_to_base"]["of policy"]["nats"] > 0
    assert found["kl_to_base"]["of base"]["nats"] is None
    assert found["kl_to_base"]["of base"]["infinite"] == 1.0
    assert found["perplexity"]["rude posts"] is None
    assert found["perplexity"]["impossible"]["rude posts"] > 0


def test_the_same_seed_gives_the_same_numbers(found):
    assert judged(saying(CHANCES), blank_network(), PLAN, JUDGES) == found


def test_another_seed_has_other_samples(found):
    """Twelve posts of four kinds: by chance the same in one of thousands of seeds."""
    other = judged(saying(CHANCES), blank_network(), replace(PLAN, seed=1), JUDGES)
    assert other["rude"] == found["rude"], "what is exact has no seed"
    assert other["sampled"] != found["sampled"]


def test_a_judge_without_a_score_is_refused():
    judges = {"broken": lambda tokens: [float("nan")] * len(tokens)}
    with pytest.raises(LabError, match="expected a chance from 0 to 1"):
        judged(saying(CHANCES), blank_network(), PLAN, judges)


@pytest.mark.parametrize(
    "wrong",
    [
        {"samples": 0},
        {"rows": 0},
        {"prompts": -1},
        {"exact_prompts": 0},
        {"seed": -1},
        {"rows": 1.5},
    ],
)
def test_a_plan_that_measures_nothing_is_refused(wrong):
    with pytest.raises(LabError, match="of a judgement of at least"):
        JudgePlan(**wrong)
