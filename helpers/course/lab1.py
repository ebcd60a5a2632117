"""Checks of Lab 1, verified addition."""

import numpy as np
import torch

from helpers.arithmetic import cascades
from helpers.course.check import (
    Wrong,
    call,
    exercise,
    expect_close,
    expect_function,
    expect_number,
    expect_shape,
    expect_type,
)
from helpers.interventions import Node


def _text(first: list[int], second: list[int]) -> str:
    return f"{''.join(map(str, reversed(first)))} + {''.join(map(str, reversed(second)))}"


def _cases(n_digits: int, count: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """Digit lists, units first: hard and easy additions mixed."""
    rng = np.random.default_rng(seed)
    automaton = cascades.addition(n_digits)
    targets = rng.integers(len(automaton.classes), size=count)
    digits = cascades.sample_digits(automaton, cascades.sample_types(automaton, n_digits, targets, rng), rng)
    return list(zip(*(side.tolist() for side in digits), strict=True))


@exercise("lab1.1", points=2, title="The cascade class")
def cascade_class(answer):
    expect_function(answer)
    for first, second in [([5, 4, 4], [5, 5, 5]), *_cases(6, 200, seed=1)]:
        automaton = cascades.addition(len(first))
        right = int(cascades.classify(automaton, np.array([first]), np.array([second]))[0])
        got = call(answer, first, second)
        expect_type(got, int, np.integer, name="the class")
        if got == right:
            continue
        backwards = int(cascades.classify(automaton, np.array([first[::-1]]), np.array([second[::-1]]))[0])
        sums = [d + e for d, e in zip(first, second, strict=True)]
        likely = ""
        if got == sum(total >= 10 for total in sums):
            likely = ": did you count the columns that carry? The class is the length of one run"
        elif got == backwards:
            likely = ": do you read the digits from the top? Index 0 is the units"
        elif got == right - 1:
            likely = ": the column that makes the carry belongs to the run"
        raise Wrong(f"for {_text(first, second)} the class is not {got}{likely}")


@exercise("lab1.2", points=2, title="What zero failures tell you")
def upper_bound(answer):
    expect_function(answer)
    for trials, alpha in ((100, 0.05), (1000, 0.05), (50, 0.01), (1, 0.05)):
        got = call(answer, trials, alpha)
        expect_number(got, "the bound")
        mistakes = {
            "this is the rule of three, 3/N: close, but the exercise asks for the exact rate": 3 / trials,
            "did you forget to take it from one?": alpha ** (1 / trials),
            "is that the two-sided bound? Here all of alpha is on one side": 1 - (alpha / 2) ** (1 / trials),
            "did you use 1 - alpha where alpha belongs?": 1 - (1 - alpha) ** (1 / trials),
        }
        expect_close(got, 1 - alpha ** (1 / trials), 1e-9, mistakes, name=f"the bound for {trials} questions")
    return "at N = 1 000 000 this is about 3e-6"


def _lookback(first: list[int], second: list[int], far: bool = False) -> list[int]:
    sums = [d + e for d, e in zip(first, second, strict=True)]
    carries = [0]
    for k, total in enumerate(sums):
        back = (carries[-1] == 1) if far else (k > 0 and sums[k - 1] >= 10)
        carries.append(int(total >= 10 or (total == 9 and back)))
    return [(total + carry) % 10 for total, carry in zip([*sums, 0], carries, strict=True)]


@exercise("lab1.3", points=3, title="The one-column look-back rule")
def lookback_rule(answer):
    expect_function(answer)
    for first, second in [([8, 7, 7], [2, 2, 2]), *_cases(5, 200, seed=3)]:
        got = call(answer, first, second)
        expect_shape(got, (len(first) + 1,), axes="answer digit", name="the answer")
        right, exact = _lookback(first, second), _lookback(first, second, far=True)
        mistakes = {}
        if exact != right:
            mistakes["this is the right sum: the rule must get this one wrong, it looks back one column only"] = exact
        if right[::-1] != right:
            mistakes["are the digits in reading order? Index 0 is the units"] = right[::-1]
        no_nines = [(a + b + c) % 10 for a, b, c in zip([*first, 0], [*second, 0], [0, *_carry_bits(first, second)], strict=True)]
        if no_nines != right:
            mistakes["a carry passes through one column that sums to nine"] = no_nines
        expect_close(got, right, 1e-9, mistakes, name=f"the rule's answer to {_text(first, second)}")


def _carry_bits(first: list[int], second: list[int]) -> list[int]:
    return [int(d + e >= 10) for d, e in zip(first, second, strict=True)]


@exercise("lab1.4", points=3, title="TriAdd and the fold")
def carries_out(answer):
    expect_function(answer)
    rng = np.random.default_rng(4)
    for _ in range(100):
        states = [str(rng.choice(["0", "1"])), *rng.choice(["0", "U", "1"], size=5).tolist()]
        got = call(answer, list(states))
        expect_type(got, list, tuple, name="the carries")
        if len(got) != len(states):
            raise Wrong(f"expected one carry for each of the {len(states)} columns; got {len(got)}")
        if "U" in [str(value) for value in got]:
            raise Wrong(f"a U is left in {list(got)}: the column below decides, and the units are never undecided")
        right: list[str] = []
        for state in states:
            right.append(right[-1] if state == "U" else state)
        if [str(value) for value in got] != right:
            downwards: list[str] = []
            for state in reversed(states):
                downwards.append(downwards[-1] if state == "U" and downwards else state)
            hint = ": do you fold from the top down?" if [str(v) for v in got] == downwards[::-1] else ""
            raise Wrong(f"for the tri-states {states} (units first) the carries are not {list(got)}{hint}")


@exercise("lab1.5", points=3, title="Predict the patched answer")
def predict_base_add_patch(answer):
    expect_function(answer)
    rng = np.random.default_rng(5)
    for first, second in _cases(5, 60, seed=5):
        k = int(rng.integers(5))
        stored_first, stored_second = list(first), list(second)
        stored_first[k], stored_second[k] = (int(digit) for digit in rng.integers(10, size=2))
        stored = _sum_digits(stored_first, stored_second)
        right = _sum_digits(first, second)
        clean = list(right)
        change = stored_first[k] + stored_second[k] - first[k] - second[k]
        right[k] = (right[k] + change) % 10
        without_carry = list(clean)
        without_carry[k] = (stored_first[k] + stored_second[k]) % 10
        got = call(answer, list(stored_first), list(stored_second), list(first), list(second), k)
        expect_shape(got, (6,), axes="answer digit", name="the answer")
        wrong = {
            "this is the stored question's answer: its carries do not come along": stored,
            "this is the clean answer, unchanged": clean,
            "did you forget the clean question's carry into column k?": without_carry,
            "are the digits in reading order? Index 0 is the units": right[::-1],
        }
        mistakes = {text: value for text, value in wrong.items() if value != right}
        expect_close(got, right, 1e-9, mistakes, name=f"the answer after patching SA{k}")


def _sum_digits(first: list[int], second: list[int]) -> list[int]:
    total = sum((d + e) * 10**i for i, (d, e) in enumerate(zip(first, second, strict=True)))
    return [total // 10**i % 10 for i in range(len(first) + 1)]


@exercise("lab1.6", points=2, title="Toggle the carry from below")
def toggled_pair(answer):
    expect_function(answer)
    for n_digits, k in ((5, 1), (5, 3), (6, 5), (3, 2)):
        got = call(answer, n_digits, k)
        expect_shape(got, (2, 2, n_digits), axes="question operand digit", name="the pair")
        digits = np.array(got, dtype=float)
        if ((digits < 0) | (digits > 9) | (digits != digits.round())).any():
            raise Wrong("expected digits from 0 to 9")
        digits = digits.astype(int)
        sums = digits.sum(1)
        carries = [_carries(row) for row in sums]
        if (sums[:, k] != 9).any():
            raise Wrong(f"column {k} must sum to nine in both questions; it sums to {sums[0, k]} and {sums[1, k]}")
        if (digits[0, :, k + 1 :] != digits[1, :, k + 1 :]).any():
            raise Wrong(f"the columns above {k} must be the same in both questions")
        if carries[0][k] == carries[1][k]:
            raise Wrong(f"the carry into column {k} is the same in both questions: change a column below it")


def _carries(sums: np.ndarray) -> list[int]:
    """Carry into every column, and out of the last."""
    carry, into = 0, [0]
    for total in sums:
        carry = int(total + carry >= 10)
        into.append(carry)
    return into


@exercise("lab1.7", points=3, title="Sink the picture with a control")
def permutation_p_value(answer):
    expect_function(answer)
    points, labels = np.array([0.0, 0.1, 0.2, 1.0, 1.1, 1.2, 1.3]), np.array([0, 0, 0, 1, 1, 1, 1])

    def score(some_points, some_labels):
        return abs(np.mean(some_points[some_labels == 1]) - np.mean(some_points[some_labels == 0]))

    got = call(answer, points, labels, score, 400, np.random.default_rng(7))
    expect_number(got, "the p-value")
    value = float(got)
    if not 0 <= value <= 1:
        raise Wrong(f"a p-value lies between 0 and 1; got {value:g}")
    if value > 0.5:
        raise Wrong("for two clearly separated groups p is small: do you count the permutations that score *lower*?")
    if (
        value == 0
        or float(call(answer, points, labels, lambda p, c: float((c == labels).all()), 3, np.random.default_rng(0))) == 0
    ):
        raise Wrong("p must not be zero: add one above and below, for the labels as they are")
    constant = float(call(answer, points, labels, lambda p, c: 1.0, 50, np.random.default_rng(0)))
    if abs(constant - 1) > 1e-9:
        raise Wrong("where every permutation scores the same, p is 1: count scores that are *at least* as high")
    counted = float(call(answer, points, labels, lambda p, c: float((c == labels).all()), 9, np.random.default_rng(1)))
    if not any(abs(counted - (1 + hits) / 10) < 1e-9 for hits in range(10)):
        raise Wrong("with 9 permutations p is a multiple of 1/10: add one above *and* below")
    if abs(value - 2 / 35) > 0.06:
        raise Wrong("p is not right: do you permute the labels, all of them, and anew each time?")


class _KnownBench:
    """A bench whose answers follow a rule: each of three answer tokens needs one particular node."""

    nodes = tuple(Node(position, 0, head) for position in range(3) for head in range(2))
    needs = (Node(0, 0, 0), Node(1, 0, 1), Node(2, 0, 0))

    def right(self, ablated, mode="mean", seed=0):
        """Right tokens, [question, answer]: of ten questions, the first three do without the last token's node."""
        ablated = set(ablated)
        right = torch.ones(10, 3, dtype=torch.bool)
        for token, node in enumerate(self.needs):
            if node in ablated:
                right[3 if token == 2 and mode == "mean" else 0 :, token] = False
        return right


@exercise("lab1.8", points=3, title="Sufficiency by hand")
def sufficiency_of(answer):
    expect_function(answer)
    bench = _KnownBench()
    for keep, mode in (
        (bench.needs, "mean"),
        (bench.needs[:2], "mean"),
        (bench.needs[:2], "resample"),
        (bench.needs[1:], "mean"),
    ):
        got = call(answer, bench, list(keep), mode)
        expect_number(got, "the sufficiency")
        outside = [node for node in bench.nodes if node not in set(keep)]
        right = bench.right(outside, mode)
        wrong = {
            "did you ablate the map itself? Ablate what lies outside it": bench.right(keep, mode).all(1).float().mean(),
            "is that the share of right tokens? An answer counts only if all its tokens are right": right.float().mean(),
            "did you forget to pass the mode on?": bench.right(outside, "mean").all(1).float().mean(),
            "is that a count? The exercise asks for a share": right.all(1).sum(),
        }
        truth = float(right.all(1).float().mean())
        mistakes = {text: float(value) for text, value in wrong.items() if abs(float(value) - truth) > 1e-6}
        expect_close(got, truth, 1e-6, mistakes, name="the sufficiency")


@exercise("lab1.9", points=2, title="Matched random sets")
def matched_random_set(answer):
    expect_function(answer)
    nodes = [Node(position, layer, head) for position in range(6) for layer in range(2) for head in (-1, 0, 1)]
    kept = [Node(1, 0, 0), Node(1, 1), Node(1, 1, 1), Node(4, 0), *[Node(5, 0, h) for h in (-1, 0, 1)]]
    draws = [list(call(answer, list(nodes), list(kept), np.random.default_rng(seed))) for seed in range(30)]
    for drawn in draws:
        if not all(isinstance(node, Node) for node in drawn):
            raise Wrong("expected a list of nodes")
        if len(set(drawn)) != len(drawn):
            raise Wrong("a node is drawn twice: draw without replacement")
        counts = [[sum(node.position == position for node in some) for position in range(6)] for some in (drawn, kept)]
        if counts[0] != counts[1]:
            where = next(position for position in range(6) if counts[0][position] != counts[1][position])
            raise Wrong(f"at position {where} the map has {counts[1][where]} nodes, your set has {counts[0][where]}")
    if all(sorted(drawn) == sorted(draws[0]) for drawn in draws):
        raise Wrong("30 generators gave the same set: draw with the generator that you are given")
    seen = {node for drawn in draws for node in drawn}
    possible = {node for node in nodes if node.position in (1, 4, 5)}
    if seen != possible:
        raise Wrong("some nodes are never drawn: the pool at a position is *all* its nodes, heads and MLPs of both layers")
