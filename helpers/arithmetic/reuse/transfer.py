"""Do the source's patch tests still pass in the target, at the same nodes?

A patch test of the source names some nodes at one position and layer, a sub-task and a digit (see
`nodemap`). The same pairs are run in the target, with the same nodes exchanged: if the sub-task is
still computed there, the answer changes exactly as predicted. The control is every other set of as
many heads of that layer at that position (for an MLP: the MLPs of the other layers). In a model
from scratch the names of heads mean nothing; the fair number for it is the best renaming of the
heads of a layer, one for all tests, and `transferred` gives it for every model.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby, permutations
from statistics import mean
from typing import Any, TypeVar

from helpers.arithmetic.circuit import (
    STRONG,
    NodeSet,
    Rate,
    find_roles,
    measure,
    prepare,
    renamings,
)
from helpers.arithmetic.circuit.addition import SUBTASKS
from helpers.arithmetic.questions import Format
from helpers.errors import LabError
from helpers.inputs import check_count
from helpers.interventions import Node, check_nodes
from helpers.model import Model
from helpers.runtime import progress
from helpers.stats import clopper_pearson

Item = TypeVar("Item")

LATE = ("SA", "SC", "U", "SV")
"""Sub-tasks that are tested at one position each, where the answer digit is predicted."""


@dataclass(frozen=True)
class RetestOutcome:
    """Outcome of one test.

    Attributes:
        hits, trials: Pairs whose answer changed as predicted, of how many.
        null_hits, null_trials: Null pairs whose answer stayed, of how many.
    """

    hits: int
    trials: int
    null_hits: int
    null_trials: int

    @property
    def rate(self) -> float:
        return self.hits / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Clopper–Pearson interval of the rate."""
        return clopper_pearson(self.hits, self.trials)

    @property
    def strong(self) -> bool:
        """Whether it makes a strong role (`nodemap.STRONG`)."""
        return self.rate >= STRONG and self.null_hits / self.null_trials >= STRONG


@dataclass(frozen=True)
class Passed:
    """A patch test that a model passes: a strong role in a form that can be stored.

    Attributes:
        task, digit: The sub-task, by its name, and the digit.
        nodes: The nodes exchanged, at one position and layer, sorted.
        outcome: The outcome in the model.
    """

    task: str
    digit: int
    nodes: NodeSet
    outcome: RetestOutcome

    @property
    def label(self) -> str:
        return f"{self.task}{self.digit}"

    @property
    def is_mlp(self) -> bool:
        return self.nodes[0].is_mlp

    @property
    def place(self) -> tuple[str, int]:
        """Label and layer. The label fixes the position, except for ST."""
        return self.label, self.nodes[0].layer


@dataclass(frozen=True)
class Retest:
    """One patch test of the source, repeated in a target.

    Attributes:
        source: The test, with its outcome in the source.
        target: Outcome at every node set tried in the target, the source's nodes among them.
    """

    source: Passed
    target: dict[NodeSet, RetestOutcome]

    @property
    def same(self) -> RetestOutcome:
        """The outcome at the source's nodes."""
        return self.target[self.source.nodes]

    @property
    def others(self) -> list[RetestOutcome]:
        """The outcomes at the control's nodes."""
        return [outcome for nodes, outcome in self.target.items() if nodes != self.source.nodes]


def _outcome(rate: Rate) -> RetestOutcome:
    return RetestOutcome(rate.hits, rate.trials, rate.null_hits, rate.null_trials)


def passed(
    model: Model, fmt: Format, count: int = 60, seed: int = 0, tasks: tuple[str, ...] = LATE
) -> list[Passed]:
    """The patch tests that a model passes: its strong roles (`nodemap.find_roles`)."""
    roles = find_roles(model, fmt, count, seed, tasks)
    rates = [role.evidence for role in roles if role.strong]
    return [Passed(r.task, r.digit, tuple(sorted(r.nodes)), _outcome(r)) for r in rates]


def alternatives(model: Model, nodes: NodeSet) -> list[NodeSet]:
    """All sets of as many heads at their position and layer; for an MLP the MLPs of all layers.

    Raises:
        LabError: No node.
    """
    check_count("number of nodes", len(nodes), least=1)
    position, layer = nodes[0].position, nodes[0].layer
    if nodes[0].is_mlp:
        return [(Node(position, other),) for other in range(model.cfg.n_layers)]
    heads = [Node(position, layer, head) for head in range(model.cfg.n_heads)]
    return list(combinations(heads, len(nodes)))


