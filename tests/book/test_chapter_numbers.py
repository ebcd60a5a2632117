"""Measured numbers that the chapter on arithmetic quotes are those stored with the weights."""

import re
from pathlib import Path

import pytest

from helpers import zoo
from helpers.arithmetic import lookback, sufficiency
from helpers.arithmetic.questions import Format
from helpers.arithmetic.verify import greedy

TEXT = re.sub(r"\s+", " ", (Path(__file__).resolve().parents[2] / "book" / "ch1_verified_arithmetic.md").read_text())
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
    failures, questions = (sum(classes[name][key] for name in LONG) for key in ("failures", "questions"))
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
    rates = {name: 100 * count["failures"] / count["questions"] for name, count in counts("add-d5-1l-enriched").items()}
    fewest, most = min(rates, key=rates.get), max(rates, key=rates.get)
    assert f"from {rates[fewest]:.2f} % of $S_{fewest[1]}$ to {rates[most]:.1f} % of $S_{most[1]}$" in TEXT


def test_two_layers_are_never_wrong():
    assert "Two layers, trained like the second: 0 wrong." in TEXT
    assert zoo.entry("add-d5").measured["failures"] == 0
