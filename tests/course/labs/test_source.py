"""The builder: what it refuses, and what it may and may not change."""

import keyword
import re

import jupytext
import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.course.labs import source
from helpers.errors import LabError
from tests.course.toy import SOURCE

HEAD = '# %% [markdown]\n# # Lab 7\n\n# %% tags=["setup"]\nruntime.start("lab7")\n\n# %%\n'
BEGIN, END = "# BEGIN SOLUTION", "# END SOLUTION"

names = st.from_regex(r"[a-z]{3,8}", fullmatch=True).filter(
    lambda name: not keyword.iskeyword(name)
)


@st.composite
def labs(draw):
    """A well-formed lab source, the secrets of its solutions, and the lines outside of them."""
    text, secrets = HEAD, []
    for number in range(draw(st.integers(1, 4))):
        indent = " " * draw(st.sampled_from([4, 8]))
        body = ""
        for _ in range(draw(st.integers(1, 2))):
            lines = []
            for _ in range(draw(st.integers(1, 3))):
                secrets.append(f"secret{len(secrets)}x")
                lines.append(f"{indent}{draw(names)} = {secrets[-1]!r}  # {secrets[-1]}\n")
            lines.insert(draw(st.integers(0, len(lines))), "\n" * draw(st.integers(0, 1)))
            body += f"{indent}{draw(names)} = 0\n{indent}{BEGIN}\n{''.join(lines)}{indent}{END}\n"
        text += f"def {draw(names)}():\n    if True:\n{body}\n" + draw(
            st.sampled_from(["", "\n# %%\n"])
        )
        text += (
            f'check("lab7.{number}", {draw(names)})\n\n# %% [markdown]\n# {draw(names)}\n\n# %%\n'
        )
    return text, secrets


@settings(deadline=None)
@given(labs())
def test_no_part_of_a_solution_reaches_the_student(case):
    text, secrets = case
    student = nbformat.writes(source.student_notebook(source.read(text)))
    solution = nbformat.writes(source.solution_notebook(source.read(text)))
    for secret in secrets:
        assert secret not in student
        assert secret in solution
    for notebook in (student, solution):
        assert "BEGIN SOLUTION" not in notebook
        assert "END SOLUTION" not in notebook


@settings(deadline=None)
@given(labs())
def test_student_and_solution_agree_outside_the_marks_and_with_the_source(case):
    text, _ = case
    outside = re.sub(
        r"^ *# BEGIN SOLUTION\n(?:.*\n)*?( *)# END SOLUTION$", r"\1STUB", text, flags=re.MULTILINE
    )
    expected = [cell.source for cell in jupytext.reads(outside, fmt="py:percent").cells]
    lab = source.read(text)
    student = source.student_notebook(lab)
    assert [
        re.sub(r"raise NotImplementedError.*", "STUB", cell.source) for cell in student.cells
    ] == expected
    inside = [
        cell.source
        for cell in jupytext.reads(
            re.sub(r" *# (BEGIN|END) SOLUTION\n", "", text), fmt="py:percent"
        ).cells
    ]
    assert [cell.source for cell in source.solution_notebook(lab).cells] == inside


@settings(deadline=None)
@given(labs())
def test_every_stub_names_its_exercise_and_keeps_its_indentation(case):
    text, _ = case
    lab = source.read(text)
    lines = source.stubbed(lab).split("\n")
    stubs = [line for line in lines if "NotImplementedError" in line]
    marks = [line for line in text.split("\n") if BEGIN in line]
    assert [len(line) - len(line.lstrip()) for line in stubs] == [
        len(line) - len(line.lstrip()) for line in marks
    ]
    assert [re.search(r'"(lab7\.\d):', line)[1] for line in stubs] == [
        region.exercise for region in lab.regions
    ]
    for stub in stubs:
        compile(stub.strip(), "stub", "exec")


@settings(deadline=None)
@given(labs(), names)
def test_notebooks_are_valid_reproducible_and_keep_the_ids_of_untouched_cells(case, word):
    text, _ = case
    notebook = source.student_notebook(source.read(text))
    nbformat.validate(notebook)
    assert nbformat.writes(notebook) == nbformat.writes(source.student_notebook(source.read(text)))
    identities = [cell.id for cell in notebook.cells]
    assert len(set(identities)) == len(identities)
    more = source.student_notebook(
        source.read(text.replace("# %%\n", f"# %%\nnew_{word} = 1\n\n# %%\n", 1))
    )
    assert [cell.id for cell in more.cells if f"new_{word}" not in cell.source] == identities


def test_an_edited_solution_leaves_the_student_notebook_as_it_was():
    other = SOURCE.replace("return 4  # how many", "return 2 + 2\n")
    first, second = (source.student_notebook(source.read(text)) for text in (SOURCE, other))
    assert nbformat.writes(first) == nbformat.writes(second)


def test_a_lab_knows_its_name_title_and_exercises():
    lab = source.read(SOURCE)
    assert (lab.name, lab.title) == ("lab99", "Lab 99 · Averages")
    assert lab.exercises == ("lab99.1", "lab99.2", "lab99.3")
    assert [region.exercise for region in lab.regions] == [
        "lab99.1",
        "lab99.2",
        "lab99.2",
        "lab99.3",
    ]


