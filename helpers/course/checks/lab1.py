"""Checks of Lab 1, verified addition."""

from collections.abc import Iterable
from itertools import permutations

import numpy as np
import torch

from helpers.arithmetic.questions import cascades
from helpers.course.asking import call, taken
from helpers.course.check import exercise
from helpers.course.expect import expect_close, expect_function, expect_number, expect_shape
from helpers.course.values import as_array
from helpers.course.wrong import Wrong
from helpers.inputs import within
from helpers.interventions import Node


def _text(first: list[int], second: list[int]) -> str:
    return f"{''.join(map(str, reversed(first)))} + {''.join(map(str, reversed(second)))}"


def _cases(n_digits: int, count: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """Digit lists, units first: hard and easy additions mixed."""
    rng = np.random.default_rng(seed)
    automaton = cascades.addition(n_digits)
    targets = rng.integers(len(automaton.classes), size=count)
    digits = cascades.sample_digits(
        automaton, cascades.sample_types(automaton, n_digits, targets, rng), rng
    )
    return list(zip(*(side.tolist() for side in digits), strict=True))


def _number(got: object, name: str) -> float:
    """The number that a number, an array or a tensor with one element holds."""
    expect_number(got, name)
    return float(as_array(got, name).reshape(()))


def _carries(sums: Iterable[int], nines: int) -> list[int]:
    """Carry into each column and out of the last, if it passes through at most `nines` nines."""
    carries, run = [0], 0
    for total in sums:
        run = run + 1 if total == 9 else 0
        carries.append(int(total >= 10 or (0 < run <= nines and carries[-1] == 1)))
    return carries


def _answer(first: list[int], second: list[int], nines: int) -> list[int]:
    """Answer digits, units first, where a carry passes through at most `nines` columns of nine."""
    sums = [d + e for d, e in zip(first, second, strict=True)]
    return [
        (total + carry) % 10 for total, carry in zip([*sums, 0], _carries(sums, nines), strict=True)
    ]


def _class(first: list[int], second: list[int]) -> int:
    automaton = cascades.addition(len(first))
    return int(cascades.classify(automaton, np.array([first]), np.array([second]))[0])


@exercise("lab1.1", points=2, title="The cascade class")
def cascade_class(answer):
    expect_function(answer)
    cases = [([5, 4, 4], [5, 5, 5]), *_cases(6, 200, seed=1)]
    rights = [_class(*case) for case in cases]
    for (first, second), right in zip(cases, rights, strict=True):
        got = _number(call(answer, first, second), "the class")
        if got != round(got):
            raise Wrong(f"the class counts columns: expected a whole number; got {got:g}")
        if got == right:
            continue
        sums = [d + e for d, e in zip(first, second, strict=True)]
        likely = ""
        if got == sum(total >= 10 for total in sums):
            likely = ": did you count the columns that carry? The class is the length of one run"
        elif got == _class(first[::-1], second[::-1]):
            likely = ": do you read the digits from the top? Index 0 is the units"
        elif got == right - 1:
            likely = ": the column that makes the carry belongs to the run"
        raise Wrong(f"for {_text(first, second)} the class is not {got:g}{likely}")


@exercise("lab1.2", points=2, title="What zero failures tell you")
def upper_bound(answer):
    expect_function(answer)
    for trials, alpha in ((100, 0.05), (200, 0.05), (50, 0.01), (1, 0.05)):
        right = 1 - alpha ** (1 / trials)
        tolerance = (
            1e-5 * right
        )  # lets single precision pass; the rule of three is off by 1e-3 of the bound or more
        mistakes = {
            "this is the rule of three, 3/N: close, but the exercise asks for the exact rate": 3
            / trials,
            "did you forget to take it from one?": alpha ** (1 / trials),
            "is that the two-sided bound? Here all of alpha is on one side": 1
            - (alpha / 2) ** (1 / trials),
            "did you use 1 - alpha where alpha belongs?": 1 - (1 - alpha) ** (1 / trials),
        }
        got = _number(call(answer, trials, alpha), "the bound")
        expect_close(got, right, tolerance, mistakes, name=f"the bound for {trials} questions")
    return "at N = 1 000 000 this is about 3e-6"


@exercise("lab1.3", points=3, title="The one-column look-back rule")
def lookback_rule(answer):
    expect_function(answer)
    for first, second in [([8, 7, 7], [2, 2, 2]), *_cases(5, 200, seed=3)]:
        no_nines, right, exact = (_answer(first, second, nines) for nines in (0, 1, len(first)))
        mistakes = {}
        if exact != right:
            mistakes[
                "this is the right sum: the rule must get this one wrong, it looks back one column "
                "only"
            ] = exact
        if right[::-1] != right:
            mistakes["are the digits in reading order? Index 0 is the units"] = right[::-1]
        if no_nines != right:
            mistakes["a carry passes through one column that sums to nine"] = no_nines
        got = call(answer, first, second)
        expect_shape(got, (len(first) + 1,), axes="answer digit", name="the answer")
        expect_close(
            got, right, 1e-9, mistakes, name=f"the rule's answer to {_text(first, second)}"
        )


def _state(value: object) -> str:
    """A carry as text, be it text, a truth value or a number."""
    if isinstance(value, str):
        return str(value)
    number = as_array(value, "a carry", truth=True)
    expect_number(number, "a carry")
    return f"{number.item():g}"


@exercise("lab1.4", points=3, title="TriAdd and the fold")
def carries_out(answer):
    expect_function(answer)
    rng = np.random.default_rng(4)
    for _ in range(100):
        states = [
            str(rng.choice(["0", "1"])),
            *rng.choice(["0", "U", "1"], size=rng.integers(8)).tolist(),
        ]
        right: list[str] = []
        for state in states:
            right.append(right[-1] if state == "U" else state)
        got = call(answer, states)
        if isinstance(got, str) or not isinstance(got, Iterable):
            raise Wrong(f"expected a list with one carry for each column; got {type(got).__name__}")
        got = [_state(value) for value in taken(got, len(states))]
        if len(got) > len(states):
            raise Wrong(f"expected one carry for each of the {len(states)} columns; got more")
        if len(got) != len(states):
            raise Wrong(f"expected one carry for each of the {len(states)} columns; got {len(got)}")
        if "U" in got:
            raise Wrong(
                f"a U is left in {got}: the column below decides, and the units are never undecided"
            )
        if got != right:
            downwards: list[str] = []
            for state in reversed(states):
                downwards.append(downwards[-1] if state == "U" and downwards else state)
            hint = ": do you fold from the top down?" if got == downwards[::-1] else ""
            raise Wrong(
                f"for the tri-states {states} (units first) the carries are not {got}{hint}"
            )


@exercise("lab1.5", points=3, title="Predict the patched answer")
def predict_base_add_patch(answer):
    expect_function(answer)
    rng = np.random.default_rng(5)
    for first, second in _cases(5, 60, seed=5):
        k = int(rng.integers(5))
        stored_first, stored_second = list(first), list(second)
        stored_first[k], stored_second[k] = (int(digit) for digit in rng.integers(10, size=2))
        stored, clean = (
            _answer(stored_first, stored_second, nines=5),
            _answer(first, second, nines=5),
        )
        right, without_carry = list(clean), list(clean)
        without_carry[k] = (stored_first[k] + stored_second[k]) % 10
        right[k] = (without_carry[k] + clean[k] - first[k] - second[k]) % 10
        wrong = {
            "this is the stored question's answer: its carries do not come along": stored,
            "this is the clean answer, unchanged": clean,
            "did you forget the clean question's carry into column k?": without_carry,
            "are the digits in reading order? Index 0 is the units": right[::-1],
        }
        mistakes = {text: value for text, value in wrong.items() if value != right}
        got = call(answer, stored_first, stored_second, first, second, k)
        expect_shape(got, (6,), axes="answer digit", name="the answer")
        expect_close(got, right, 1e-9, mistakes, name=f"the answer after patching SA{k}")


@exercise("lab1.6", points=2, title="Toggle the carry from below")
def toggled_pair(answer):
    expect_function(answer)
    for n_digits, k in ((5, 1), (5, 3), (6, 5), (3, 2)):
        got = call(answer, n_digits, k)
        expect_shape(got, (2, 2, n_digits), axes="question operand digit", name="the pair")
        digits = as_array(got)
        if ((digits < 0) | (digits > 9) | (digits != digits.round())).any():
            raise Wrong("expected digits from 0 to 9")
        digits = digits.astype(int)
        sums = digits.sum(1)
        carries = [_carries(row, nines=n_digits) for row in sums]
        if (sums[:, k] != 9).any():
            raise Wrong(
                f"column {k} must sum to nine in both questions; it sums to {sums[0, k]} and "
                f"{sums[1, k]}"
            )
        if (digits[0, :, k + 1 :] != digits[1, :, k + 1 :]).any():
            raise Wrong(f"the columns above {k} must be the same in both questions")
        if carries[0][k] == carries[1][k]:
            raise Wrong(
                f"the carry into column {k} is the same in both questions: change a column below it"
            )


# Multiples of 1/8: their sums are exact in any order, so that permuted points score the same as
# permuted labels.
_POINTS, _LABELS = np.array([0, 1, 2, 8, 9, 10, 11]) / 8, np.array([0, 0, 0, 1, 1, 1, 1])


def _gap(points, labels) -> float:
    return abs(np.mean(points[labels == 1]) - np.mean(points[labels == 0]))


def _labeling(points: object, labels: object) -> tuple[float, ...]:
    """Labels in the order of the points; refuses anything but the given ones, each once."""
    points, labels = as_array(points, "the points"), as_array(labels, "the labels")
    if sorted(points.ravel()) != sorted(_POINTS):
        raise Wrong("the first argument of the score is not the points, all of them")
    if sorted(labels.ravel()) != sorted(_LABELS):
        raise Wrong(
            "you score labels that are not the given ones in another order: permute them, do not "
            "draw new ones"
        )
    return tuple(labels.ravel()[np.argsort(points.ravel())])


def _expect_permuted(seen: set) -> None:
    if not seen:
        raise Wrong(
            "the score is never called: compare the labels as they are with their permutations"
        )
    if len(seen) == 1:
        raise Wrong(
            "every point keeps its label: permute the labels alone, not the points with them"
        )
    if len(seen) < 10:
        raise Wrong(
            f"2000 permutations gave {len(seen)} labelings: permute anew each time, with the "
            "generator you are given"
        )


def _exact_p_value() -> float:
    """Over all 35 labelings. Only the given one scores so high, so p is 1/35."""
    scores = [_gap(_POINTS, np.array(labels)) for labels in set(permutations(_LABELS.tolist()))]
    return float(np.mean(np.array(scores) >= _gap(_POINTS, _LABELS)))


@exercise("lab1.7", points=3, title="Sink the picture with a control")
def permutation_p_value(answer):
    expect_function(answer)
    exact = _exact_p_value()

    def p_value(score, count, seed):
        got = call(answer, _POINTS, _LABELS, score, count, np.random.default_rng(seed))
        return _number(got, "the p-value")

    seen = set()

    def recording(points, labels):
        seen.add(_labeling(points, labels))
        return _gap(as_array(points), as_array(labels))

    def unchanged(points, labels):
        return float(_labeling(points, labels) == tuple(_LABELS))

    value = p_value(recording, 2000, seed=7)
    if not 0 <= value <= 1:
        raise Wrong(f"a p-value lies between 0 and 1; got {value:g}")
    _expect_permuted(seen)
    if not value <= 0.5:
        raise Wrong(
            "for two clearly separated groups p is small: do you count the permutations that score "
            "*lower*?"
        )
    if value == 0 or p_value(unchanged, 3, seed=0) == 0:
        raise Wrong("p must not be zero: add one above and below, for the labels as they are")
    if not within(abs(p_value(lambda points, labels: 1.0, 50, seed=0) - 1), 1e-9):
        raise Wrong(
            "where every permutation scores the same, p is 1: count scores that are *at least* as "
            "high"
        )
    counted = p_value(unchanged, 9, seed=1)
    if not any(abs(counted - (1 + hits) / 10) < 1e-6 for hits in range(10)):
        raise Wrong("with 9 permutations p is a multiple of 1/10: add one above *and* below")
    if not within(abs(value - exact), 0.015):  # four standard errors of 2000 permutations
        raise Wrong(
            "p is not right: do you permute the labels, all of them, and count every permutation "
            "once?"
        )


class _KnownBench:
    """A bench with a rule: each of three answer tokens needs one particular node."""

    questions = range(10)
    needs = (Node(0, 0, 0), Node(1, 0, 1), Node(2, 0, 0))

    def __init__(self):
        self.nodes = [Node(position, 0, head) for position in range(3) for head in range(2)]

    def right(self, ablated, ablation="mean", seed=0):
        """Right tokens, [question, answer].

        The first three of the ten questions do without the last token's node.
        """
        ablated = set(ablated)
        right = torch.ones(10, 3, dtype=torch.bool)
        for token, node in enumerate(self.needs):
            if node in ablated:
                right[3 if token == 2 and ablation == "mean" else 0 :, token] = False
        return right

    def kept(self, keep, ablation="mean", seed=0):
        keep = set(keep)
        return self.right([node for node in self.nodes if node not in keep], ablation, seed)

    def share_right(self, ablated, ablation="mean"):
        return float(self.right(ablated, ablation).all(1).double().mean())


@exercise("lab1.8", points=3, title="Sufficiency by hand")
def sufficiency_of(answer):
    expect_function(answer)

    def share(right) -> float:
        return float(right.all(1).float().mean())

    bench = _KnownBench()
    for keep, ablation in (
        (bench.needs, "mean"),
        (bench.needs[:2], "mean"),
        (bench.needs[:2], "resample"),
        (bench.needs[1:], "mean"),
    ):
        right = bench.kept(keep, ablation)
        truth = share(right)
        inside = "did you ablate the map itself? Ablate what lies outside it"
        tokens = (
            "is that the share of right tokens? An answer counts only if all its tokens are right"
        )
        wrong = {
            inside: share(bench.right(keep, ablation)),
            tokens: float(right.float().mean()),
            "did you forget to pass the ablation on?": share(bench.kept(keep, "mean")),
            "is that a count? The exercise asks for a share": float(right.all(1).sum()),
        }
        mistakes = {text: value for text, value in wrong.items() if abs(value - truth) > 1e-6}
        got = _number(call(answer, bench, list(keep), ablation), "the sufficiency")
        expect_close(got, truth, 1e-6, mistakes, name="the sufficiency")


@exercise("lab1.9", points=2, title="Matched random sets")
def matched_random_set(answer):
    expect_function(answer)
    nodes = [
        Node(position, layer, head)
        for position in range(6)
        for layer in range(2)
        for head in (-1, 0, 1)
    ]
    kept = [
        Node(1, 0, 0),
        Node(1, 1),
        Node(1, 1, 1),
        Node(4, 0),
        *[Node(5, 0, h) for h in (-1, 0, 1)],
    ]
    draws = [
        taken(call(answer, nodes, kept, np.random.default_rng(seed)), len(nodes))
        for seed in range(200)
    ]
    for drawn in draws:
        if not all(isinstance(node, Node) for node in drawn):
            raise Wrong("expected a list of nodes")
        if len(set(drawn)) != len(drawn):
            raise Wrong("a node is drawn twice: draw without replacement")
        counts = [
            [sum(node.position == position for node in some) for position in range(6)]
            for some in (drawn, kept)
        ]
        if counts[0] != counts[1]:
            where = next(
                position for position in range(6) if counts[0][position] != counts[1][position]
            )
            raise Wrong(
                f"at position {where} the map has {counts[1][where]} nodes, your set has "
                f"{counts[0][where]}"
            )
    if all(sorted(drawn) == sorted(draws[0]) for drawn in draws):
        raise Wrong("200 generators gave the same set: draw with the generator that you are given")
    seen = {node for drawn in draws for node in drawn}
    possible = {node for node in nodes if node.position in (1, 4, 5)}
    if seen != possible:
        raise Wrong(
            "some nodes are never drawn: the pool at a position is *all* its nodes, heads and MLPs "
            "of both layers"
        )
