"""Checks of Lab 2, reuse of a verified circuit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from helpers import zoo
from helpers.arithmetic.circuit import addition, patching, subtraction, sufficiency
from helpers.arithmetic.questions import Format, Questions, answer_tokens, parse
from helpers.arithmetic.reuse import stored, transferred
from helpers.course.asking import call, call_in_place, expect_functions, taken
from helpers.course.check import exercise
from helpers.course.expect import expect_close, expect_function
from helpers.course.values import as_array
from helpers.course.wrong import Wrong
from helpers.errors import LabError
from helpers.inputs import within
from helpers.interventions import Node, ablate
from helpers.model import Model

_D_MODEL, _D_HEAD, _D_MLP = 6, 4, 8
_SHAPES = {
    **dict.fromkeys(("W_Q", "W_K", "W_V"), (_D_MODEL, _D_HEAD)),
    **dict.fromkeys(("b_Q", "b_K", "b_V"), (_D_HEAD,)),
    "W_O": (_D_HEAD, _D_MODEL),
    "W_in": (_D_MODEL, _D_MLP),
    "b_in": (_D_MLP,),
    "W_out": (_D_MLP, _D_MODEL),
    **dict.fromkeys(("b_O", "b_out", "ln1_w", "ln1_b", "ln2_w", "ln2_b"), (_D_MODEL,)),
}


def _layer(seed: int) -> dict[str, Tensor]:
    """A layer with no zero in it, so that nothing is neutral by luck."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=generator, dtype=torch.float64)
        for name, shape in _SHAPES.items()
    }


