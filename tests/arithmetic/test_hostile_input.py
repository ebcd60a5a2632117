"""Every public function of the room on what people bring by mistake: nothing at all, numbers of
another type, tensors that want gradients. It works, or a sentence says what was expected.

The functions are found in the modules, and called by the names of their arguments: a new one is
walked as soon as its arguments have names that stand below.
"""

import ast
import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

import helpers.arithmetic as room
from helpers import zoo
from helpers.arithmetic.circuit import addition, sufficiency
from helpers.arithmetic.questions import Format, Questions, cascades, uniform
from helpers.errors import LabError
from helpers.interventions import Node

pytestmark = pytest.mark.core

FOLDER = Path(room.__file__).parent
FMT = Format(3)
ROOMS = ("questions", "verification", "circuit", "reuse", "training")
LONG = {"find_roles", "smallest_map", "choose", "measure_source", "verify", "tri_state", "use"}
"""What runs for long even on little; `verify` has tests of its own."""


def batch(count: int) -> Questions:
    return uniform(3, count, np.random.default_rng(0))


@pytest.fixture(scope="module")
def good() -> dict[str, object]:
    """A value for each name of an argument."""
    model, questions = zoo.load("add-d3", device="cpu"), batch(20)
    logits = torch.randn(20, 13, 15, generator=torch.Generator().manual_seed(0))
    points = np.random.default_rng(0).normal(size=(20, 4))
    return {
        "model": model,
        "source": model,
        "target": model,
        "questions": questions,
        "clean": questions,
        "stored": questions,
        "parts": [questions, questions],
        "fmt": FMT,
        "n_digits": 3,
        "rng": np.random.default_rng(0),
        "count": 4,
        "per_class": 2,
        "per_case": 5,
        "reference_per_class": 2,
        "batch_size": 8,
        "max_cascade": 2,
        "first": questions.first,
        "second": questions.second,
        "high": questions.first[:, 0],
        "low": questions.first[:, 1],
        "cases": questions.first,
        "tokens": questions.tokens(FMT),
        "logits": logits,
        "answers": questions.tokens(FMT)[:, FMT.equals_position + 1 :],
        "answer": questions.tokens(FMT)[0, FMT.equals_position + 1 :],
        "points": points,
        "case": np.repeat([0, 1], 10),
        "a": points[0],
        "b": points[1],
        "node": Node(8, 0, 0),
        "nodes": [Node(8, 0, 0)],
        "bench": sufficiency.bench(model, FMT, per_class=2, reference_per_class=2),
        "k": 1,
        "digit": 1,
        "columns": slice(1, 2),
        "share": 0.5,
        "task": addition.SUBTASKS["SA"],
        "node_sets": [(Node(8, 0, 0),)],
        "size": 1,
        "subtract": False,
        "automaton": cascades.addition(3),
        "combine": torch.maximum,
    } | {"a": torch.tensor(points[0]), "b": torch.tensor(points[1]), "seed": 0, "pairs": None}


def bad(name: str, value: object) -> list[object]:
    """What people bring by mistake in the place of a value."""
    if isinstance(value, Questions):
        return [batch(0), batch(1)]
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return [value.clone().requires_grad_(), value.half(), value.bfloat16(), value.double()]
    if isinstance(value, torch.Tensor):
        return [value[:0], value.int(), value.to(torch.uint8)]
    if isinstance(value, np.ndarray):
        return [value[:0], value * np.nan, value.astype(int), value.astype(np.float32)]
    if isinstance(value, list):
        return [[]]
    if name in ("count", "per_class", "per_case", "reference_per_class", "batch_size", "size"):
        return [0, -1, 1]
    if name in ("k", "digit"):
        return [0, 9, -9]
    return []


def functions() -> list[tuple[str, Callable]]:
    """The public functions of the room, by module and name."""
    found = []
    for place in ROOMS:
        for path in sorted((FOLDER / place).glob("[!_]*.py")):
            if path.stem == "bench":
                continue
            module = importlib.import_module(f"{room.__name__}.{place}.{path.stem}")
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                public = isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
                if public and node.name not in LONG:
                    found.append((f"{place}.{path.stem}.{node.name}", getattr(module, node.name)))
    return found


