"""The sub-tasks of addition as interchange experiments.

Which question is stored, into which one it is written, and what exact arithmetic predicts.

A sub-task is a function of some columns (SA_k, SC_k, ST_k of column k; SV_k of columns k … 0). A
node that carries it must do two things when its output is taken from a *stored* question and
written into a *clean* one:

- where the sub-task's value differs between the two, the model's answer changes to the answer of
  the algorithm with that one value exchanged, digit for digit, and nothing else changes (the
  *test*);
- where the value is the same although the digits differ, the answer stays as it is (the *null*).

The released code of arXiv 2402.02619 uses one hand-made pair for each test and accepts any change
for ST. Here every test draws many random pairs, in both directions, and the prediction comes from
`columns` by exchange of a value.

Three tests at the position that predicts A_(k+1) separate a binary carry from a tri-state and from
a cascaded one:

==================================  ====  ====  ====
what differs                         SC    ST    SV
==================================  ====  ====  ====
``SC``: column k low or carry       flip  flip  flip
``U``: column k low or nine, carry  stay  flip  flip
from below
``SV``: column k nine, carry from   stay  stay  flip
below toggled
==================================  ====  ====  ====

Rows are tests, columns are what a node may know; `nodemap.carry_kind` names the pattern.
"""

from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from helpers.arithmetic.circuit.columns import ColumnTest
from helpers.arithmetic.questions import Questions, algorithm


@dataclass(frozen=True)
class Addition(ColumnTest):
    """One interchange test of addition: ``SA``, ``SC``, ``U``, ``SV`` or ``ST``."""

    def base(self, questions: Questions) -> Int[Tensor, "question digit"]:
        return algorithm.sa(questions.first, questions.second)

    def cases(self, questions: Questions) -> Int[Tensor, "question digit"]:
        return algorithm.st(questions.first, questions.second)


SA = Addition("SA", "base add: (D_k + D'_k) mod 10, used to write A_k", part="base")
SC = Addition(
    "SC", "make carry: does column k alone sum to ten or more, used to write A_(k+1)", part="alone"
)
UNDECIDED = Addition(
    "U",
    "sum nine told apart from a smaller sum, with a carry from below",
    part="undecided",
    lowest=1,
)
SV = Addition(
    "SV",
    "cascaded carry: column k sums to nine, the carry from below is passed on",
    part="cascade",
    lowest=1,
)
ST = Addition(
    "ST",
    "tri-state of column k stored for later positions: no carry, undecided, carry",
    part="case",
    above=1,
)
SUBTASKS: dict[str, Addition] = {task.name: task for task in (SA, SC, UNDECIDED, SV, ST)}
