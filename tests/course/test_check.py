"""The checks' frame: what a student reads for every kind of answer, and what is remembered."""

import io
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.course import check as checks
from helpers.course import expect, sheet
from helpers.course.check import evaluate
from helpers.course.wrong import Wrong
from helpers.errors import LabError


def recursion():
    return recursion()


def stop():
    raise SystemExit("bye")


GARBAGE = [
    None,
    math.nan,
    math.inf,
    "text",
    b"bytes",
    [],
    [[1], [2, 3]],
    {},
    object(),
    int,
    np.array(["a"]),
    torch.full((2, 2), torch.nan),
    torch.zeros(0),
    lambda *_: None,
    lambda *_: "text",
    lambda *_: math.nan,
    lambda *_: [],
    lambda *_: lambda: 4,
    lambda *_: {}["missing"],
    lambda *_: torch.zeros(3, 4) @ torch.zeros(3, 4),
    recursion,
    stop,
    True,
]


@pytest.mark.parametrize("name", ["lab99.1", "lab99.2", "lab99.3"])
@pytest.mark.parametrize("answer", GARBAGE)
def test_garbage_earns_nothing_and_a_sentence(toy, name, answer):
    result = evaluate(name, answer)
    assert (result.points, result.sign) == (0, "✗")
    assert len(result.message) > 10
    assert "\n" not in str(result)
    assert len(str(result)) < 500
    assert "AssertionError" not in str(result)


CASES = [
    ("lab99.1", lambda values: sum(values) / len(values), 2, "✓", ""),
    ("lab99.1", sum, 0, "✗", "did you take the sum?"),
    ("lab99.1", lambda values: 2.0, 0, "✗", "did you take the median?"),
    ("lab99.1", lambda values: 1.7, 0, "✗", "the answer is not right"),
    ("lab99.1", lambda values: -3.0, 0, "✗", "its sign is the opposite"),
    ("lab99.1", lambda values: [3.0], 0, "✗", "1 axes instead of 0"),
    ("lab99.1", 3.0, 0, "✗", "pass the function itself, without calling it"),
    ("lab99.1", lambda values: None, 0, "✗", "is its last line a return?"),
    (
        "lab99.1",
        lambda: 3.0,
        0,
        "✗",
        "cannot be called as the exercise says: too many positional arguments",
    ),
    ("lab99.2", lambda values: torch.tensor(14 / 3), 3, "✓", "population"),
    ("lab99.2", lambda values: 7.0, 1, "◐", "less one"),
    ("lab99.2", lambda values: torch.zeros(3), 0, "✗", "which axis is still to be reduced?"),
    ("lab99.2", lambda values: math.nan, 0, "✗", "division by 0"),
    ("lab99.3", lambda: "4", 0, "✗", "expected the answer to be int; got str"),
    ("lab99.3", lambda: True, 0, "✗", "got bool"),
]


@pytest.mark.parametrize(("name", "answer", "points", "sign", "words"), CASES)
def test_the_likely_mistake_is_named(toy, name, answer, points, sign, words):
    result = evaluate(name, answer)
    assert (result.points, result.sign) == (points, sign)
    assert words in result.message


def test_an_error_is_told_with_its_type_its_message_and_the_students_line(toy):
    def mean(values):
        half = len(values) // 2
        return half / (half - 1)  # the student's line

    result = evaluate("lab99.1", mean)
    assert "ZeroDivisionError: division by zero" in result.message
    assert "`return half / (half - 1)  # the student's line`" in result.message
    assert f"line {mean.__code__.co_firstlineno + 2}" in result.message


def test_of_several_lines_of_the_student_the_innermost_is_told(toy):
    def helper(values):
        return values[99]  # here it breaks

    def mean(values):
        return helper(values)

    assert "`return values[99]  # here it breaks`" in evaluate("lab99.1", mean).message


