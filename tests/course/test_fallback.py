"""What a lab goes on with: the answer where it is right, else the library's version."""

import numpy as np
import pytest
import torch

from helpers.course import sheet
from helpers.course.fallback import answer_or
from helpers.course.sheet import ERROR, OPEN, PART, RIGHT, WRONG, Result
from helpers.errors import LabError


def library(values):
    return "the library's"


def recorded(status):
    sheet.current().record(Result("lab5.4", "Edit inside a mask", 0, 4, status))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (OPEN, "is open"),
        (WRONG, "is not right yet"),
        (PART, "is not right yet"),
        (ERROR, "is not right yet"),
    ],
)
def test_an_answer_that_is_not_right_is_not_used(capsys, status, said):
    with sheet.fresh():
        recorded(status)
        assert answer_or("lab5.4", abs, library) is library
    assert f"lab5.4 {said}" in capsys.readouterr().out


def test_an_exercise_that_was_never_checked_is_open(capsys):
    with sheet.fresh():
        recorded(RIGHT)
        assert answer_or("lab5.1", abs, library) is library
    assert "lab5.1 is open" in capsys.readouterr().out


def test_an_exercise_that_is_not_there_is_named():
    with pytest.raises(LabError, match="the name of an exercise"):
        answer_or("lab5.77", abs, library)


def test_an_answer_that_writes_into_its_inputs_leaves_the_labs_own_alone(capsys):
    def spoiling(values, array, sizes, *, mask):
        values.zero_()
        array[:] = 0
        sizes.clear()
        mask += 1
        return "mine"

    given = torch.ones(3), np.ones(3), [1, 2], torch.ones(3)
    with sheet.fresh():
        recorded(RIGHT)
        own = answer_or("lab5.4", spoiling, library)
    assert own(*given[:3], mask=given[3]) == "mine"
    assert own.__name__ == "spoiling"
    assert [list(one) for one in given] == [[1, 1, 1], [1, 1, 1], [1, 2], [1, 1, 1]]
    assert capsys.readouterr().out == ""


def test_gradients_reach_what_the_lab_learns():
    scores = torch.ones(3, requires_grad=True)
    with sheet.fresh():
        recorded(RIGHT)
        answer_or("lab5.4", lambda values: 3 * values, library)(scores).sum().backward()
    assert scores.grad.tolist() == [3, 3, 3]
