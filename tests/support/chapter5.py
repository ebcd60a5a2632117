"""What chapter 5 says, taken apart, and how its numbers are compared with measured ones."""

import re
from pathlib import Path

import numpy as np
import pytest
from chapter3 import flat, part

from helpers.book.detox_numbers import BASE_CELL, TUNINGS
from helpers.detox.study import stored_detox
from helpers.detox.study.summaries import measured, skills

CHAPTER = Path(__file__).resolve().parents[2] / "book" / "ch5_constrained_tuning.md"
PLAIN = CHAPTER.read_text(encoding="utf-8").replace("\u00a0", " ")  # intervals do not break
TEXT = flat(PLAIN)
FIGURE = r"([-+]?\d[\d,]*(?:\.\d+)?)"
"""A number, as a sentence or a cell has it."""
STUDY, BASE = stored_detox(), BASE_CELL
METHOD, SILENT, LONG = (
    TUNINGS[name] for name in ("method, τ = ½", "method, no forum", "method, no forum, 360 steps")
)


def mean(cell, measure):
    """Mean of a measure of a cell of the study."""
    return measured(STUDY, cell, measure).mean


def average(cell, read):
    """Mean over seeds of what is read of the numbers of a cell."""
    return np.mean([read(one) for one in STUDY.seeds(cell)])


def points(cell, skill):
    """How many points of a skill a cell has lost."""
    return -100 * skills(STUDY, cell)[skill].mean


def lost(cell, skill):
    """How many points of a skill a cell has lost, and the ends of the interval, smaller first."""
    spread = skills(STUDY, cell)[skill]
    return -100 * spread.mean, -100 * spread.high, -100 * spread.low


def section(title):
    """A section, up to the next one of its rank."""
    found = PLAIN.partition(f"\n## {title}")[2].partition("\n## ")[0]
    assert found, title
    return found


def below(heading):
    """What stands below a heading of the third rank, in one line."""
    return flat(part(PLAIN.replace("\n## ", "\n### "), heading))


def pattern_of(sentence):
    """The regular expression of a sentence in which # stands for a number."""
    return re.escape(sentence).replace(re.escape("#"), FIGURE)


def holds(text, sentence, *values):
    """A sentence stands in a text once, and its numbers are these to the digits that it gives.

    Args:
        sentence: With # for each number.
    """
    found = re.findall(pattern_of(sentence), text)
    assert len(found) == 1, f"{len(found)} times: {sentence}"
    numbers = found[0] if isinstance(found[0], tuple) else (found[0],)
    assert len(numbers) == len(values), sentence
    for said, value in zip(numbers, values, strict=True):
        digits = len(said.partition(".")[2])
        near = pytest.approx(value, abs=0.5 * 10**-digits * 1.001)
        assert float(said.replace(",", "")) == near, f"{sentence}: {said} for {value}"


def ends(spread, factor=1.0):
    """A mean and its interval, as a sentence has them."""
    return factor * spread.mean, factor * spread.low, factor * spread.high


def table(text):
    """Rows of the first table of a text, by what stands in the first column."""
    lines = re.search(r"(?:^\|.*\|\n)+", text + "\n", re.MULTILINE)[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in rows}