def test_badge_and_install_line_come_first():
    notebook = source.student_notebook(source.read(SOURCE), badge="BADGE", install="INSTALL\n")
    assert notebook.cells[0].source == "BADGE"
    setup = next(cell for cell in notebook.cells if "setup" in cell.metadata.get("tags", []))
    assert setup.source == 'INSTALL\nfrom helpers import runtime\n\nruntime.start("lab99")'


def test_the_page_folds_solutions_away_and_shows_only_what_a_check_prints():
    page = source.read_for_book(SOURCE)
    nbformat.validate(page)
    assert page.metadata.kernelspec.name == "python3"
    shown = [
        cell
        for cell in page.cells
        if not {"hide-input", "remove-input"} & set(cell.metadata.get("tags", []))
    ]
    text = "\n".join(cell.source for cell in shown)
    assert "solution_total = " not in text
    assert 'raise NotImplementedError("lab99.1' in text  # the task stands where the reader sees it
    folded = [cell.source for cell in page.cells if "hide-input" in cell.metadata.get("tags", [])]
    assert len(folded) == 3
    assert "return solution_total / len(values)" in folded[0]
    removed = [
        cell.source for cell in page.cells if "remove-input" in cell.metadata.get("tags", [])
    ]
    assert [text.split('"')[1] for text in removed] == ["lab99.1", "lab99.2", "lab99.3"]


def function(body, check='check("lab7.1", f)\n'):
    return f"def f():\n{body}\n{check}"


GOOD = f"    {BEGIN}\n    return 1\n    {END}\n"
# body of a lab whose head has seven lines, the line of the body that is at fault, words of the
# message
MALFORMED = {
    "begin without end": (f"def f():\n    {BEGIN}\n    return 1\n", 2, "END SOLUTION"),
    "end without begin": (f"def f():\n    return 1\n    {END}\n", 3, "BEGIN SOLUTION"),
    "nested": (
        f"def f():\n    {BEGIN}\n    {BEGIN}\n    return 1\n    {END}\n    {END}\n",
        3,
        "second",
    ),
    "across cells": (
        f"def f():\n    {BEGIN}\n    return 1\n\n# %%\n    {END}\n",
        5,
        "another cell",
    ),
    "empty": (function(f"    {BEGIN}\n\n    {END}\n"), 2, "nothing"),
    "in prose": (f"x = 1\n\n# %% [markdown]\n# {BEGIN}\n", 4, "alone on a line of a code cell"),
    "beside code": (function(f"    x = 1  {BEGIN}\n    {END}\n"), 2, "alone on a line"),
    "checked twice": (function(GOOD) + function(GOOD), 12, "lab7.1 again"),
    "of another lab": (function(GOOD, 'check("lab8.1", f)\n'), 6, "'lab8.1'"),
    "not checked, at the end": (function(GOOD, ""), 2, "none before"),
    "not checked, another follows": (
        function(GOOD, "# %% [markdown]\n# Next\n\n# %%\n") + function(GOOD),
        2,
        "none before",
    ),
    "check without solution": ('x = 1\ncheck("lab7.1", x)\n', 2, "lab7.1"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_source_is_refused_with_file_and_line(case):
    body, line, words = MALFORMED[case]
    with pytest.raises(LabError) as fault:
        source.read(HEAD + body, where="labs/lab7_x.py")
    assert str(fault.value).startswith(f"labs/lab7_x.py:{line + 7}: ")
    assert words in str(fault.value)


@pytest.mark.parametrize(
    "mark",
    ["#BEGIN SOLUTION", "#  Begin  Solution", "# begin solution", "# BEGIN SOLUTION NO PROMPT"],
)
def test_a_mark_in_another_spelling_still_hides_the_solution(mark):
    lab = source.read(HEAD + function(f"    {mark}\n    return 'secret'\n    {END}\n"))
    assert "secret" not in source.stubbed(lab)


@pytest.mark.parametrize(
    "setup", ["", '# %% tags=["setup"]\npass\n', '# %% tags=["setup"]\nruntime.start("lab7")\n' * 2]
)
def test_a_lab_needs_one_set_up_cell_that_starts_it(setup):
    with pytest.raises(LabError, match=r"set-up cell|cell tagged"):
        source.read("# %% [markdown]\n# # Lab 7\n" + setup)


def test_a_lab_needs_a_title():
    with pytest.raises(LabError, match="heading"):
        source.read('# %% tags=["setup"]\nruntime.start("lab7")\n')


PARTS = [
    "# %%\n",
    f"{BEGIN}\n",
    f"    {END}\n",
    'check("lab7.1", x)\n',
    "x = 1\n",
    "# %% [markdown]\n",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=12).map("".join))
def test_any_order_of_marks_is_either_read_or_refused(body):
    try:
        lab = source.read(HEAD + body)
    except LabError:
        return
    assert (
        source.stubbed(lab).count("NotImplementedError") == body.count("BEGIN") == body.count("END")
    )
