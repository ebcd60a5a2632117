"""Measured numbers that the chapter on arithmetic quotes are those stored with the weights."""

import re
from pathlib import Path

import numpy as np
import pytest

from helpers import training, zoo
from helpers.arithmetic.circuit import lookback, sufficiency, usage
from helpers.arithmetic.questions import Format, uniform
from helpers.arithmetic.reuse import curves, records, transfer
from helpers.arithmetic.training import RECIPES, insertion
from helpers.arithmetic.verification import greedy

TEXT = re.sub(
    r"\s+",
    " ",
    (Path(__file__).resolve().parents[2] / "book" / "ch1_verified_arithmetic.md").read_text(),
)
LONG = ("S3", "S4", "S5")


def counts(name):
    return zoo.entry(name).measured["classes"]


def grouped(number):
    return f"{number:,}".replace(",", " ")


def test_the_model_that_follows_the_rule():
    classes = counts("add-d5-1l")
    below = [count for name, count in classes.items() if name not in LONG]
    assert sum(count["failures"] for count in below) == 0
    assert f"0 of {grouped(sum(count['questions'] for count in below))}" in TEXT
    failures, questions = (
        sum(classes[name][key] for name in LONG) for key in ("failures", "questions")
    )
    assert f"{grouped(failures)} of {grouped(questions)}" in TEXT


def test_its_wrong_answers_are_the_rules():
    questions = sufficiency.mixture(5, 50, seed=7)
    same, both = lookback.compare(
        questions, greedy(zoo.load("add-d5-1l", device="cpu"), questions, Format(5)), Format(5)
    ).same_mistake()
    assert same == both >= 140


@pytest.mark.parametrize("name", LONG)
def test_the_model_that_was_shown_long_cascades(name):
    count = counts("add-d5-1l-enriched")[name]
    right = 100 * (1 - count["failures"] / count["questions"])
    assert re.search(rf"{right:.1f} % of \$S_{name[1]}\$", TEXT)


def test_its_failures_in_every_class():
    rates = {
        name: 100 * count["failures"] / count["questions"]
        for name, count in counts("add-d5-1l-enriched").items()
    }
    fewest, most = min(rates, key=rates.get), max(rates, key=rates.get)
    assert (
        f"from {rates[fewest]:.2f} % of $S_{fewest[1]}$ to {rates[most]:.1f} % of $S_{most[1]}$"
        in TEXT
    )


def test_two_layers_are_never_wrong():
    assert "Two layers, trained like the second: 0 wrong." in TEXT
    assert zoo.entry("add-d5").measured["failures"] == 0


def run_of(name):
    return records.stored().runs[name][0]


def test_the_mixed_models_are_as_accurate_as_the_chapter_says():
    found = {name: zoo.entry(name).measured for name in ("mix-d3", "mix-d6", "mix-d6-scratch")}
    assert found["mix-d3"]["failures"] == 0
    assert f"all {grouped(found['mix-d3']['questions'])} questions" in TEXT
    asked, failed = (
        found["mix-d6"]["questions"],
        {name: report["failures"] for name, report in found.items()},
    )
    assert (
        f"wrong on {failed['mix-d6']} of {grouped(asked)}, `mix-d6-scratch` on "
        f"{failed['mix-d6-scratch']} of as many" in TEXT
    )
    assert found["mix-d6-scratch"]["questions"] == asked


def test_failures_among_uniform_questions():
    ours, scratch = (
        [zoo.entry(name).measured["uniform"][op] for op in "+-"]
        for name in ("mix-d6", "mix-d6-scratch")
    )
    assert {found["questions"] for found in ours + scratch} == {1_000_000}
    wrong = [found["failures"] for found in ours + scratch]
    ours_text, scratch_text = (
        "{} of 1 000 000 additions and {} of 1 000 000 subtractions",
        "`mix-d6-scratch` on {} and {}",
    )
    assert f"`mix-d6` fails on {ours_text}, {scratch_text}".format(*wrong) in TEXT
    assert wrong[1:] == [0, 0, 0]
    low, high, zero = (1e6 * end for end in (*ours[0]["ci95"], ours[1]["ci95"][1]))
    assert (
        f"from {low:.2f} to {high:.1f} failures in a million for the one, and from 0 to {zero:.1f} "
        "for each zero" in TEXT
    )


