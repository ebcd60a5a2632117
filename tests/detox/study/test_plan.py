"""Keys say all that a cell is; cells stand in an order in which a part of them can be compared."""

import re

import pytest

from helpers.detox.finetune import TuningPlan
from helpers.detox.posts import SETTINGS
from helpers.detox.study import (
    DETOX_PLAN,
    GROUPS,
    VARIANTS,
    DetoxCell,
    DetoxPlan,
    detox_cells,
    method_cell,
    rival_cell,
)
from helpers.detox.study.measuring import asks_oracle
from helpers.detox.study.plan import (
    KINDS,
    detection_of,
    oracle_of,
    policy_of,
    skills_cell,
    tuning_of,
)
from helpers.errors import LabError

CELLS = detox_cells()
TUNED = [cell for cell in CELLS if cell.kind not in ("base", "oracle", "detection", "skills")]


def test_every_key_comes_back_and_no_two_cells_share_one_or_a_file():
    assert [DetoxCell.read(str(cell)) for cell in CELLS] == CELLS
    assert len({str(cell) for cell in CELLS}) == len(CELLS)
    assert len({cell.file.lower() for cell in CELLS}) == len(CELLS)
    for cell in CELLS:
        assert re.fullmatch(r"[a-z][\w.+-]*\.safetensors", cell.file, re.ASCII), cell


@pytest.mark.parametrize(
    "key", ["", "nothing/seed 0", "method//seed 0", "method/", "base/seed", "Base"]
)
def test_what_is_no_key_is_refused(key):
    if key == "base/seed":
        assert DetoxCell.read(key).seed is None
        return
    with pytest.raises(LabError, match="expected a key of a cell, such as 'base'"):
        DetoxCell.read(key)


def test_keys_say_how_a_cell_is_tuned():
    """Against the defaults of a tuning, one by one."""
    told = {
        "method/mixed/kl 0.5/120 steps/seed 3": {"kl_weight": 0.5, "seed": 3},
        "method/no forum/kl 10/360 steps/seed 0": {"steps": 360},
        "exact filter/sixty/weight 10/120 steps/seed 1": {"post_weight": 10.0, "seed": 1},
        "plain/mixed/weight 1/120 steps/seed 0": {},
        "method/mixed/kl 10/120 steps/stale/seed 2": {"stale": True, "seed": 2},
        "method/mixed/kl 10/120 steps/corpus prefixes/seed 0": {"prefixes": "corpus"},
        "method/mixed/kl 10/120 steps/no stop-gradient/seed 0": {"stop_gradient": False},
        "method/mixed/kl 10/120 steps/no rehearsal/seed 0": {"rehearsal": 0.0},
        "method/mixed/kl 10/120 steps/twelve targets/seed 0": {"iterations": 12, "refits": 20},
        "dpo/seed 4": {"seed": 4},
        "masked words": {},
    }
    for key, changes in told.items():
        assert tuning_of(DetoxCell.read(key)) == TuningPlan(**changes), key
    assert {name for name in VARIANTS if name not in "".join(told)} == {"adaptive"}


def test_the_adaptive_weight_has_a_control_with_as_many_targets():
    alone, led = (VARIANTS[name] for name in ("twelve targets", "adaptive"))
    assert {name: led[name] for name in alone} == alone
    assert set(led) - set(alone) == {"adaptive", "kl_weight"}


def test_skills_are_asked_of_every_policy_with_every_seed():
    asked = [cell for cell in CELLS if cell.kind == "skills"]
    policies = [cell for cell in CELLS if cell in TUNED or cell.kind == "base"]
    policies = {cell for cell in policies if cell.kind != "first oracle"}
    assert {policy_of(cell) for cell in asked} == policies
    assert {cell.seed for cell in asked if policy_of(cell).seed is None} == {0, 1, 2, 3, 4}
    assert all(skills_cell(policy_of(cell), cell.seed) == cell for cell in asked)
    for wrong in (DetoxCell("base"), DetoxCell("skills")):
        with pytest.raises(LabError, match="expected a cell of the skills of a policy"):
            policy_of(wrong)


