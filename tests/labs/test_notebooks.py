"""Every lab: its notebook is current, stubs score nothing, solutions all, mutants are refused."""

import json
import os
from pathlib import Path

import matplotlib.pyplot
import nbformat
import pytest
import torch

from helpers import runtime
from helpers.course.labs import folder, notebooks
from tests.labs import harness, twice, vandals

ROOT = Path(__file__).resolve().parents[2]
LABS = folder.lab_files(ROOT)


@pytest.fixture(scope="module", autouse=True)
def all_cores():
    """Labs run as they do on a page, on up to four cores, which test processes share."""
    before, processes = torch.get_num_threads(), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    torch.set_num_threads(max(1, min(4, runtime.cores()) // processes))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=LABS, ids=lambda path: path.stem)
def path(request):
    matplotlib.use("agg")
    return request.param


@pytest.fixture(scope="module")
def lab(path):
    return folder.load(path)


@pytest.fixture(scope="module")
def notes(lab):
    return twice.Notes()


@pytest.fixture(scope="module")
def solution(lab, notes):
    run = harness.run_solution(lab, notes)
    matplotlib.pyplot.close("all")
    return run


def test_committed_files_are_what_the_sources_give():
    assert notebooks.stale(ROOT) == [], "run: python -m helpers notebooks"


def test_the_committed_notebook_is_clean(path):
    text = path.with_suffix(".ipynb").read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert "SOLUTION" not in json.dumps(text)


def test_no_solution_is_shown_elsewhere_in_the_notebook(lab):
    assert harness.leak_complaints(lab) == []


def test_student_and_solution_differ_only_in_the_marked_lines(lab):
    assert harness.marking_complaints(lab) == []


def test_each_exercise_says_points_minutes_difficulty_and_hint(lab):
    assert harness.heading_complaints(lab) == []


def test_code_and_prose_keep_to_one_width(lab):
    assert harness.width_complaints(lab) == []


@pytest.mark.slow
def test_the_stub_scores_nothing(lab, notes, solution):
    assert harness.stub_complaints(lab, harness.run_student(lab, notes)) == []


@pytest.mark.slow
def test_the_solution_scores_full_marks(lab, solution):
    assert harness.solution_complaints(lab, solution) == []


@pytest.mark.slow
def test_what_the_lab_says_it_found_is_true(lab, solution):
    assert harness.fact_complaints(lab, solution, harness.beside(lab, "facts").facts) == []


@pytest.mark.slow
def test_plausible_wrong_answers_are_refused_by_name(lab, solution):
    wrong = harness.beside(lab, "mutants").mutants(solution.namespace)
    assert harness.mutant_complaints(lab, wrong) == []


@pytest.mark.slow
def test_garbage_is_answered_with_a_sentence(lab, solution):
    assert harness.garbage_complaints(lab) == []


@pytest.mark.slow
def test_an_answer_that_spoils_things_moves_no_check(lab, solution):
    assert vandals.lab_complaints(lab, solution, vandals.complaints) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of forms that are going out of use
def test_forms_of_numbers_are_judged_with_a_sentence(lab, solution):
    assert vandals.lab_complaints(lab, solution, vandals.form_complaints) == []
