"""Methods on one footing: on a hand-wired model, and on trials whose draws can be counted."""

import pytest
import torch

from helpers.circuits.codes import writes
from helpers.circuits.codes.discrete_sae import Settings
from helpers.circuits.graph import handwired
from helpers.circuits.study import CODES, CONTROLS, RIVALS, Trial, methods
from helpers.errors import LabError

pytestmark = pytest.mark.core

N_HEADS = 12
OPTIONAL = {"sae-lens, L1", "sae-lens, TopK"}
"""Methods of a library that need not be there."""


@pytest.fixture(scope="module")
def built():
    return handwired.build()


@pytest.fixture(scope="module")
def trial(built):
    return Trial(built.model, handwired.twins(40, 0), handwired.twins(20, 1), seed=3)


def test_training_prompts_are_drawn_from_both_classes_and_are_not_those_that_are_scored(trial):
    vectors = trial.vectors(40).unflatten(0, (40, N_HEADS))
    other = Trial(trial.model, trial.scoring, trial.training, seed=4)
    sides = [
        writes.head_writes(trial.model, part)
        for part in (trial.training.clean, trial.training.corrupted)
    ]
    both = {row.round(decimals=4).numpy().tobytes() for row in torch.cat(sides).flatten(1) + 0.0}
    assert {
        row.round(decimals=4).numpy().tobytes() for row in vectors.flatten(1) + 0.0
    } == both  # all forty, each once
    assert torch.equal(trial.vectors(7), trial.vectors(40)[: 7 * N_HEADS])
    assert not torch.equal(other.vectors(7), trial.vectors(7))
    for count in (0, 41):
        with pytest.raises(LabError, match="1 to 40 prompts to train on"):
            trial.vectors(count)


@pytest.mark.parametrize("name", [name for name in CODES | CONTROLS if name not in OPTIONAL])
def test_every_method_gives_one_finite_score_per_head_and_the_same_again(trial, name):
    method = (CODES | CONTROLS)[name]
    scores = method(trial)
    assert scores.shape == (N_HEADS,)
    assert scores.isfinite().all()
    assert torch.equal(scores, method(trial))


def test_silent_heads_score_nothing_by_codes(built, trial):
    """What never changes shows the same code everywhere."""
    for head in built.silent:
        assert methods.code_scores(trial)[built.all_heads.index(head)] == 0


def test_ablating_one_head_finds_the_one_that_has_no_substitute(built, trial):
    lost = methods.ablate_one(trial.model, trial.scoring.rows(slice(8)))
    needed = built.all_heads.index((2, 2))
    assert lost[needed] == pytest.approx(10, abs=0.1)  # the whole logit difference
    assert lost[torch.arange(N_HEADS) != needed].max() < 0.01  # either path does for the other


def test_the_null_deals_the_same_codes_out_anew(trial):
    real, null = methods.with_null(trial, Settings(), 10, 40)
    assert torch.equal(real, methods.code_scores(trial))
    assert not torch.equal(real, null)
    assert null.sum() > 0


def test_fewer_prompts_have_fewer_codes(trial):
    few, many = (methods.with_null(trial, Settings(), 10, count)[0].sum() for count in (3, 40))
    assert few < many


def test_names_do_not_collide():
    names = [*CODES, *CONTROLS, *RIVALS]
    assert len(names) == len(set(names)) == 19
