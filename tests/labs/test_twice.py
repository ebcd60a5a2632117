"""What an answer can have changed is run again; what is long and free of answers is not."""

import ast
import math

import pytest

from helpers.course.labs import execute
from tests.labs import twice

SHARED = ["a = 1", "import time", "b = a + 1", "c = [answer]", "d = c[0] + b", "e = b * 2"]


@pytest.fixture
def at_once(monkeypatch):
    """Every cell counts as long."""
    monkeypatch.setattr(twice, "LONG", 0.0)


def both(answered: list[str], empty: list[str]) -> tuple[twice.Stubs, execute.NotebookRun]:
    """A run with answers, and then one without."""
    notes = twice.Notes()
    execute.run_cells(answered, "toy", notes.run)
    stubs = twice.Stubs(notes)
    return stubs, execute.run_cells(empty, "toy", stubs.run)


def test_cells_before_and_beside_an_answer_run_once(at_once):
    stubs, run = both(["answer = 3", *SHARED], ["answer = 0", *SHARED])
    assert [code.strip() for code in stubs.taken] == [SHARED[0], *SHARED[1:3], SHARED[5]]
    assert {name: run.namespace[name] for name in "abde"} == {"a": 1, "b": 2, "d": 2, "e": 4}
    assert not run.failures


def test_short_cells_run_again(monkeypatch):
    monkeypatch.setattr(twice, "LONG", math.inf)
    stubs, run = both(["answer = 3", *SHARED], ["answer = 0", *SHARED])
    assert stubs.taken == []
    assert run.namespace["e"] == 4


@pytest.mark.parametrize(
    "use",
    [
        "seen.append(answer)",
        "seen[:] = [answer]",
        "seen += [answer]",
        "for seen[0] in [answer]: pass",
        "def seen(x=answer): pass",
        "del seen[answer:]",
    ],
)
def test_what_an_answer_was_put_into_is_not_taken_over(at_once, use):
    cells = ["seen = [0, 0]", use, "after = str(seen)"]
    stubs, _ = both(["answer = 1", *cells], ["answer = 0", *cells])
    assert cells[2] not in [code.strip() for code in stubs.taken]


def test_a_cell_that_failed_with_the_answer_is_run_again(at_once):
    stubs, run = both(["1 / 0", "a = 1"], ["1 / 0", "a = 1"])
    assert [failure.cell for failure in run.failures] == [0]
    assert [code.strip() for code in stubs.taken] == ["a = 1"]


@pytest.mark.parametrize(
    "cell", ["def f(): return a", "f = lambda: a", "class F: pass", "check('lab9.1', a)"]
)
def test_checks_and_functions_are_never_taken_over(at_once, cell):
    """A function would go on reading the variables of the other run."""
    assert twice.keeps_code(ast.parse(cell))
    stubs, _ = both(["a, check = 1, print", cell], ["a, check = 1, print", cell])
    assert cell not in [code.strip() for code in stubs.taken]
