"""Tables and rates in words: what a lab shows is what was measured."""

import pytest
import torch
from scipy import stats as scipy_stats

from helpers.show import tables

pytestmark = pytest.mark.core


@pytest.fixture
def shown(monkeypatch):
    """What `say` would display, as text."""
    texts = []
    monkeypatch.setattr(tables, "say", texts.append)
    return texts


def test_a_table_keeps_its_cells_apart(shown):
    tables.table(["a", "b"], [[1, "x|y"], ["two\nlines", 3.5]])
    lines = shown[0].splitlines()
    assert lines == ["| a | b |", "|---|---|", "| 1 | x\\|y |", "| two lines | 3.5 |"]


def test_a_rate_has_the_interval_of_another_library():
    hits = torch.tensor([True] * 7 + [False] * 13)
    low, high = scipy_stats.binomtest(7, 20).proportion_ci(method="exact")
    assert tables.rate(hits) == f"35.0 % [{100 * low:.1f}, {100 * high:.1f}]"


def test_verdicts_are_written_out(shown):
    tables.claims([("a", "1", "0", True), ("b", "1", "1", False), ("c", "1", "0.5", None)])
    assert [line.split(" | ")[-1].strip(" |") for line in shown[0].splitlines()[2:]] == [
        "holds",
        "**does not hold**",
        "holds in part",
    ]


def test_a_verdict_may_be_a_text_and_a_claim_nobodys(shown):
    tables.claims([("a", "1", "0", "not decided")], source="claim")
    head, _, row = shown[0].splitlines()
    assert head.startswith("| claim | we measured |")
    assert row == "| a | 1 | 0 | not decided |"


def test_say_displays_markdown(capsys):
    tables.say("**12** of 13")
    assert "Markdown" in capsys.readouterr().out  # outside a notebook IPython names the object