def test_what_the_other_omissions_cost_together():
    source, recipe = zoo.load("add-d6", device="cpu"), RECIPES["mix-d6"]
    fresh = training.build_model(recipe).state_dict()
    copied = (
        insertion.insert(source, training.build_model(recipe), "whole").eval().requires_grad_(False)
    )
    for name, tensor in copied.state_dict().items():
        if any(part in name for part in ("attn.o.bias", "ln2.", "ln_final.bias", "unembed.bias")):
            tensor.copy_(fresh[name])
    right = insertion.agreement(
        source, copied, uniform(6, 1_000, np.random.default_rng(1)), Format(6)
    ).target_right
    lost = 100 * (1 - float(right.double().mean()))
    assert f"all four together about {lost:.0f} % of the answers" in TEXT


def test_when_additions_are_right_for_good():
    runs = records.stored().runs
    ours, scratch = (
        [curves.steps_to(run.curve, 0.99, operation="ADD").by for run in runs[name].values()]
        for name in ("mix-d3", "mix-d3-scratch")
    )
    assert (
        f"only after {min(ours)} to {max(ours)} steps, about as late as from scratch "
        f"({min(scratch)} to {max(scratch)})" in TEXT
    )


def test_the_head_start():
    half, almost = (
        {n: curves.steps_to(run_of(n).curve, level).by for n in ("mix-d6", "mix-d6-scratch")}
        for level in (0.5, 0.99)
    )
    assert (
        f"after {half['mix-d6']} steps (`preserving`) instead of {half['mix-d6-scratch']} "
        "(`scratch`)" in TEXT
    )
    assert almost["mix-d6"] == almost["mix-d6-scratch"]
    assert f"To 99 % both need {almost['mix-d6']}" in TEXT
    assert all(
        run_of(f"mix-d6{arm}").curve.points[-1].accuracy() == 1
        for arm in ("", "-scratch", "-paper", "-whole")
    )


def test_polysemantic_nodes_by_two_counts():
    ours, scratch = (
        usage.node_counts(run_of(name).use["mean"]) for name in ("mix-d6", "mix-d6-scratch")
    )
    three = [100 * found["three"] / found["nodes"] for found in (scratch, ours)]
    several = [100 * (found["two"] + found["three"]) / found["nodes"] for found in (scratch, ours)]
    assert (
        "by {:.0f} % of its useful nodes, against {:.0f} % after the insertion".format(*three)
        in TEXT
    )
    assert "two or three by {:.0f} %, against {:.0f} %".format(*several) in TEXT


def test_reuse_by_place_and_by_function():
    for name, words in (
        ("mix-d6", "of the inserted nodes"),
        ("mix-d6-scratch", "of the same places"),
    ):
        run = run_of(name)
        ours = records.stored().sources[run.source].use["mean"].used("ADD")
        shares = [
            usage.overlap(ours, run.use["mean"].used(operation)).observed
            for operation in ("ADD", "SUB", "NEG")
        ]
        assert (
            "{:.0f}, {:.0f} and {:.0f} % ".format(*(100 * share for share in shares)) + words
            in TEXT
        )
    strong = {
        name: transfer.transferred(run_of(name).retests).strong
        for name in ("mix-d6", "mix-d6-scratch", "mix-d6-paper")
    }
    tests = transfer.transferred(run_of("mix-d6").retests).tests
    assert f"{strong['mix-d6']} of the source's {tests} head tests" in TEXT
    assert strong["mix-d6-scratch"] == 0
    assert f"For the released copy it is {strong['mix-d6-paper']} as well" in TEXT
