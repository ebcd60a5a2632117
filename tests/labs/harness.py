"""What every lab is held to, as functions that return complaints: empty where all is well."""

import importlib.util
import math
import re
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import torch

from helpers.course import check
from helpers.course.labs import execute, source
from tests.labs import twice

FEWEST_MUTANTS = 3
WIDTH = 100
WHOLE = re.compile(r"# +([|#]|\$\$)|# +(- )?\[[^\]]*\]\([^)]*\)\S*$")
"""Prose that is not broken: tables, headings, mathematics, and a link alone on its line."""
GARBAGE = [
    None,
    math.nan,
    "no answer",
    [],
    {},
    object(),
    int,
    -98765.4321,
    torch.full((2, 3), torch.nan),
]
GARBAGE += [
    lambda *_, **__: None,
    lambda *_, **__: "no answer",
    lambda *_, **__: math.nan,
    lambda *_, **__: {}["missing"],
]


def run_student(lab: source.Lab, notes: twice.Notes | None = None) -> execute.NotebookRun:
    """Run the student notebook as it is handed out.

    Args:
        notes: Those of a run of the solution: long cells that need no answer are not run again.
    """
    stubs = twice.Stubs(notes or twice.Notes())
    return execute.run_notebook(source.student_notebook(lab), lab.name, stubs.run)


def run_solution(lab: source.Lab, notes: twice.Notes | None = None) -> execute.NotebookRun:
    """Run the notebook with the solutions in place."""
    return execute.run_notebook(
        source.solution_notebook(lab), lab.name, (notes or twice.Notes()).run
    )


def stub_complaints(lab: source.Lab, run: execute.NotebookRun) -> list[str]:
    """A stub scores nothing, and a cell fails only because an answer is missing."""
    said = [
        f"{name}: the stub scores {result.points:g}"
        for name, result in run.sheet.results.items()
        if result.points
    ]
    blamed = {
        "NotImplementedError",
        "NameError",
        "LabError",
    }  # a stub was called, or what it should have defined is missing
    said += [failure.traceback for failure in run.failures if failure.kind.__name__ not in blamed]
    open_ = [
        name
        for name in lab.exercises
        if (found := run.sheet.results.get(name)) and found.status == check.sheet.ERROR
    ]
    return said + [f"{name}: the stub is taken for an error" for name in open_]


def solution_complaints(lab: source.Lab, run: execute.NotebookRun) -> list[str]:
    """The solution runs through and earns every point; lab and checks have the same exercises."""
    said = [failure.traceback for failure in run.failures]
    tasks = check.exercises(lab.name)
    if list(tasks) != list(lab.exercises):
        said.append(
            f"exercises {list(lab.exercises)} in the lab, {list(tasks)} in "
            f"helpers/course/checks/{lab.name}.py"
        )
    for name, task in tasks.items():
        result = run.sheet.results.get(name)
        if result is None or result.points != task.points:
            said.append(f"{name}: expected {task.points:g} points for the solution; got {result}")
    return said


def beside(lab: source.Lab, kind: str) -> ModuleType:
    """The module ``labN_mutants`` or ``labN_facts`` beside this file."""
    return importlib.import_module(f"tests.labs.{lab.name}_{kind}")


def fact_complaints(
    lab: source.Lab, run: execute.NotebookRun, facts: Callable[[SimpleNamespace], dict[str, bool]]
) -> list[str]:
    """What the lab says after "Found" is true of the variables that its solution leaves.

    Args:
        lab: The lab.
        run: A run of its solution.
        facts: From the variables, whether each such sentence (in short) is true.
    """
    try:
        held = facts(SimpleNamespace(**run.namespace))
    except AttributeError as missing:
        return [f"{lab.name}: a fact needs a variable that the lab does not have: {missing}"]
    return [f"{lab.name}: no longer true: {fact}" for fact, holds in held.items() if not holds]


def mutant_complaints(lab: source.Lab, wrong: dict[str, list]) -> list[str]:
    """Every exercise has three plausible wrong answers or more, and its check refuses each."""
    said = [f"{name} is no exercise of {lab.name}" for name in wrong if name not in lab.exercises]
    for name in lab.exercises:
        answers = wrong.get(name, [])
        if len(answers) < FEWEST_MUTANTS:
            said.append(f"{name}: expected at least {FEWEST_MUTANTS} mutants; got {len(answers)}")
        for number, answer in enumerate(answers):
            result = check.evaluate(name, answer)
            if result.points >= result.maximum or not result.message:
                said.append(f"{name}: mutant {number} is not refused: {result}")
            if result.status in (check.sheet.ERROR, check.sheet.OPEN):
                said.append(
                    f"{name}: mutant {number} breaks instead of giving a wrong answer: {result}"
                )
    return said


def garbage_complaints(lab: source.Lab) -> list[str]:
    """Whatever a student passes, a check answers with a sentence and no points."""
    said = []
    for name in lab.exercises:
        for number, answer in enumerate(GARBAGE):
            result = check.evaluate(name, answer)
            if result.points or len(result.message) < 10:
                said.append(f"{name}: garbage {number} ({type(answer).__name__}): {result}")
    return said


def leak_complaints(lab: source.Lab) -> list[str]:
    """No solution stands a second time in the student notebook, be it indented or in comments."""

    def plain(lines: list[str]) -> str:
        return "\n".join(text for line in lines if (text := line.strip(" #")))

    lines = lab.text.split("\n")
    student = plain(source.stubbed(lab).split("\n"))
    solutions = {
        region.exercise: plain(lines[region.first : region.last - 1]) for region in lab.regions
    }
    return [
        f"{name}: shown to the student: {text}"
        for name, text in solutions.items()
        if len(text) > 24 and text in student
    ]


def marking_complaints(lab: source.Lab) -> list[str]:
    """Student and solution notebook differ in nothing but the marked lines."""
    said = []
    pairs = zip(
        source.student_notebook(lab).cells, source.solution_notebook(lab).cells, strict=True
    )
    for number, (stub, solution) in enumerate(pairs):
        kept = re.split(
            r"^ *raise NotImplementedError\(\"lab\d+\.\w+: [^\n]*$", stub.source, flags=re.MULTILINE
        )
        if not re.fullmatch(".+".join(map(re.escape, kept)), solution.source, flags=re.DOTALL):
            said.append(f"cell {number} differs outside the marks:\n{stub.source}")
    return said


def width_complaints(lab: source.Lab) -> list[str]:
    """No line of code or prose is wider than the book's one width."""
    said, drawn = [], False
    for number, line in enumerate(lab.text.split("\n"), start=1):
        if line.startswith("# ```"):
            drawn = line == "# ```text"
        if len(line) > WIDTH and not drawn and not WHOLE.match(line):
            said.append(f"line {number} of {lab.name} has {len(line)} columns: {line}")
    return said


def heading_complaints(lab: source.Lab) -> list[str]:
    """Before each exercise stand its name, its points, minutes, difficulty and a hint."""
    said, tasks = [], check.exercises(lab.name)
    prose = ""
    for cell in source.student_notebook(lab).cells:
        if cell.cell_type == "markdown":
            prose = cell.source
        for name in re.findall(
            r"NotImplementedError\(\"(lab\d+\.\w+): ",
            cell.source if cell.cell_type == "code" else "",
        ):
            points = f"{tasks[name].points:g} point"
            missing = [
                want
                for want in (name.removeprefix("lab"), points, "minute", "●", "<details>")
                if want not in prose
            ]
            said += [f"{name}: the cell before the exercise lacks {missing}"] if missing else []
    return said
