"""What the study measures: keys, the reach of a plan, and on how many prompts a method works."""

from dataclasses import replace

import pytest
import torch

from helpers.circuits.study import RIVALS, Key, StudyPlan, Trial, trials
from helpers.circuits.study.jobs import COUNTS, SWEEPS, Variant, all_jobs, by_rival
from helpers.circuits.tasks import tinyworld

SMALL = StudyPlan(2, 100)


def test_a_small_plan_leaves_out_what_it_cannot_reach():
    keys = [str(job.key) for job in all_jobs("ioi", SMALL)]
    assert [key for key in keys if "prompts" in key] == [
        f"{kind} prompts/ioi/{n}" for kind in ("training", "scoring") for n in (5, 10, 25, 50, 100)
    ]
    assert "sparsity/ioi/0.02" in keys


def test_keys_are_written_and_read():
    for key in trials.stored().items:
        assert Key.read(str(key)) == key
    assert Key.of("sparsity", "ioi", 0.0005) == Key.read("sparsity/ioi/0.0005")
    for text in ("methods/ioi/EAP", "method/ioi", ""):
        with pytest.raises(ValueError, match=r"no kind of measurement|not enough values"):
            Key.read(text)


def test_every_value_of_a_sweep_changes_one_thing():
    """The jobs of a sweep, against the published variant, which is one of the values."""
    by_key = {job.key: job.score.__self__ for job in all_jobs("ioi") if job.key.kind in SWEEPS}
    for sweep, values in SWEEPS.items():
        variants = [by_key[Key.of(sweep, "ioi", value)] for value in values]
        assert len(set(variants)) == len(values)
        for variant in variants:
            changed = vars(variant).items() - vars(Variant()).items()
            assert len(changed) <= 1
    assert by_key[Key.of("training prompts", "ioi", COUNTS[-1])] == Variant(train_prompts=250)
    assert by_key[Key.of("pooling", "ioi", "last")] == Variant(pool="last")


def test_rivals_work_on_as_many_prompts_as_the_plan_says():
    """A stand-in for a rival, as all that is asked is how many prompts it is given."""
    trial = Trial(None, tinyworld.twins("ioi", 9, 0), None)
    given = [
        by_rival(
            replace(RIVALS[name], score=lambda model, pairs: torch.tensor([len(pairs)]) / 1),
            StudyPlan(1, 9, 7, 3),
            trial,
        )[0]
        for name in ("EAP", "ACDC")
    ]
    assert [count.item() for count in given] == [7, 3]


def test_a_rival_that_starts_at_random_has_the_seed_of_the_trial():
    trial = Trial(None, tinyworld.twins("ioi", 9, 0), None, seed=5)
    rival = replace(
        RIVALS["subnetwork probing"], score=lambda model, pairs, seed: torch.tensor([seed]) / 1
    )
    assert by_rival(rival, SMALL, trial)[0].item() == 5
