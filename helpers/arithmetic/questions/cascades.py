"""Carry and borrow cascades: one small automaton that classifies, counts and samples questions.

A column of a question has a *type*. For addition it is ``low`` (the digits sum to 8 or less),
``nine`` or ``carry`` (10 or more); for subtraction ``less``, ``greater``, ``equal`` or ``blank``
(both digits zero). How hard a question is depends on runs of these types alone: a carry that passes
through columns that sum to nine, a borrow that passes through equal columns. The automaton reads
the column types one by one and keeps the two numbers that matter, the length of the run in progress
and the longest run so far:

- class ``S_m`` (addition, read from the units up): a carry is 1, each nine directly above adds 1,
  ``m`` is the longest such run; ``S0`` has no carry at all. Source: arXiv 2402.02619, complexity
  classes.
- class ``M_m`` / ``N_m`` (subtraction with D >= D' / D < D', read from the top down): ``m - 1``
  equal columns directly above a column with D_k < D'_k. For N, equal columns above the first
  non-zero column do not count.

Three computations run on the same transition table, so they cannot disagree: `classify` (a table
look-up per column), `frequencies` (forward dynamic programming, exact) and `sample_types` (backward
dynamic programming, so that a class with a share of 1e-10 costs no more than a common one).
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
from jaxtyping import Float, Int

State = TypeVar("State", bound=Hashable)


@dataclass(frozen=True)
class Automaton:
    """A table-driven reader of column types.

    Attributes:
        types: Names of the column types.
        pairs: The digit pairs (d, d') of each type, [pair, 2]; together all 100.
        step: The next state, [state, type].
        label: Class index of each state after the last column, [state].
        classes: Names of the classes.
        from_units: Whether columns are read from the units up (addition) or from the top down.
    """

    types: tuple[str, ...]
    pairs: tuple[Int[np.ndarray, "pair 2"], ...]
    step: Int[np.ndarray, "state type"]
    label: Int[np.ndarray, " state"]
    classes: tuple[str, ...]
    from_units: bool

    @property
    def probability(self) -> Float[np.ndarray, " type"]:
        """Share of each column type when both digits are uniform."""
        return np.array([len(p) for p in self.pairs]) / 100.0

    def order(self, n_digits: int) -> range:
        """Digit indices (0 is the units) in the order in which the automaton reads them."""
        return range(n_digits) if self.from_units else range(n_digits - 1, -1, -1)


def _build(
    pairs: dict[str, Int[np.ndarray, "pair 2"]],
    start: State,
    advance: Callable[[State, str], State],
    class_of: Callable[[State], str],
    classes: tuple[str, ...],
    n_digits: int,
    from_units: bool,
) -> Automaton:
    """Number the states reachable from `start` within `n_digits` columns; state 0 is the start."""
    types, index, frontier = tuple(pairs), {start: 0}, [start]
    edges: dict[tuple[int, int], int] = {}
    for _ in range(n_digits):
        reached = []
        for state in frontier:
            for kind in types:
                successor = advance(state, kind)
                if successor not in index:
                    index[successor] = len(index)
                    reached.append(successor)
                edges[index[state], types.index(kind)] = index[successor]
        frontier = reached
    step = np.zeros((len(index), len(types)), dtype=np.int64)  # the last states are never left
    for (state, kind), successor in edges.items():
        step[state, kind] = successor
    label = np.array([classes.index(class_of(state)) for state in index])
    return Automaton(types, tuple(pairs.values()), step, label, classes, from_units)


def _pairs(keep: Callable[[int, int], bool]) -> Int[np.ndarray, "pair 2"]:
    return np.array([(d, e) for d in range(10) for e in range(10) if keep(d, e)])


@cache
def addition(n_digits: int) -> Automaton:
    """The automaton of the addition classes S0 … Sn.

    >>> addition(3).classes
    ('S0', 'S1', 'S2', 'S3')
    """

    def advance(state: tuple[int, int], kind: str) -> tuple[int, int]:
        run, longest = state
        run = 1 if kind == "carry" else run + 1 if kind == "nine" and run else 0
        return run, max(longest, run)

    pairs = {
        "low": _pairs(lambda d, e: d + e < 9),
        "nine": _pairs(lambda d, e: d + e == 9),
        "carry": _pairs(lambda d, e: d + e > 9),
    }
    classes = tuple(f"S{m}" for m in range(n_digits + 1))
    return _build(pairs, (0, 0), advance, lambda s: f"S{s[1]}", classes, n_digits, from_units=True)


@cache
def subtraction(n_digits: int) -> Automaton:
    """The automaton of the subtraction classes M0 … M(n-1) (D >= D') and N1 … Nn (D < D').

    >>> subtraction(2).classes
    ('M0', 'M1', 'N1', 'N2')
    """

    def advance(state: tuple[str, int, int], kind: str) -> tuple[str, int, int]:
        # The sign of the first difference, equal columns directly above, the longest run so far.
        sign, equal, longest = state
        if kind == "less":
            return sign or "N", 0, max(longest, equal + 1)
        if kind == "greater":
            return sign or "M", 0, longest
        leading = kind == "blank" and not sign and not equal
        return sign, 0 if leading else equal + 1, longest

    def class_of(state: tuple[str, int, int]) -> str:
        sign, _, longest = state
        return f"{sign or 'M'}{longest}"

    pairs = {
        "less": _pairs(lambda d, e: d < e),
        "greater": _pairs(lambda d, e: d > e),
        "equal": _pairs(lambda d, e: d == e > 0),
        "blank": _pairs(lambda d, e: d == e == 0),
    }
    classes = [f"M{m}" for m in range(n_digits)] + [f"N{m}" for m in range(1, n_digits + 1)]
    start = ("", 0, 0)
    return _build(pairs, start, advance, class_of, tuple(classes), n_digits, from_units=False)


def automaton_of(n_digits: int, subtract: bool) -> Automaton:
    """The automaton that classifies additions, or subtractions."""
    return subtraction(n_digits) if subtract else addition(n_digits)


def column_types(
    automaton: Automaton,
    first: Int[np.ndarray, "question digit"],
    second: Int[np.ndarray, "question digit"],
) -> Int[np.ndarray, "question digit"]:
    """Type index of every column, [question, digit]."""
    table = np.empty((10, 10), dtype=np.int64)
    for kind, pairs in enumerate(automaton.pairs):
        table[pairs[:, 0], pairs[:, 1]] = kind
    return table[first, second]


def classify(
    automaton: Automaton,
    first: Int[np.ndarray, "question digit"],
    second: Int[np.ndarray, "question digit"],
) -> Int[np.ndarray, " question"]:
    """Class index of every question (name it with ``automaton.classes``).

    Args:
        first, second: Digits of the operands; digit 0 is the units.

    >>> digits = np.array([[1, 1, 2]]), np.array([[9, 8, 3]])  # 211 + 389: a carry, then a nine
    >>> addition(3).classes[classify(addition(3), *digits)[0]]
    'S2'
    """
    types = column_types(automaton, first, second)
    state = np.zeros(len(types), dtype=np.int64)
    for digit in automaton.order(types.shape[1]):
        state = automaton.step[state, types[:, digit]]
    return automaton.label[state]


def frequencies(automaton: Automaton, n_digits: int) -> dict[str, float]:
    """Exact share of each class among uniformly drawn questions of `n_digits` digits.

    >>> round(frequencies(addition(6), 6)["S6"], 9)
    4.5e-06
    """
    mass = np.zeros(len(automaton.label))
    mass[0] = 1.0
    for _ in range(n_digits):
        spread = np.zeros_like(mass)
        np.add.at(spread, automaton.step, mass[:, None] * automaton.probability)
        mass = spread
    return {
        name: float(mass[automaton.label == i].sum()) for i, name in enumerate(automaton.classes)
    }


def sample_types(
    automaton: Automaton,
    n_digits: int,
    targets: Int[np.ndarray, " question"],
    rng: np.random.Generator,
) -> Int[np.ndarray, "question digit"]:
    """Draw column types uniformly among all questions of the wanted class.

    Args:
        targets: Wanted class index of each question.
    """
    shape = n_digits + 1, len(automaton.label), len(automaton.classes)
    ahead = np.zeros(shape)  # P(class | state, columns left)
    ahead[0, np.arange(len(automaton.label)), automaton.label] = 1.0
    for left in range(1, n_digits + 1):
        ahead[left] = np.einsum("t,stc->sc", automaton.probability, ahead[left - 1][automaton.step])
    types = np.empty((len(targets), n_digits), dtype=np.int64)
    state = np.zeros(len(targets), dtype=np.int64)
    for read, digit in enumerate(automaton.order(n_digits)):
        left = ahead[n_digits - read - 1]
        reachable = left[automaton.step[state], targets[:, None]]  # [question, type]
        weight = np.cumsum(automaton.probability * reachable, axis=1)
        draw = rng.random(len(targets)) * weight[:, -1]
        types[:, digit] = (draw[:, None] >= weight[:, :-1]).sum(axis=1)
        state = automaton.step[state, types[:, digit]]
    return types


def sample_digits(
    automaton: Automaton, types: Int[np.ndarray, "question digit"], rng: np.random.Generator
) -> tuple[Int[np.ndarray, "question digit"], Int[np.ndarray, "question digit"]]:
    """Fill typed columns with digit pairs, uniformly among the pairs of each type."""
    digits = np.empty((*types.shape, 2), dtype=np.int64)
    for kind, pairs in enumerate(automaton.pairs):
        where = types == kind
        digits[where] = pairs[rng.integers(len(pairs), size=int(where.sum()))]
    return digits[..., 0], digits[..., 1]
