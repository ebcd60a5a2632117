"""What the explorer shows is what the study has, averaged by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest

from helpers.detox.explorer import MEASURED, WeightStop, WeightSweep, sweeps
from helpers.detox.study import DetoxPlan, method_cell, rival_cell, stored_detox
from helpers.detox.study.stored import DETOX
from helpers.errors import LabError
from helpers.stats import Spread
from tests.detox.explorer import weighted
from tests.detox.study.fakes import PROMPTS, SEEDS, SKILLS

STUDY = weighted.study()
FOUND = sweeps(STUDY)
MIXED, LONGER, SILENT = FOUND


def test_there_is_a_sweep_for_each_corpus_and_time():
    assert [sweep.name for sweep in FOUND] == [
        "posts in the corpus, half of them rude; 120 steps",
        "posts in the corpus, half of them rude; 360 steps",
        "no posts in the corpus; 120 steps",
    ]
    short = sweeps(weighted.study(replace(weighted.PLAN, groups=("methods", "weights", "skills"))))
    assert [sweep.name for sweep in short] == [MIXED.name, SILENT.name]


def test_every_weight_is_there_in_order_with_its_floor():
    for sweep in FOUND:
        assert [stop.weight for stop in sweep.stops] == [0, 0.5, 5, 10]
        assert sweep.before.weight is None
        assert sweep.before.floor is None
    for sweep in (MIXED, LONGER):  # half of the posts are rude
        floors = [stop.floor for stop in sweep.stops]
        assert floors == pytest.approx([1 / 2, 1 / 3, 1 / 12, 1 / 22])
    assert [stop.floor for stop in SILENT.stops] == [None] * 4


def test_numbers_are_means_over_prompts_and_seeds():
    more = np.mean(PROMPTS) + np.mean(SEEDS)
    for stop in MIXED.stops[1:]:
        assert stop.measures["rude"].mean == pytest.approx(0.5 / (1 + stop.weight) + more)
        assert stop.measures["rude"].seeds == 3
        assert stop.measures["clean posts"].mean == pytest.approx(2 + np.mean(SEEDS))
        assert stop.measures["expected maximum"].mean == pytest.approx(0.5)
        assert stop.measures["KL to the base"].mean == pytest.approx(0.5)
    assert MIXED.stops[0].measures["rude"].mean == pytest.approx(0.45 + more), "plain tuning"
    assert MIXED.before.measures["rude"].mean == pytest.approx(0.5 + np.mean(PROMPTS))
    assert MIXED.before.measures["rude"].seeds == 1


def test_every_skill_is_there_by_itself():
    for sweep in FOUND:
        for name, value in SKILLS.items():
            before = value - np.mean(SEEDS)
            assert sweep.before.skills[name].mean == pytest.approx(before)
            for stop in sweep.stops:
                assert stop.skills[name].mean == pytest.approx(before - 4 / 3 / 8)


def test_posts_are_those_of_seed_0_without_their_prompt():
    assert {sweep.writer for sweep in FOUND} == {"mara"}
    for stop, cell in (
        (MIXED.stops[2], method_cell("mixed", 5, 120, 0)),
        (LONGER.stops[0], rival_cell("plain", "mixed", 1, 360, 0)),
        (SILENT.stops[3], method_cell("no forum", 10, 120, 0)),
    ):
        said = [[label, f"<begin> mara : {words}"] for label, words in stop.posts]
        assert said == weighted.posts_of(cell)


def test_a_study_without_posts_or_weights_is_refused():
    dumb = {
        cell: {key: part for key, part in result.items() if key != "said"}
        for cell, result in STUDY.cells.items()
    }
    with pytest.raises(LabError, match="expected posts that can be read of 'base'"):
        sweeps(replace(STUDY, cells=dumb))
    plan = DetoxPlan(groups=("methods",))
    with pytest.raises(LabError, match="expected a study of methods, weights λ and skills"):
        sweeps(replace(STUDY, plan=plan))


GOOD = MIXED.stops[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: replace(GOOD, skills={}), "expected of every λ skills"),
        (lambda: replace(GOOD, measures={"rude": None}), "expected of every λ skills"),
        (lambda: replace(GOOD, posts=(("rough", "you are ."),)), "expected labels of posts"),
        (lambda: replace(MIXED, stops=()), "stops of λ that rise from 0"),
        (lambda: replace(MIXED, stops=MIXED.stops[:1]), "stops of λ that rise from 0"),
        (lambda: replace(MIXED, stops=MIXED.stops[1:]), "stops of λ that rise from 0"),
        (lambda: replace(MIXED, stops=MIXED.stops[::-1]), "stops of λ that rise from 0"),
        (
            lambda: replace(MIXED, stops=(GOOD, replace(GOOD, weight=float("nan")))),
            "stops of λ that rise from 0",
        ),
        (
            lambda: replace(MIXED, stops=(GOOD, replace(GOOD, weight=1, posts=GOOD.posts[1:]))),
            "the same skills and as many posts",
        ),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(LabError, match=message):
        change()


def test_a_measure_may_have_no_number():
    without = {**GOOD.measures, "clean posts": None}
    assert replace(GOOD, measures=without).measures["clean posts"] is None


def test_the_stored_study_read_by_hand():
    stored = json.loads(DETOX.read_text(encoding="utf-8"))
    raw, groups = stored["cells"], stored["plan"]["groups"]
    read = {
        "rude": lambda cell: np.mean(cell["by_prompt"]["rude"]),
        "garbled": lambda cell: np.mean(cell["by_prompt"]["garbled"]),
        "expected maximum": lambda cell: cell["sampled"]["expected_max"],
        "KL to the base": lambda cell: cell["kl_to_base"]["of policy"]["nats"],
        "kind insults": lambda cell: cell["kind_insults"]["share"],
        "distinct posts": lambda cell: cell["distinct"]["posts"],
        "clean posts": lambda cell: cell["perplexity"]["clean posts"],
        "rude posts": lambda cell: cell["perplexity"]["rude posts"],
        "other text": lambda cell: cell["perplexity"]["other text"],
    }
    assert set(read) == set(MEASURED)
    asked = [("mixed", 120), *[("mixed", 360)] * ("floor" in groups), ("no forum", 120)]
    for sweep, (setting, steps) in zip(sweeps(stored_detox()), asked, strict=True):
        assert [stop.weight for stop in sweep.stops] == [0, 0.5, 1, 2, 5, 10]
        for stop in sweep.stops:
            key = f"method/{setting}/kl {stop.weight:g}/{steps} steps/seed"
            if not stop.weight:
                key = f"plain/{setting}/weight 1/{steps} steps/seed"
            cells = [raw[f"{key} {seed}"] for seed in range(5)]
            for name, of in read.items():
                expected = np.mean([of(cell) for cell in cells])
                assert stop.measures[name].mean == pytest.approx(expected, abs=2e-5)
            for name, spread in stop.skills.items():
                expected = np.mean([raw[f"skills/{key} {n}"]["skills"][name] for n in range(5)])
                assert spread.mean == pytest.approx(expected)
            assert [list(post) for post in stop.posts] == [
                [label, text.partition(" : ")[2]] for label, text in cells[0]["said"]
            ]
        assert sweep.before.measures["rude"].mean == pytest.approx(raw["base"]["rude"], abs=2e-5)


def test_a_sweep_can_be_made_by_hand():
    one = Spread(0.5, 0.4, 0.6, 2)
    stops = tuple(
        WeightStop(weight, None, dict.fromkeys(MEASURED, one), {"ioi": one}, ())
        for weight in (None, 0.0, 1.0)
    )
    assert len(WeightSweep("corpus", "mara", stops[0], stops[1:]).stops) == 2
