"""What the chapter on trustworthiness says was found, measured again on the embedded checkpoints.

Its numbers on steering are those that the lab holds against its own results when its page is built.
"""

import ast
import re
from pathlib import Path

import pytest
import torch

from helpers import zoo
from helpers.tinyworld.sets import bait, dimensions
from helpers.trust.data import splits
from helpers.trust.probes import linear
from helpers.trust.series import activations, sources, sweep

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PLAIN = (ROOT / "book" / "ch2_trust_dynamics.md").read_text(encoding="utf-8")
SECTION = PLAIN.partition("## What we found")[2].partition("\n## ")[0]
FLAT = re.sub(r"\s+", " ", SECTION)
STEPS = [
    int(step.replace(",", ""))
    for step in re.search(r"\| dimension \| (.+) \|", SECTION)[1].split(" | ")
]
BLOCKS = slice(1, None)  # without the embedding, which is the same full stop in every text
TOLERANCE = 0.02
"""Two or three of about 200 test items: floating-point sums differ between machines."""


@pytest.fixture(scope="module")
def sets():
    return dimensions.labelled_sets()


@pytest.fixture(scope="module")
def swept(sets):
    return sweep.sweep(sources.embedded("tinyworld", STEPS), list(sets.values()), backend="serial")


@pytest.fixture(scope="module")
def fitted(sets, swept):
    found = {}
    for name, data in sets.items():
        x = torch.as_tensor(swept.stack(name))[:, BLOCKS]
        found[name] = linear.fit(x.flatten(0, 1), data.labels, splits.grouped(data))
    return found


@pytest.mark.parametrize("name", dimensions.CANDIDATES)
def test_the_table(fitted, name):
    said = [float(cell) for cell in re.search(rf"\| {name} \| (.+) \|", SECTION)[1].split(" | ")]
    best = fitted[name].accuracy.mean(1).reshape(len(STEPS), -1).max(1)
    assert best == pytest.approx(said, abs=TOLERANCE + 0.005)


def test_the_first_block_and_the_intervals(fitted):
    first = [
        fitted[name].accuracy.mean(1).reshape(len(STEPS), -1)[-1, 0]
        for name in ("privacy", "fairness", "toxicity")
    ]
    said = re.search(r"toxicity \(([\d.]+), ([\d.]+) and ([\d.]+)\)", FLAT).groups()
    assert first == pytest.approx([float(value) for value in said], abs=TOLERANCE + 0.005)
    low = {
        name: best_low(fitted[name])
        for name in ("privacy", "fairness", "reliability", "robustness")
    }
    said = re.search(
        r"begins at ([\d.]+) for privacy and at ([\d.]+) for fairness;"
        r".* begins at ([\d.]+) and ([\d.]+)\.",
        FLAT,
    ).groups()
    assert list(low.values()) == pytest.approx(
        [float(value) for value in said], abs=TOLERANCE + 0.005
    )


def test_the_interval_at_step_0(fitted):
    interval = fitted["privacy"].interval()
    said = re.search(
        r"At step 0 that of privacy is as wide as ([\d.]+) to ([\d.]+)\.", FLAT
    ).groups()
    ends = [
        interval.low.reshape(len(STEPS), -1)[0].min(),
        interval.high.reshape(len(STEPS), -1)[0].max(),
    ]
    assert ends == pytest.approx([float(value) for value in said], abs=TOLERANCE + 0.005)


def best_low(found) -> float:
    """Lower end of the interval at the last checkpoint, at the block with the highest accuracy."""
    accuracy = found.accuracy.mean(1).reshape(len(STEPS), -1)[-1]
    return float(found.interval().low.reshape(len(STEPS), -1)[-1, accuracy.argmax()])


def test_an_untrained_network_reads_words():
    data = bait.obvious_set()
    model = zoo.load("tinyworld", device="cpu", step=0)
    x = activations.last_token(model, *activations.encode(model, data.texts))[BLOCKS]
    found = linear.fit(x, data.labels, splits.grouped(data)).accuracy.mean(1)
    said = re.search(r"the same untrained network gives ([\d.]+) to ([\d.]+)\.", FLAT).groups()
    assert [found.min(), found.max()] == pytest.approx(
        [float(value) for value in said], abs=TOLERANCE + 0.005
    )


@pytest.mark.parametrize("name", dimensions.CANDIDATES)
def test_the_steering_table_is_what_the_facts_of_the_lab_assert(name):
    tree = ast.parse((ROOT / "tests" / "labs" / "lab3_facts.py").read_text(encoding="utf-8"))
    [quoted] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "QUOTED"
    ]
    verdict, control, before, after, other, other_control = quoted[name]
    row = f"| {name} | {verdict:+.1f} | {control:+.1f} | {before} → {after} % |"
    row += f" {other:+.2f} | {other_control:+.2f} |"
    assert row.replace("-", "−") in SECTION
