"""Addition and subtraction as the paper's sub-tasks: functions of one column, and folds of columns.

Every function takes the digits of D and D', [question, digit] with the units first, and answers for
all columns at once. Composed, they are exact integer arithmetic (`answer`). Names and definitions:
arXiv 2402.02619, sections on addition and subtraction sub-tasks and their appendix, with four
corrections that exact arithmetic demands:

- ``ST_0`` is 1 when the units sum to ten or more (the paper's equation puts n = 0 into the 0-case
  and loses this carry); it is 0 when they sum to nine, because nothing below can decide.
- ``ND`` and ``NB`` take D' - D (the appendix repeats the definitions of MD and MB).
- A tie at the units gives no borrow.
- ``TriAdd(U, 0)`` is 0 (one version of the appendix says U).

=============  =====================================================================
S (D + D')     A_0 = SA_0,  A_k = (SA_k + SV_(k-1)) mod 10,  A_n = SV_(n-1)
M (D >= D')    A_0 = MD_0,  A_k = (MD_k - MV_(k-1)) mod 10,  A_n = 0,  sign +
N (D < D')     A_0 = ND_0,  A_k = (ND_k - NV_(k-1)) mod 10,  A_n = 0,  sign -
=============  =====================================================================
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from helpers.arithmetic.questions.batch import Questions

U = 2
"""The third value of ST: undecided. The column sums to nine, so its carry is the one from below."""

Digits = Int[Tensor, "question digit"]
Column = Int[Tensor, " question"]


def sa(first: Digits, second: Digits) -> Digits:
    """Base add: the column's sum without any carry, ``(D + D') mod 10``."""
    return (first + second) % 10


def sc(first: Digits, second: Digits) -> Digits:
    """Make carry: 1 where the column alone sums to ten or more."""
    return (first + second >= 10).long()


def ss(first: Digits, second: Digits) -> Digits:
    """Sum nine: 1 where a carry from below would pass through."""
    return (first + second == 9).long()


def st(first: Digits, second: Digits) -> Digits:
    """Tri-case: 0 (no carry), `U` (sum nine) or 1 (carry). The units are never undecided.

    >>> st(torch.tensor([[9, 9, 5]]), torch.tensor([[0, 0, 5]])).tolist()  # 599 + 500
    [[0, 2, 1]]
    """
    case = torch.where(first + second == 9, U, sc(first, second))
    case[:, 0] = sc(first, second)[:, 0]
    return case


def tri_add(high: Column, low: Column) -> Column:
    """Fold two neighbouring tri-cases into one: the higher decides unless it is `U`. Associative.

    >>> tri_add(torch.tensor([0, U, U, 1]), torch.tensor([1, 0, 1, 0])).tolist()
    [0, 0, 1, 1]
    """
    return torch.where(high == U, low, high)


def sv(first: Digits, second: Digits) -> Digits:
    """Cascaded carry out of every column: ``TriAdd(… TriAdd(ST_k, ST_(k-1)) …, ST_0)``, 0 or 1.

    >>> sv(torch.tensor([[8, 7, 7]]), torch.tensor([[2, 2, 2]])).tolist()  # a carry and two nines
    [[1, 1, 1]]
    """
    return fold(tri_add, st(first, second))


def md(first: Digits, second: Digits) -> Digits:
    """Base difference: ``(D - D') mod 10``."""
    return (first - second) % 10


def mb(first: Digits, second: Digits) -> Digits:
    """Make borrow: 1 where ``D < D'`` in this column."""
    return (first < second).long()


def mz(first: Digits, second: Digits) -> Digits:
    """Difference zero: 1 where a borrow from below would pass through."""
    return (first == second).long()


def mt(first: Digits, second: Digits) -> Digits:
    """Tri-case of a difference: the sign of ``D - D'``: 1, 0 (undecided) or -1 (borrow)."""
    return torch.sign(first - second)


def tri_subtract(high: Column, low: Column) -> Column:
    """Fold two signs into 1 (no borrow) or -1 (borrow): the higher decides unless it is 0.

    A zero over a zero counts as 1, so a tie all the way down gives no borrow. For the same reason
    this fold, unlike `tri_add`, is not associative and must run from the units up: (0, 0, -1) is a
    borrow, yet (0, 0) alone is not.

    >>> tri_subtract(torch.tensor([1, 0, 0, 0, -1]), torch.tensor([-1, 1, 0, -1, 1])).tolist()
    [1, 1, 1, -1, -1]
    """
    return torch.where((high == 1) | ((high == 0) & (low != -1)), 1, -1)


def mv(first: Digits, second: Digits) -> Digits:
    """Cascaded borrow out of every column of ``D - D'``, 0 or 1.

    >>> mv(torch.tensor([[0, 0, 1]]), torch.tensor([[1, 0, 0]])).tolist()  # 100 - 001
    [[1, 1, 0]]
    """
    return (fold(tri_subtract, mt(first, second)) == -1).long()


def nd(first: Digits, second: Digits) -> Digits:
    """Base difference of a negative answer: ``(D' - D) mod 10``."""
    return md(second, first)


def nb(first: Digits, second: Digits) -> Digits:
    """Make borrow of a negative answer: 1 where ``D' < D``."""
    return mb(second, first)


def nv(first: Digits, second: Digits) -> Digits:
    """Cascaded borrow of ``D' - D``, 0 or 1."""
    return mv(second, first)


def gt(first: Digits, second: Digits) -> Digits:
    """Greater than: 1 where ``D > D'`` in this column."""
    return (first > second).long()


def at_least(first: Digits, second: Digits) -> Bool[Tensor, " question"]:
    """Whether ``D >= D'``: the fold of all columns' signs leaves no borrow."""
    return mv(first, second)[:, -1] == 0


def answer(
    questions: Questions,
) -> tuple[Bool[Tensor, " question"], Int[Tensor, "question answer_digit"]]:
    """Sign and digits of the answer, composed from the sub-tasks as in the module docstring.

    Returns:
        Whether the answer is negative (zero is not), and the n + 1 digits of its magnitude, units
        first.

    >>> from helpers.arithmetic.questions.batch import parse
    >>> answer(parse("5-7", n_digits=3))
    (tensor([True]), tensor([[2, 0, 0, 0]]))
    """
    first, second = questions.first, questions.second
    zero = torch.zeros(len(questions), 1, dtype=torch.long)
    carry_in = torch.cat([zero, sv(first, second)], dim=1)  # [question, n + 1]; the last is A_n
    total = (torch.cat([sa(first, second), zero], dim=1) + carry_in) % 10
    positive = _difference(md(first, second), mv(first, second))
    mirrored = _difference(nd(first, second), nv(first, second))
    negative = questions.subtract & ~at_least(first, second)
    digits = torch.where(questions.subtract[:, None], positive, total)
    return negative, torch.where(negative[:, None], mirrored, digits)


def _difference(base: Digits, borrow: Digits) -> Int[Tensor, "question answer_digit"]:
    zero = torch.zeros(len(base), 1, dtype=torch.long)
    borrow_in = torch.cat([zero, borrow[:, :-1]], dim=1)
    return torch.cat([(base - borrow_in) % 10, zero], dim=1)


def fold(combine: Callable[[Column, Column], Column], cases: Digits) -> Digits:
    """Fold every column with all below it, from the units up: O(n) for all n folds."""
    running, folded = cases[:, 0], [cases[:, 0]]
    for k in range(1, cases.shape[1]):
        running = combine(cases[:, k], running)
        folded.append(running)
    return torch.stack(folded, dim=1)
