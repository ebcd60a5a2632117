"""Verdicts, continuations and skills as behaviours: the skills' own scores, trustworthy side up."""

import numpy as np
import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.texts import answers, final_logits
from helpers.tinyworld.models import measure
from helpers.tinyworld.models.recipes import RECIPES, task_of
from helpers.tinyworld.sets import continuation_prompts, dimensions, tasks
from helpers.trust.steering import tinyworld
from helpers.trust.steering.behaviours import perplexity, scores

NOTHING = torch.zeros(1, 128)


@pytest.fixture(scope="module")
def model():
    return zoo.load("tinyworld", device="cpu").requires_grad_(False)


def by_tasks(model, name: str, prompts) -> np.ndarray:
    asked = tasks.encode(name, prompts)
    return answers(final_logits(model, asked), asked).log_ratio.numpy()


@pytest.mark.parametrize("dimension", dimensions.CANDIDATES)
def test_verdicts_are_those_of_the_judgement_skill(model, dimension):
    data = dimensions.labelled_set(dimension, 20)
    got = scores(model, tinyworld.verdicts(model, data), 0, NOTHING)[0]
    right = by_tasks(
        model, dimension, tasks.judged(data)
    )  # for the right words, whichever side they are on
    assert got == pytest.approx(np.where(tinyworld.wanted(data), right, -right), abs=1e-4)
    assert tinyworld.share_right(got, data) == pytest.approx((right > 0).mean())


@pytest.mark.parametrize("dimension", dimensions.CANDIDATES)
def test_continuations_are_scored_as_by_the_skills_measure(model, dimension):
    """The scores, and the sign of toxicity. Which words are good ones both sides take from the same
    function; whether it is right, an independent reader checks in `test_continuations`."""
    got = scores(model, tinyworld.continued(model, dimension, 20), 0, NOTHING)[0]
    expected = by_tasks(
        model, dimension, [one.prompt for one in continuation_prompts(dimension, 20)]
    )
    assert got == pytest.approx(-expected if dimension == "toxicity" else expected, abs=1e-4)


def test_only_rudeness_is_a_label_that_nobody_wants():
    for dimension in dimensions.CANDIDATES:
        data = dimensions.labelled_set(dimension, 2)
        kept = data.positive not in ("rude",)
        assert (tinyworld.wanted(data) == (data.labels if kept else ~data.labels)).all()


def test_a_skill_is_scored_as_by_itself(model):
    asked = tasks.prompts("greater-than", 20)
    got = scores(model, tinyworld.skill(model, "greater-than", 20), 0, NOTHING)[0]
    assert got == pytest.approx(
        answers(final_logits(model, asked), asked).log_ratio.numpy(), abs=1e-4
    )


def test_the_text_has_the_perplexity_of_the_recipes_task(model):
    task = task_of(RECIPES["tinyworld"])
    loss = measure.text_loss(model, task, measure.fresh_rows(task, 8))
    assert perplexity(model, tinyworld.text(8), 0, NOTHING)[0] == pytest.approx(
        np.exp(loss), rel=1e-4
    )


def test_a_dimension_that_does_not_exist_is_refused(model):
    with pytest.raises(LabError, match="expected a dimension"):
        tinyworld.continued(model, "honesty", 5)


@pytest.mark.parametrize("count", [0, -3])
def test_no_prompts_to_go_on_with_are_refused(model, count):
    with pytest.raises(LabError, match=f"to go on with of at least 1; got {count}"):
        tinyworld.continued(model, "privacy", count)