@pytest.mark.parametrize("word", ["kl", "kl x", "weight", "10", "steps", "mixed up", "kl -1"])
def test_a_key_that_says_nothing_is_refused(word):
    with pytest.raises(LabError, match="expected a key that says how method is tuned"):
        tuning_of(DetoxCell("method", (word,), 0))


def test_oracles_and_detectors_say_how_they_learn():
    for cell in CELLS:
        if cell.kind == "oracle":
            assert oracle_of(cell)["seed"] == cell.seed
            assert (oracle_of(cell)["consistency"] == 0) == ("no regulariser" in cell.of)
        if cell.kind == "detection":
            assert detection_of(cell)["seed"] == cell.seed
    for wrong in (("separate",), ("separate", "512", "own first"), ("a", "b", "c")):
        with pytest.raises(LabError, match="expected a key that says how an oracle is fitted"):
            oracle_of(DetoxCell("oracle", wrong, 0))
        with pytest.raises(LabError, match="expected a key that says how a detector learns"):
            detection_of(DetoxCell("detection", wrong, 0))


def test_every_cell_can_be_tuned_and_has_a_corpus():
    for cell in TUNED:
        assert tuning_of(cell).seed == (cell.seed or 0)
        assert cell.setting in SETTINGS
        assert cell.kind in KINDS
    assert {cell.setting for cell in TUNED} == set(SETTINGS)


def test_what_is_compared_has_as_many_seeds_as_the_plan_says():
    seeds = {}
    for cell in CELLS:
        seeds.setdefault((cell.kind, cell.of), []).append(cell.seed)
    assert all(each in ([None], [0, 1, 2, 3, 4]) for each in seeds.values())
    assert [key for key, each in seeds.items() if each == [None]] == [
        ("base", ()),
        ("masked words", ()),
    ]


def test_an_oracle_comes_before_what_begins_with_it():
    for plan in (DETOX_PLAN, DetoxPlan(seeds=2, groups=("variants", "methods"))):
        order = detox_cells(plan)
        for cell in order:
            if asks_oracle(cell) and plan.groups[0] == "methods":
                assert order.index(DetoxCell("first oracle", seed=cell.seed)) < order.index(cell)


def test_fewer_groups_or_seeds_are_fewer_of_the_same_cells():
    for group in GROUPS:
        some = detox_cells(DetoxPlan(groups=(group,)))
        assert 1 < len(some) < len(CELLS)
        assert set(some) <= set(CELLS)
    assert set(detox_cells(DetoxPlan(seeds=1))) < set(CELLS)
    assert {str(cell).count("60 steps") for cell in detox_cells(DetoxPlan(steps=60))} >= {1}


def test_a_plan_comes_back_from_what_is_stored():
    plan = DetoxPlan(2, 60, 90, (1.0, 3.0), ("weights",))
    assert DetoxPlan.read(plan.as_json()) == plan


@pytest.mark.parametrize(
    "wrong",
    [
        {"seeds": 0},
        {"steps": -1},
        {"longer": 1.5},
        {"groups": ()},
        {"groups": ("none",)},
        {"weights": ()},
        {"weights": (0.0,)},
        {"weights": (float("nan"),)},
    ],
)
def test_a_plan_that_measures_nothing_is_refused(wrong):
    with pytest.raises(LabError, match="expected"):
        DetoxPlan(**wrong)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_cell_of_no_weight_is_refused(weight):
    for make in (
        lambda: method_cell("mixed", weight, 120, 0),
        lambda: rival_cell("plain", "mixed", weight, 120, 0),
    ):
        with pytest.raises(LabError, match="expected at least 0 as the weight of a cell"):
            make()
