"""Pairs that mean nothing are refused where they are made, not where a method divides by them."""

from dataclasses import replace

import pytest
import torch

from helpers.circuits.graph import handwired
from helpers.circuits.rivals import eap
from helpers.circuits.tasks import CORRUPTIONS, Twins, check_prompts, tinyworld
from helpers.errors import LabError
from helpers.texts import Prompts
from helpers.tinyworld.sets import tasks
from tests.circuits.random_models import RIGHT, VOCAB, WRONG, native, random_twins


def changed(prompts: Prompts, **masks: torch.Tensor) -> Prompts:
    return replace(prompts, **masks)


def word(number: int) -> torch.Tensor:
    """The answer of the third prompt, with another word or with none (-1)."""
    mask = torch.zeros(5, VOCAB, dtype=torch.bool)
    mask[:, RIGHT] = True
    mask[2] = torch.arange(VOCAB) == number
    return mask


def test_a_twin_with_other_answers_is_refused() -> None:
    pairs = random_twins()
    with pytest.raises(LabError, match="every twin to have the answers of its prompt; pair 2 has"):
        Twins(pairs.clean, changed(pairs.corrupted, good=word(7)), "logit difference")
    swapped = changed(pairs.corrupted, good=pairs.clean.bad, bad=pairs.clean.good)
    with pytest.raises(LabError, match="pair 0 has others"):
        Twins(pairs.clean, swapped, "logit difference")
    wider = [torch.nn.functional.pad(mask, (0, 1)) for mask in (pairs.clean.good, pairs.clean.bad)]
    other = changed(pairs.corrupted, good=wider[0], bad=wider[1])
    with pytest.raises(LabError, match="vocabularies of 20 and 21 words"):
        Twins(pairs.clean, other, "logit difference")


@pytest.mark.parametrize("which", ["good", "bad"])
def test_a_prompt_without_right_or_wrong_words_is_refused(which: str) -> None:
    """Its log ratio would be infinite."""
    kind = {"good": "right", "bad": "wrong"}[which]
    mask = getattr(random_twins().clean, which).clone()
    mask[2] = False
    with pytest.raises(LabError, match=f"prompt 2 has no {kind} one"):
        changed(random_twins().clean, **{which: mask})


def test_a_word_that_is_right_and_wrong_is_refused() -> None:
    """Equal masks would make every effect 0."""
    clean = random_twins().clean
    with pytest.raises(LabError, match="expected no answer to be right and wrong; prompt 0"):
        changed(clean, bad=clean.good)
    with pytest.raises(LabError, match="expected no answer to be right and wrong; prompt 2"):
        changed(clean, good=word(WRONG))


@pytest.mark.parametrize(
    "parts",
    [
        {"tokens": torch.ones(5, 9)},
        {"tokens": torch.ones(4, 9, dtype=torch.long)},
        {"tokens": torch.ones(5, 9, dtype=torch.bool)},
        {"last": torch.ones(5)},
        {"last": torch.full((5, 1), 3)},
        {"good": torch.ones(5, VOCAB)},
        {"good": torch.ones(5, 7, dtype=torch.bool)},
        {"bad": torch.ones(VOCAB, dtype=torch.bool)},
        {"texts": ("",)},
    ],
)
def test_parts_that_do_not_fit_together_are_refused(parts: dict) -> None:
    with pytest.raises(LabError, match="expected tokens and last positions of"):
        changed(random_twins().clean, **parts)


@pytest.mark.parametrize("last", [-1, 9])
def test_a_last_position_outside_of_the_tokens_is_refused(last: int) -> None:
    with pytest.raises(LabError, match="expected last positions from 0 to 8"):
        changed(random_twins().clean, last=torch.full((5,), last))


def test_a_negative_token_is_refused() -> None:
    """It would be read from the end of the vocabulary."""
    clean = random_twins().clean
    with pytest.raises(LabError, match="0 to 19; the prompts have token -1"):
        check_prompts(changed(clean, tokens=clean.tokens - 1), VOCAB, 12)


def test_no_pairs_are_pairs_all_the_same() -> None:
    assert len(random_twins().rows(slice(0, 0))) == 0


@pytest.mark.parametrize("name", tasks.NAMES)
def test_every_skill_still_has_prompts(name: str) -> None:
    assert len(tasks.prompts(name, 40)) == 40


@pytest.mark.parametrize(
    ("task", "corruption"), [(task, name) for task, names in CORRUPTIONS.items() for name in names]
)
def test_every_corruption_still_has_twins(task: str, corruption: str) -> None:
    assert len(tinyworld.twins(task, 20, corruption=corruption)) == 20


def test_the_hand_wired_model_still_has_twins() -> None:
    assert len(handwired.twins(30)) == 30


def test_answers_of_another_vocabulary_are_refused_by_the_graph() -> None:
    pairs = random_twins()
    wider = {
        name: torch.nn.functional.pad(getattr(pairs.clean, name), (0, 3))
        for name in ("good", "bad")
    }
    sides = [changed(side, **wider) for side in (pairs.clean, pairs.corrupted)]
    wide = Twins(*sides, "logit difference")
    with pytest.raises(LabError, match="expected prompts whose answers are among the 20 words"):
        eap(native(), wide)