def test_an_error_deep_in_a_library_is_told_with_the_students_line(toy):
    def mean(values):
        return torch.nn.functional.cross_entropy(
            torch.zeros(2, 3), torch.zeros(5, dtype=torch.long)
        )

    result = evaluate("lab99.1", mean)
    assert "`return torch.nn.functional.cross_entropy(" in result.message


def test_an_error_of_the_check_itself_says_that_the_answer_has_another_form(monkeypatch, toy):
    awkward = checks.Exercise("lab99.1", 2, "Mean", lambda answer: answer.shape[0])
    monkeypatch.setattr(toy, "mean", awkward)
    result = evaluate("lab99.1", [1, 2])
    assert "of type list, is not in the form" in result.message


def stub(text):
    def answer(*_):
        raise NotImplementedError(*text)

    return answer


@pytest.mark.parametrize(
    ("text", "sign", "words"),
    [
        (["lab99.1: write your answer here"], "○", "not answered yet"),
        ([], "○", "not answered yet"),
        (["lab99.3: write your answer here"], "○", "this needs your answer to lab99.3 first"),
        (
            ["Could not run 'aten::x' on the Meta backend"],
            "✗",
            "NotImplementedError: Could not run",
        ),
    ],
)
def test_a_stub_is_an_exercise_not_answered_yet(toy, text, sign, words):
    result = evaluate("lab99.1", stub(text))
    assert (result.points, result.sign) == (0, sign)
    assert words in result.message


def test_an_interrupt_passes_through(toy):
    def slow(values):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate("lab99.1", slow)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_points_stay_between_none_and_the_maximum(points):
    def test(answer):
        raise Wrong("no", points=points)

    task = checks.Exercise("lab99.1", 2, "Mean", test)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "find", lambda name: task)
        result = evaluate("lab99.1", None)
    assert 0 <= result.points <= 2
    assert result.status != sheet.RIGHT


@pytest.mark.parametrize(
    "name",
    ["lab99.11", "lab99.", "lab99", "", "lab0,3", "lab12345.1", "os.path", None, 3, ["lab99.1"]],
)
def test_an_unknown_exercise_is_named_with_its_neighbours(toy, name, capsys):
    with pytest.raises(LabError) as fault:
        evaluate(name, 1)
    checks.check(name, 1)
    said = capsys.readouterr().out
    assert said.startswith("✗ expected")
    assert repr(name).strip("'") in str(fault.value) or repr(name).partition(".")[0].strip(
        "'"
    ) in str(fault.value)
    if str(name).startswith("lab99"):
        assert "did you mean lab99." in said


def test_check_prints_one_line_and_the_scores_keep_the_last_result(toy, capsys):
    with sheet.fresh():
        assert checks.check("lab99.3", lambda: 3) is None
        assert capsys.readouterr().out == "✗ lab99.3 Count: 0 of 1 points. There are more\n"
        checks.check("lab99.3", lambda: 4)
        checks.check("lab99.2", lambda values: 7.0)
        capsys.readouterr()
        checks.scores("lab99")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "exercise",
        "lab99.1",
        "lab99.2",
        "lab99.3",
        "total",
    ]
    assert [line.split("  ")[-1] for line in lines[1:4]] == [
        "○ not answered",
        "◐ partly right",
        "✓ right",
    ]
    assert lines[4].split()[1:] == ["2", "/", "6"]


def test_a_fresh_sheet_ends_with_its_block(toy, capsys):
    with sheet.fresh() as outer:
        with sheet.fresh() as inner:
            checks.check("lab99.3", lambda: 4)
        checks.check("lab99.3", lambda: 5)
    assert (inner.results["lab99.3"].points, outer.results["lab99.3"].points) == (1, 0)
    assert sheet.current() not in (inner, outer)


def test_evaluating_records_nothing(toy):
    with sheet.fresh() as fresh:
        evaluate("lab99.3", lambda: 4)
    assert fresh.results == {}


def test_scores_of_an_unknown_lab(capsys):
    checks.scores("lab98")
    assert capsys.readouterr().out.startswith("✗ expected a lab: ")


