"""What chapter 3 says, taken apart: its sections in one line, its tables, its numbers."""

import re
from pathlib import Path

CHAPTER = Path(__file__).resolve().parents[2] / "book" / "ch3_knowledge_circuits.md"
PLAIN = CHAPTER.read_text(encoding="utf-8").replace("\u00a0", " ")  # intervals do not break
NUMBER = r"(-?\d+(?:\.\d+)?)"
SPREAD = rf"{NUMBER} \[{NUMBER}, {NUMBER}\]"
"""A mean and its interval."""
ARMS = {
    "circuit": "circuit",
    "all but the circuit": "complement",
    "random, as many in every tensor": "per tensor",
    "random": "uniform",
    "the largest weights": "magnitude",
    "the largest abs(w·∇)": "gradient",
}


def section(title):
    """A section, up to the next one of its rank."""
    return PLAIN.partition(f"## {title}")[2].partition("\n## ")[0]


def part(text, heading):
    """What stands below a heading of a section."""
    return text.partition(f"### {heading}")[2].partition("\n### ")[0]


def flat(text):
    """A text in one line, with plain minus signs."""
    return re.sub(r"\s+", " ", text).replace("−", "-")


def cells(name, text):
    """The cells of the first row of a table with that name in its first column."""
    row = re.search(rf"^\| {re.escape(name)} \| (.+) \|$", text, re.MULTILINE)[1]
    return [cell.strip() for cell in row.split("|")]


def numbers(pattern, text):
    """The numbers that a sentence has."""
    return [float(each) for each in re.search(pattern, text).groups()]


def told(spread):
    """A mean and its interval as the chapter has them."""
    return f"{spread.mean:.2f} [{spread.low:.2f}, {spread.high:.2f}]"


def ends(spread):
    """A mean and its interval as numbers."""
    return [spread.mean, spread.low, spread.high]


def found(rows, **wanted):
    """The one row with these entries."""
    one = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    assert len(one) == 1, wanted
    return one[0]
