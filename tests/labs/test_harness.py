"""The demands on labs can fail: each is tried on a lab that meets it and one that does not."""

import contextlib

import numpy as np
import pytest
import torch

from helpers import zoo
from helpers.course import state
from helpers.course.asking import call
from helpers.course.expect import expect_close
from helpers.course.labs import source
from tests.course import toy as specimen
from tests.course.conftest import toy  # noqa: F401 - a fixture
from tests.labs import harness, vandals

LAB = source.read(specimen.SOURCE)


def changed(old: str, new: str) -> source.Lab:
    assert old in specimen.SOURCE
    return source.read(specimen.SOURCE.replace(old, new, 1))


@pytest.fixture
def run(toy):  # noqa: F811
    return harness.run_solution(LAB)


def test_a_good_lab_gives_no_complaints(run):
    assert harness.solution_complaints(LAB, run) == []
    assert harness.stub_complaints(LAB, harness.run_student(LAB)) == []
    assert harness.mutant_complaints(LAB, specimen.mutants(run.namespace)) == []
    assert harness.garbage_complaints(LAB) == []
    assert harness.marking_complaints(LAB) == []
    assert harness.heading_complaints(LAB) == []
    assert harness.leak_complaints(LAB) == []
    assert harness.width_complaints(LAB) == []


def test_a_stub_that_scores_is_found(toy):  # noqa: F811
    scoring = changed('check("lab99.3", count)', 'check("lab99.3", lambda: 4)')
    assert harness.stub_complaints(scoring, harness.run_student(scoring)) == [
        "lab99.3: the stub scores 1"
    ]


def test_a_cell_that_fails_for_another_reason_is_found(toy):  # noqa: F811
    failing = changed('scores("lab99")', "1 / 0")
    assert "ZeroDivisionError" in harness.stub_complaints(failing, harness.run_student(failing))[0]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("sum(values)\n", "sum(values) + 1\n", "lab99.1: expected 2 points"),
        ("    return 4  # how many", "    return 1 // 0", "lab99.3: expected 1 points"),
        ('scores("lab99")', "undefined", "NameError"),
        ('lab99.3",', 'lab99.4",', "lab99.4"),
    ],
)
def test_a_solution_that_falls_short_is_found(toy, old, new, words):  # noqa: F811
    lab = changed(old, new)
    assert words in "\n".join(harness.solution_complaints(lab, harness.run_solution(lab)))


def test_a_sentence_that_is_no_longer_true_is_found(run):
    assert harness.fact_complaints(LAB, run, specimen.facts) == []
    run.namespace["count"] = lambda: 3
    assert harness.fact_complaints(LAB, run, specimen.facts) == [
        "lab99: no longer true: there are four"
    ]
    del run.namespace["mean"]
    assert "'mean'" in harness.fact_complaints(LAB, run, specimen.facts)[0]


def test_a_check_that_takes_a_wrong_answer_is_found(run):
    wrong = specimen.mutants(run.namespace)
    wrong["lab99.1"][1] = run.namespace["mean"]
    wrong["lab99.2"].pop()
    wrong["lab99.3"][0] = lambda: 1 / 0
    said = harness.mutant_complaints(LAB, wrong)
    assert [sentence[:20] for sentence in said] == [
        "lab99.1: mutant 1 is",
        "lab99.2: expected at",
        "lab99.3: mutant 0 br",
    ]


def test_a_check_that_takes_anything_is_found(toy, monkeypatch):  # noqa: F811
    generous = harness.check.Exercise("lab99.3", 1, "Count", lambda answer: None)
    monkeypatch.setattr(toy, "count", generous)
    assert len(harness.garbage_complaints(LAB)) == len(harness.GARBAGE)


@pytest.mark.parametrize(
    ("line", "wide"),
    [
        ("# " + "word " * 20, 1),
        ("x = 1  # " + "word " * 20, 1),
        ("# | " + "word " * 20, 0),
        ("# - [" + "word " * 20 + "](https://example.org)", 0),
        ("# ```text\n# " + "word " * 20 + "\n# ```", 0),
        ("# ```python\n# " + "word " * 20 + "\n# ```", 1),
    ],
)
def test_a_wide_line_is_found(line, wide):
    assert len(harness.width_complaints(changed("# Use your fingers.", line))) == wide


def test_a_solution_repeated_elsewhere_is_found():
    lab = changed(
        "# Use your fingers.",
        "# solution_total = sum(values)\n# return solution_total / len(values)",
    )
    assert harness.leak_complaints(lab) != []


def test_a_heading_that_promises_other_points_is_found(toy):  # noqa: F811
    assert "lab99.2" in harness.heading_complaints(changed("3 points", "2 points"))[0]


def test_checks_that_hand_out_copies_are_not_moved(run):
    assert vandals.lab_complaints(LAB, run, vandals.complaints) == []
    assert vandals.lab_complaints(LAB, run, vandals.form_complaints) == []


VALUES = torch.tensor([1.0, 2.0, 6.0])


def careless(answer):
    """Hands out its own values, and computes what is right afterwards."""
    given = VALUES.clone()
    expect_close(answer(given), float(given.mean()))


def lasting(answer):
    """Hands out what the next check needs."""
    expect_close(answer(VALUES), 3.0)
    expect_close(VALUES, [1.0, 2.0, 6.0])


def trusting(answer):
    """Looks at the real part alone, and converts text."""
    expect_close(float(np.real(np.asarray(call(answer, VALUES)))), 3.0)


@pytest.mark.parametrize(
    ("test", "words"),
    [
        (careless, "refused, for what it spoiled afterwards"),
        (careless, "taken, for what is left of inputs that it spoiled"),
        (lasting, "refused, for what it spoiled afterwards"),
        (lasting, "the solution is no longer right"),
        (trusting, "takes complex"),
        (trusting, "takes digits as text"),
    ],
)
def test_a_check_that_an_answer_moves_is_found(toy, monkeypatch, test, words):  # noqa: F811
    monkeypatch.setattr(toy, "mean", harness.check.Exercise("lab99.1", 2, "Mean", test))
    monkeypatch.setitem(globals(), "VALUES", torch.tensor([1.0, 2.0, 6.0]))

    def solution(values):
        return values.mean()

    about = (vandals.complaints, vandals.form_complaints)
    assert words in "\n".join(said for find in about for said in find("lab99.1", solution))


def test_a_check_that_leaves_the_world_changed_is_found(toy, monkeypatch):  # noqa: F811
    with state.known():
        monkeypatch.setattr(harness.check.state, "known", contextlib.nullcontext)
        said = vandals.complaints("lab99.1", lambda values: sum(values) / len(values))
    assert "lab99.1, spoiled afterwards: left random" in said
    assert "lab99.1, spoiled afterwards: left open figures" in said


def test_a_check_that_shares_its_model_is_found(toy, monkeypatch):  # noqa: F811
    model = zoo.load("add-d5", device="cpu")
    model(torch.zeros(1, 19, dtype=torch.long))
    task = harness.check.Exercise(
        "lab99.1", 2, "Width", lambda answer: expect_close(answer(model), 96)
    )
    monkeypatch.setattr(toy, "mean", task)
    said = vandals.complaints("lab99.1", lambda model: model.cfg.d_model)
    assert [sentence.partition(": ")[2][:26] for sentence in said] == [
        *["its model was left changed"] * len(vandals.MODEL_VANDALS),
        "may change what all code uses, hooking"[:26],  # the check does not ask through `call`
    ]