@pytest.mark.parametrize(("name", "points"), [("99.1", 1), ("lab99", 1), ("lab99.1", 0)])
def test_an_exercise_without_name_or_points_is_refused(name, points):
    with pytest.raises(ValueError, match="expected a name"):
        checks.exercise(name, points, "Title")


values = st.floats(-1e6, 1e6)
arrays = st.lists(values, min_size=1, max_size=5)


@given(arrays, st.integers(0, 4), st.floats(0.01, 10))
def test_one_wrong_value_is_found_and_the_right_one_is_not_told(right, index, error):
    got = list(right)
    got[index % len(right)] += error
    secret = [value + math.pi for value in right]
    with pytest.raises(Wrong) as wrong:
        expect.expect_close(
            [value + math.pi for value in got],
            torch.tensor(secret, dtype=torch.float64),
            tolerance=0.005,
        )
    assert not any(str(value) in str(wrong.value) for value in secret)


@given(arrays)
def test_equal_values_pass_in_every_form(right):
    for form in (list, tuple, np.array, lambda value: torch.tensor(value, dtype=torch.float64)):
        expect.expect_close(form(right), right)
        expect.expect_shape(form(right), (len(right),))


@pytest.mark.parametrize(
    "mistakes",
    [
        {"swapped": np.array([2.0, 1.0])},
        [("swapped", [2.0, 1.0])],
        [(torch.tensor([2.0, 1.0]), "swapped")],
        {(2.0, 1.0): "swapped"},
    ],
)
def test_mistakes_are_given_in_any_form(mistakes):
    with pytest.raises(Wrong, match=r"^swapped$"):
        expect.expect_close([2.0, 1.0], [1.0, 2.0], mistakes=mistakes)


def test_a_nan_in_an_answer_is_told_before_a_mistake_is_guessed():
    with pytest.raises(Wrong, match="holds NaN"):
        expect.expect_close([1.0, math.nan], [1.0, 2.0])


def test_swapped_axes_are_named():
    with pytest.raises(Wrong, match="are its axes swapped"):
        expect.expect_shape(torch.zeros(3, 5), (5, 3))
    with pytest.raises(Wrong, match="3 axes instead of 2"):
        expect.expect_shape(torch.zeros(3, 5, 1), (5, 3))
    with pytest.raises(
        Wrong, match=r"expected x in shape \[5, any\] \(question digit\); got \[3, 4\]$"
    ):
        expect.expect_shape(torch.zeros(3, 4), (5, -1), "x", axes="question digit")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "cp437", "utf-8"])
def test_a_terminal_that_lacks_a_sign_shows_a_plain_one(toy, monkeypatch, encoding):
    def surprise(values):
        raise ValueError("é ✗ ≥ \udc80")  # half a character, as of a file name that is no text

    shown = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", shown)
    with sheet.fresh():
        checks.check("lab99.3", lambda: 4)
        checks.check("lab99.2", lambda values: 7.0)
        checks.check("lab99.1", surprise)
        checks.check("lab99.0", surprise)
        checks.scores("lab99")
        checks.scores("lab98")
    shown.flush()
    lines = shown.buffer.getvalue().decode(encoding).splitlines()
    signs = [line[0] for line in lines]
    right, part, wrong = ("✓", "◐", "✗") if encoding == "utf-8" else ("+", "~", "x")
    assert signs[:2] == [right, part]
    assert signs[2] == "x"  # because of what it says
    assert "your code raised" in lines[2].lower()
    assert wrong in signs[3:5]
    assert any(line.endswith(f"{right} right") for line in lines)


@pytest.mark.parametrize(
    "environment", [{"PYTHONIOENCODING": "cp1252"}, {"PYTHONIOENCODING": "ascii"}]
)
def test_checks_in_a_process_of_such_a_terminal(environment):
    code = "from helpers.course.check import check, scores; check('lab0.1', 3); scores('lab0')"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout[:9]) == (0, "x lab0.1 "), run.stderr
    assert "- not answered" in run.stdout