def _writes(weights: Mapping[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """What attention (one causal head) and MLP of a layer add to the stream x [pos, d_model]."""

    def norm(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return torch.nn.functional.layer_norm(x, x.shape[-1:], w, b)

    seen = norm(x, weights["ln1_w"], weights["ln1_b"])
    q, k, v = (seen @ weights[f"W_{part}"] + weights[f"b_{part}"] for part in "QKV")
    scores = (q @ k.T / _D_HEAD**0.5).masked_fill(
        torch.ones(len(x), len(x)).triu(1).bool(), -torch.inf
    )
    attention = scores.softmax(-1) @ v @ weights["W_O"] + weights["b_O"]
    inner = (
        norm(x + attention, weights["ln2_w"], weights["ln2_b"]) @ weights["W_in"] + weights["b_in"]
    )
    return attention, inner.relu() @ weights["W_out"] + weights["b_out"]


def _as_layer(got: object, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The student's layer as fresh leaves with gradients."""
    if not isinstance(got, Mapping):
        raise Wrong(f"expected a dictionary of tensors; got {type(got).__name__}")
    if odd := sorted(map(str, set(given) ^ set(taken(got, len(given))))):
        raise Wrong(
            f"expected the same names as in the given dictionary; {odd[0]} is missing or new"
        )
    tensors = {}
    for name, tensor in given.items():
        value = as_array(got[name], name)
        if not np.isfinite(value).all():
            raise Wrong(
                f"{name} holds values that are NaN or infinite: no layer can learn with them"
            )
        if value.shape != tuple(tensor.shape):
            raise Wrong(f"{name} must keep its shape {list(tensor.shape)}; got {list(value.shape)}")
        tensors[name] = torch.from_numpy(value).clone().requires_grad_()
    return tensors


def _after_one_step(layer: dict[str, Tensor], x: Tensor, target: Tensor) -> tuple[float, float]:
    """How much of what attention and MLP write varies over positions, after one step of gradient
    descent to a random target.

    A bias that is written moves in any layer; a part that has learned writes something that depends
    on x.
    """
    attention, mlp = _writes(layer, x)
    ((x + attention + mlp - target) ** 2).sum().backward()
    # a dead tensor may have no gradient at all
    moved = {
        name: (value - 0.01 * (0 if value.grad is None else value.grad)).detach()
        for name, value in layer.items()
    }
    attention, mlp = _writes(moved, x)
    spread_a, spread_m = (float((part - part.mean(0)).abs().max()) for part in (attention, mlp))
    return spread_a, spread_m


@exercise("lab2.1", points=3, title="A new layer that changes nothing")
def neutral_layer(answer):
    expect_function(answer)
    for seed in range(3):
        given = _layer(seed)
        layer = _as_layer(call(answer, given), given)
        x, target = torch.randn(
            2, 5, _D_MODEL, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        )
        attention, mlp = (float(part.detach().abs().max()) for part in _writes(layer, x))
        for written, part, names in (
            (attention, "attention", "W_O and b_O"),
            (mlp, "MLP", "W_out and b_out"),
        ):
            if not within(written, 1e-9):
                raise Wrong(
                    f"the {part} of your layer still writes into the stream: look at {names}"
                )
        for written, part in zip(
            _after_one_step(layer, x, target), ("attention", "MLP"), strict=True
        ):
            if not written >= 1e-9:
                raise Wrong(
                    f"the layer is neutral, but its {part} can never learn: after a step of "
                    "gradient descent what it writes still does not depend on x. A product of two "
                    "factors that are both zero has no gradient in either",
                    points=1,
                )


_PER_HEAD = ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V")
_PER_LAYER = ("W_in", "b_in", "W_out", "b_out", "ln1_w", "ln1_b", "ln2_w", "ln2_b", "b_O")


def _heads(owner: str, heads: int) -> dict[str, Any]:
    """A layer whose tensors are labels that say whose they are."""
    per_head: dict[str, Any] = {
        name: [f"{owner} {name} {h}" for h in range(heads)] for name in _PER_HEAD
    }
    return per_head | {name: f"{owner} {name}" for name in _PER_LAYER}


def _check_start(start) -> None:
    for few, many in ((3, 4), (2, 5)):
        source = _heads("source", few)
        _, target, *_ = call_in_place(start, source, _heads("target", many), few, many)
        forgotten = [name for name in _PER_LAYER if target[name] != source[name]]
        forgotten += [name for name in _PER_HEAD if target[name][:few] != source[name]]
        if forgotten:
            raise Wrong(
                f"`start` leaves {len(forgotten)} of {len(_PER_HEAD + _PER_LAYER)} tensors as they "
                "are; go through the list again"
            )
        if any(target[name][few:] != _heads("target", many)[name][few:] for name in _PER_HEAD):
            raise Wrong("`start` writes into a head that is new")


def _check_write_back(write_back) -> None:
    for few, many in ((3, 4), (2, 5)):
        source, fresh = _heads("source", few), _heads("target", many)
        _, target, *_ = call_in_place(write_back, source, fresh, few, many)
        for name in _PER_HEAD:
            frozen = name not in ("W_O",)
            if target[name][few:] != fresh[name][few:]:
                raise Wrong(f"`write_back` overwrites a new head when {few} heads stand in {many}")
            if frozen and target[name][:few] != source[name]:
                raise Wrong(
                    f"`write_back` leaves an inserted head as it is when {few} heads stand in "
                    f"{many}"
                )
            if not frozen and target[name] != fresh[name]:
                raise Wrong("`write_back` is to write Q, K and V only")
        if any(target[name] != fresh[name] for name in _PER_LAYER):
            raise Wrong("`write_back` is to write Q, K and V only")


@exercise("lab2.2", points=4, title="Spot the two bugs")
def repaired(answer):
    expect_functions(answer, {"start": _check_start, "write_back": _check_write_back}, points=2)


@exercise("lab2.3", points=2, title="What chance would share")
def chance_share(answer):
    expect_function(answer)
    for source, target, nodes in (
        ([2, 0, 4], [3, 8, 5], [10, 10, 5]),
        ([1, 3], [0, 2], [15, 15]),
        ([3], [7], [15]),
    ):
        product = [a * b / n for a, b, n in zip(source, target, nodes, strict=True)]
        right = sum(product) / sum(source)
        wrong = {
            (
                "did you put all positions into one pool? The nodes are "
                "drawn at every position by itself"
            ): sum(target) / sum(nodes),
            (
                "that is the expected number of shared nodes: which share of "
                "the source's nodes is it?"
            ): sum(product),
            (
                "that is the share of the target's nodes: the exercise asks "
                "for that of the source's"
            ): sum(product) / max(1, sum(target)),
            (
                "positions at which the source has more nodes count more: that is their plain mean"
            ): sum(b / n for b, n in zip(target, nodes, strict=True)) / len(nodes),
        }
        mistakes = {text: value for text, value in wrong.items() if abs(value - right) > 1e-6}
        expect_close(
            call(answer, source, target, nodes),
            right,
            1e-6,
            mistakes,
            name="the share",
        )


def _measured_transfer() -> dict[str, str]:
    """The stored measurements of the 6-digit runs of seed 0, in the words of the exercise."""
    words = {}
    for seeds in stored().runs.values():
        record = seeds.get(0)
        if record and record.n_digits == 6 and record.freeze == "nothing":
            summary = transferred(record.retests)
            share = summary.strong / summary.tests
            words[record.arm] = "most" if share >= 2 / 3 else "few" if share <= 1 / 3 else "some"
    return words


@exercise("lab2.4", points=4, title="Predict which tests transfer")
def predicted_transfer(answer):
    expect_function(answer)
    measured = _measured_transfer()
    got = call(answer)
    if not isinstance(got, Mapping) or set(taken(got, len(measured))) != set(measured):
        raise Wrong(f"expected a dictionary with the arms {', '.join(measured)}")
    got, words = {arm: got[arm] for arm in measured}, ("most", "some", "few")
    if odd := [word for word in got.values() if not (isinstance(word, str) and word in words)]:
        raise Wrong(f'expected the words "most", "some" and "few"; got {odd[0]!r}')
    hits = sum(str(got[arm]) == word for arm, word in measured.items())
    if hits < len(measured):
        raise Wrong(
            f"{hits} of {len(measured)} arms came out as you predicted: a prediction may fail, "
            "read on to see how",
            points=hits,
        )
    return "as you predicted"


BORROW_CASES = (("mix-d6", subtraction.MV, 3), ("mix-d3", addition.SC, 1))


@dataclass(frozen=True)
class BorrowCase:
    """What exercise 5 hands out, and the smallest passing sets of heads with their rates."""

    model: Model
    fmt: Format
    task: Any
    digit: int
    name: str
    size: int
    passing: dict[frozenset, float]


@cache
def _borrow_case(name: str, task, digit: int) -> BorrowCase:
    """Measured once, before any answer is asked."""
    model = zoo.load(name, device="cpu").requires_grad_(False)
    fmt = Format(zoo.entry(name).recipe.data["n_digits"])
    size, passing = _smallest(model, fmt, task, digit, 40)
    return BorrowCase(model, fmt, task, digit, f"{task.name}{digit} in {name}", size, passing)


def _smallest(
    model: Model, fmt: Format, task, digit: int, count: int
) -> tuple[int, dict[frozenset, float]]:
    """Size of the smallest passing sets of one or two heads, and their rates."""
    position = task.positions(fmt, digit)[0]
    heads = [
        Node(position, layer, head)
        for layer in range(model.cfg.n_layers)
        for head in range(model.cfg.n_heads)
    ]
    experiment = patching.prepare(model, fmt, task, digit, count)
    for size in (1, 2):
        results = patching.measure(
            model, fmt, experiment, list(combinations(heads, size)), floor=0.9
        )
        passing = {frozenset(r.nodes): r.rate for r in results if r.null_rate >= 0.9}
        if passing:
            return size, passing
    return 0, {}


@exercise("lab2.5", points=4, title="Find the borrow heads")
def borrow_heads(answer):
    expect_function(answer)
    for case in [_borrow_case(*case) for case in BORROW_CASES]:
        got = call(answer, case.model, case.fmt, case.task, case.digit, 40)
        _expect_borrow(_nodes(got), case)


def _nodes(got: object) -> list[Node]:
    """Nodes as the student gave them, their numbers as plain integers."""
    if not isinstance(got, tuple | list) or not all(isinstance(node, Node) for node in got):
        raise Wrong("expected a tuple of nodes")
    numbers = [as_array((node.position, node.layer, node.head), "a node") for node in got]
    if any((of_node != of_node.round()).any() for of_node in numbers):
        raise Wrong("expected nodes with whole numbers: position, layer and head")
    return [Node(*map(int, of_node)) for of_node in numbers]


def _expect_borrow(got: list[Node], case: BorrowCase) -> None:
    position, size, passing = case.task.positions(case.fmt, case.digit)[0], case.size, case.passing
    if any(node.position != position or node.is_mlp for node in got):
        raise Wrong(f"for {case.name}, expected heads at position {position}")
    if len(got) != size:
        likely = (
            "a smaller set passes" if len(got) > size else "did you try all sizes and all layers?"
        )
        raise Wrong(
            f"for {case.name}, a set of {len(got)} heads is not the smallest that passes: {likely}"
        )
    if size and frozenset(got) not in passing:
        raise Wrong(
            f"for {case.name}, these heads do not pass both conditions, and others do: did you try "
            "all layers?"
        )
    if size and not within(max(passing.values()) - passing[frozenset(got)], 1e-9):
        raise Wrong(f"for {case.name}, another set of {size} heads has a higher rate")


@cache
def _damaged() -> Callable[[Questions], bool]:
    """Whether the model without two of its heads answers a question; made once, before any answer
    is asked."""
    model, fmt = zoo.load("mix-d6", device="cpu").requires_grad_(False), Format(6)
    reference = sufficiency.bench(
        model, fmt, per_class=1, reference_per_class=50, operations="+-"
    ).reference
    lost = [Node(fmt.answer_position(3) - 1, 0, 2), Node(fmt.answer_position(3) - 1, 2, 1)]

    def answers(question: Questions) -> bool:
        tokens = question.tokens(fmt)
        said = answer_tokens(ablate(model, tokens, lost, reference), fmt)
        return bool((said == tokens[:, fmt.equals_position + 1 :]).all())

    return answers


@exercise("lab2.6", points=3, title="Break the model with one question")
def breaking_pair(answer):
    expect_function(answer)
    damaged = _damaged()
    got = call(answer)
    if (
        not isinstance(got, tuple | list)
        or len(got) != 2
        or not all(isinstance(text, str) for text in got)
    ):
        raise Wrong('expected two questions as texts, such as ("777777-123456", "777677-123456")')
    try:
        pair = [parse(text, 6) for text in got]
    except LabError as fault:
        raise Wrong(str(fault)) from None
    for text, question in zip(got, pair, strict=True):
        if not question.subtract.all() or question.negative.any():
            raise Wrong(f"{text} is not a subtraction with a positive answer")
    differ = (pair[0].first != pair[1].first) | (pair[0].second != pair[1].second)
    if differ[0].nonzero().flatten().tolist() != [2]:
        raise Wrong(
            "the two questions must differ in column 2, and nowhere else (column 0 is the units)"
        )
    right = [damaged(question) for question in pair]
    if right[0]:
        raise Wrong(f"the damaged model still gets {got[0]} right")
    if not right[1]:
        raise Wrong(
            f"the damaged model gets the second question, {got[1]}, wrong as well", points=1
        )