def retest(
    tests: Sequence[Passed], fmt: Format, target: Model, count: int = 60, seed: int = 0
) -> list[Retest]:
    """Run the source's tests in the target, at the source's nodes and at those of the control.

    Args:
        tests: The tests that the source passes.
        count: Pairs per test, in both directions together.
        seed: Seed of the pairs. With the count and seed that `passed` had, they are the pairs of
            the source.

    Raises:
        LabError: The target does not have one of the nodes.
    """
    retests = []
    groups = _grouped(tests, lambda test: (test.task, test.digit))
    for (task, digit), group in progress(groups, "transfer"):
        experiment = prepare(target, fmt, SUBTASKS[task], digit, count, seed)
        for test in group:
            check_nodes(target, test.nodes, fmt.n_ctx)
            node_sets = alternatives(target, test.nodes)
            outcomes = map(_outcome, measure(target, fmt, experiment, node_sets))
            retests.append(Retest(test, dict(zip(node_sets, outcomes, strict=True))))
    return retests


def _grouped(items: Iterable[Item], key: Callable[[Item], Any]) -> list[tuple[Any, list[Item]]]:
    return [(value, list(group)) for value, group in groupby(sorted(items, key=key), key=key)]


@dataclass(frozen=True)
class TransferSummary:
    """How many of the source's tests pass in the target.

    Attributes:
        tests: Number of tests.
        strong: How many are still strong at the same nodes.
        hits, trials: Pairs as predicted at the same nodes, of how many, over all tests.
        other: Mean rate at the control's nodes.
        best: Mean rate under the best renaming of the heads of each layer.
    """

    tests: int
    strong: int
    hits: int
    trials: int
    other: float
    best: float

    @property
    def rate(self) -> float:
        return self.hits / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Clopper–Pearson interval of the rate, for these tests and new pairs."""
        return clopper_pearson(self.hits, self.trials)


def transferred(tests: Sequence[Retest], mlps: bool = False) -> TransferSummary:
    """Sum up the tests of heads, or those of MLPs.

    Raises:
        LabError: There is no such test.
    """
    chosen = [test for test in tests if test.source.is_mlp == mlps]
    if not chosen:
        raise LabError(f"expected tests of {'MLPs' if mlps else 'heads'}", "there are none")
    others = [mean([outcome.rate for outcome in test.others]) for test in chosen if test.others]
    return TransferSummary(
        tests=len(chosen),
        strong=sum(test.same.strong for test in chosen),
        hits=sum(test.same.hits for test in chosen),
        trials=sum(test.same.trials for test in chosen),
        other=mean(others) if others else float("nan"),
        best=_best_rate(chosen),
    )


def _best_rate(tests: Sequence[Retest]) -> float:
    """Mean rate when the heads of every layer are renamed in the way that gives the highest."""
    total = 0.0
    for _, group in _grouped(tests, lambda test: test.source.nodes[0].layer):
        n_heads = 1 + max(node.head for test in group for nodes in test.target for node in nodes)
        total += max(
            sum(test.target[_renamed(test.source.nodes, names)].rate for test in group)
            for names in permutations(range(n_heads))
        )
    return total / len(tests)


def _renamed(nodes: NodeSet, names: Sequence[int]) -> NodeSet:
    """The same nodes with head h called ``names[h]``; MLPs keep their names."""
    return tuple(
        sorted(Node(n.position, n.layer, n.head if n.is_mlp else names[n.head]) for n in nodes)
    )


@dataclass(frozen=True)
class RoleOverlap:
    """How many roles of the source's heads the target has too.

    Attributes:
        roles: Number of strong roles of the source's heads.
        same: How many of them the target has at the same nodes.
        layer: How many it has in the same layer, at whatever heads.
        heads, heads_p: Mean of `same` over all renamings of the heads in each layer, and the share
            of them that reach it.
        best: The highest number that a renaming gives.
    """

    roles: int
    same: int
    layer: int
    heads: float
    heads_p: float
    best: int


def shared_roles(source: Sequence[Passed], target: Sequence[Passed], n_heads: int) -> RoleOverlap:
    """Compare two models by what their heads do.

    A role is a sub-task, a digit and the nodes that carry it.

    Args:
        source, target: The tests that the two models pass.
        n_heads: Heads of a layer of the target.
    """
    ours = [test for test in source if not test.is_mlp]
    theirs = {(test.label, test.nodes) for test in target if not test.is_mlp}
    places = {test.place for test in target if not test.is_mlp}
    n_layers = 1 + max((test.nodes[0].layer for test in ours), default=0)
    same = [
        sum(
            (test.label, _renamed(test.nodes, names[test.nodes[0].layer])) in theirs
            for test in ours
        )
        for names in renamings(n_layers, n_heads)  # the first leaves all names as they are
    ]
    reaching = sum(number >= same[0] for number in same) / len(same)
    layer = sum(test.place in places for test in ours)
    return RoleOverlap(len(ours), same[0], layer, mean(same), reaching, max(same))