def words(function: Callable, good: dict[str, object]) -> dict[str, object] | None:
    """Its arguments, or None where one that it must have has no value above."""
    chosen = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name in good and good[name] is not None:
            chosen[name] = good[name]
        elif parameter.default is inspect.Parameter.empty:
            return None
    return chosen or None


RAW = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
TOGETHER = (
    {"first", "second", "high", "low", "cases"},
    {"questions", "clean", "stored", "answers"},
)
"""Arguments that belong to each other: people bring all of them empty, or none."""


def mistaken(asked: dict[str, object]) -> Iterator[dict[str, object]]:
    """The arguments with one mistake, made in all that belong together."""
    for name in asked:
        family = next((family for family in TOGETHER if name in family), {name})
        for variants in zip(*(bad(n, asked[n]) for n in asked if n in family), strict=False):
            names = [n for n in asked if n in family]
            yield asked | dict(zip(names, variants, strict=True))


@pytest.mark.parametrize(("name", "function"), functions(), ids=[name for name, _ in functions()])
def test_a_mistake_is_a_sentence_or_harmless(name, function, good):
    asked = words(function, good)
    if asked is None:
        pytest.skip("its arguments have other names")
    for arguments in mistaken(asked):
        try:
            function(**arguments)
        except LabError:
            continue
        except RAW as fault:
            if isinstance(fault, TypeCheckError):  # the shapes that the tests check beside
                continue
            changed = {k: str(v)[:60] for k, v in arguments.items() if v is not asked[k]}
            pytest.fail(f"{name}({changed}): {fault!r}"[:600])


def test_most_functions_are_walked(good):
    walked = [name for name, function in functions() if words(function, good)]
    assert len(walked) > 40
    wanted = {
        "questions.batch.join",
        "verification.answers.predict",
        "training.recipes.answer_loss",
    }
    assert wanted <= set(walked)


def test_the_walk_can_fail(good):
    """Of what it is for: a function that falls over an empty batch."""

    def first_digit(questions):
        return questions.first[0]

    assert words(first_digit, good) == {"questions": good["questions"]}
    with pytest.raises(IndexError):
        first_digit(bad("questions", good["questions"])[0])


@pytest.mark.parametrize(
    "parts",
    [
        (torch.zeros(2, 3), torch.zeros(2, 3).long(), torch.zeros(2).bool()),
        (torch.zeros(2, 3).long(), torch.zeros(2, 3, requires_grad=True), torch.zeros(2).bool()),
        (torch.zeros(2, 3).bool(), torch.zeros(2, 3).long(), torch.zeros(2).bool()),
        (torch.full((2, 3), 10), torch.zeros(2, 3).long(), torch.zeros(2).bool()),
        (torch.full((2, 3), -1), torch.zeros(2, 3).long(), torch.zeros(2).bool()),
        (torch.zeros(2, 3).long(), torch.zeros(2, 4).long(), torch.zeros(2).bool()),
        (torch.zeros(2, 3).long(), torch.zeros(2, 3).long(), torch.zeros(3).bool()),
        (torch.zeros(2, 3).long(), torch.zeros(2, 3).long(), torch.zeros(2).long()),
        (torch.zeros(3).long(), torch.zeros(3).long(), torch.zeros(3).bool()),
        ([[1]], [[1]], [False]),
        (None, None, None),
    ],
)
def test_questions_are_digits(parts):
    with pytest.raises(LabError, match=r"expected (digits as whole|two operands of one shape)"):
        Questions(*parts)


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_digits_of_any_whole_type_are_the_same_questions(kind):
    questions = batch(50)
    other = Questions(questions.first.to(kind), questions.second.to(kind), questions.subtract)
    assert other.first.dtype == torch.int64
    assert torch.equal(other.answer_digits(), questions.answer_digits())
    assert torch.equal(other.tokens(FMT), questions.tokens(FMT))
