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

from helpers.arithmetic.circuit.addition import SUBTASKS
from helpers.arithmetic.circuit.nodemap import STRONG, find_roles
from helpers.arithmetic.circuit.patching import NodeSet, Rate, measure, prepare
from helpers.arithmetic.circuit.usage import renamings
from helpers.arithmetic.questions.format import Format
from helpers.errors import LabError
from helpers.interventions import Node, check_nodes
from helpers.model import Model
from helpers.runtime import progress
from helpers.stats import clopper_pearson

Item = TypeVar("Item")

LATE = ("SA", "SC", "U", "SV")
"""Sub-tasks that are tested at one position each, where the answer digit is predicted."""


@dataclass(frozen=True)
class Count:
    """Outcome of one test: `hits` of `trials` pairs as predicted, `null_hits` of `null_trials` null pairs unchanged."""

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
        task, digit: the sub-task.
        nodes: at one position and layer, sorted.
        count: the outcome.
    """

    task: str
    digit: int
    nodes: NodeSet
    count: Count

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
        source: the test, with its outcome in the source.
        target: outcome at every node set tried in the target, the source's nodes among them.
    """

    source: Passed
    target: dict[NodeSet, Count]

    @property
    def same(self) -> Count:
        """The outcome at the source's nodes."""
        return self.target[self.source.nodes]

    @property
    def others(self) -> list[Count]:
        """The outcomes at the control's nodes."""
        return [count for nodes, count in self.target.items() if nodes != self.source.nodes]


def _count(evidence: Rate) -> Count:
    return Count(evidence.hits, evidence.trials, evidence.null_hits, evidence.null_trials)


def passed(
    model: Model, fmt: Format, count: int = 60, seed: int = 0, tasks: tuple[str, ...] = LATE
) -> list[Passed]:
    """The patch tests that a model passes: its strong roles (`nodemap.find_roles`)."""
    found = (role.evidence for role in find_roles(model, fmt, count, seed, tasks) if role.strong)
    return [Passed(one.task, one.digit, tuple(sorted(one.nodes)), _count(one)) for one in found]


def alternatives(model: Model, nodes: NodeSet) -> list[NodeSet]:
    """All sets of as many heads at the position and layer of `nodes`; for an MLP the MLPs of all layers."""
    position, layer = nodes[0].position, nodes[0].layer
    if nodes[0].is_mlp:
        return [(Node(position, other),) for other in range(model.cfg.n_layers)]
    return list(
        combinations([Node(position, layer, head) for head in range(model.cfg.n_heads)], len(nodes))
    )


def transfer(
    tests: Sequence[Passed], fmt: Format, target, count: int = 60, seed: int = 0
) -> list[Retest]:
    """Run the source's tests in the target, at the source's nodes and at those of the control.

    Args:
        tests: what the source passes.
        count: pairs a test, in both directions together.
        seed: of the pairs. With the count and seed that `passed` had, they are the pairs of the
            source.

    Raises:
        LabError: a node that the target does not have.
    """
    found = []
    for (task, digit), some in progress(
        _grouped(tests, lambda test: (test.task, test.digit)), "transfer"
    ):
        experiment = prepare(target, fmt, SUBTASKS[task], digit, count, seed)
        for test in some:
            check_nodes(target, test.nodes, fmt.n_ctx)
            node_sets = alternatives(target, test.nodes)
            outcomes = map(_count, measure(target, fmt, experiment, node_sets))
            found.append(Retest(test, dict(zip(node_sets, outcomes, strict=True))))
    return found


def _grouped(items: Iterable[Item], key: Callable[[Item], Any]) -> list[tuple[Any, list[Item]]]:
    return [(value, list(some)) for value, some in groupby(sorted(items, key=key), key=key)]


@dataclass(frozen=True)
class Summary:
    """How many of the source's tests pass in the target.

    Attributes:
        tests: their number.
        strong: how many are still strong at the same nodes.
        hits, trials: pairs as predicted at the same nodes, over all tests.
        other: mean rate at the control's nodes.
        best: mean rate under the best renaming of the heads of each layer.
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


def transferred(tests: Sequence[Retest], mlps: bool = False) -> Summary:
    """Sum up the tests of heads, or those of MLPs.

    Raises:
        LabError: no such test.
    """
    chosen = [test for test in tests if test.source.is_mlp == mlps]
    if not chosen:
        raise LabError(f"expected tests of {'MLPs' if mlps else 'heads'}", "there are none")
    others = [mean([count.rate for count in test.others]) for test in chosen if test.others]
    return Summary(
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
    for _, some in _grouped(tests, lambda test: test.source.nodes[0].layer):
        n_heads = 1 + max(node.head for test in some for nodes in test.target for node in nodes)
        names = permutations(range(n_heads))
        total += max(
            sum(test.target[_renamed(test.source.nodes, one)].rate for test in some)
            for one in names
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
        roles: the source's strong roles of heads.
        same: how many of them the target has at the same nodes.
        layer: how many it has in the same layer, at whatever heads.
        heads, heads_p: mean of `same` over all renamings of the heads in each layer, and the share
            of them that reach it.
        best: the highest number a renaming gives.
    """

    roles: int
    same: int
    layer: int
    heads: float
    heads_p: float
    best: int


def shared_roles(source: Sequence[Passed], target: Sequence[Passed], n_heads: int) -> RoleOverlap:
    """Compare two models by what their heads do: a role is a sub-task, a digit and the nodes that
    carry it.

    Args:
        n_heads: of the target.
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
