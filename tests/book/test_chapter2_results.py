"""What the chapter on trustworthiness says was found, measured again on the embedded checkpoints."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.tinyworld import dimensions
from helpers.trust import controls, probes, series, splits, sweep

pytestmark = pytest.mark.slow

PLAIN = (Path(__file__).resolve().parents[2] / "book" / "ch2_trust_dynamics.md").read_text(encoding="utf-8")
SECTION = PLAIN.partition("## What we found")[2].partition("\n## ")[0]
STEPS = [int(step.replace(",", "")) for step in re.search(r"\| dimension \| (.+) \|", SECTION)[1].split(" | ")]
BLOCKS = slice(1, None)  # without the embedding, which is the same full stop in every text
TOLERANCE = 0.02
"""Two or three of some two hundred test items: sums of floating-point numbers differ between machines."""


@pytest.fixture(scope="module")
def sets():
    return dimensions.labelled_sets()


@pytest.fixture(scope="module")
def swept(sets):
    return sweep.sweep(series.embedded("tinyworld", STEPS), list(sets.values()), backend="serial")


@pytest.fixture(scope="module")
def fitted(sets, swept):
    found = {}
    for name, data in sets.items():
        x = torch.as_tensor(swept.stack(name))[:, BLOCKS]
        found[name] = probes.fit(x.flatten(0, 1), data.labels, splits.grouped(data))
    return found


@pytest.mark.parametrize("name", dimensions.CANDIDATES)
def test_the_table(fitted, name):
    said = [float(cell) for cell in re.search(rf"\| {name} \| (.+) \|", SECTION)[1].split(" | ")]
    best = fitted[name].accuracy.mean(1).reshape(len(STEPS), -1).max(1)
    assert best == pytest.approx(said, abs=TOLERANCE + 0.005)


def test_the_first_block_and_the_intervals(fitted):
    first = [fitted[name].accuracy.mean(1).reshape(len(STEPS), -1)[-1, 0] for name in ("privacy", "fairness", "toxicity")]
    said = re.search(r"toxicity \(([\d.]+), ([\d.]+) and ([\d.]+)\)", SECTION.replace("\n", " ")).groups()
    assert first == pytest.approx([float(value) for value in said], abs=TOLERANCE + 0.005)
    low = {name: float(fit.interval().low[-1]) for name, fit in fitted.items()}
    said = {"privacy": 0.40, "fairness": 0.72, "reliability": 0.96, "robustness": 0.95}
    assert {name: low[name] for name in said} == pytest.approx(said, abs=TOLERANCE + 0.005)


def test_random_labels(sets, swept):
    found = []
    for name, data in sets.items():
        x = torch.as_tensor(swept.stack(name))[-1, BLOCKS]
        found += probes.fit(x, controls.random_labels(data, 1), splits.grouped(data)).accuracy.mean(1).tolist()
    assert 0.45 - TOLERANCE - 0.005 <= min(found) <= max(found) <= 0.54 + TOLERANCE + 0.005
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)
