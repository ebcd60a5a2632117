"""Is the map enough, and is each node on it needed?

Ablate everything else; ablate one node at a time; compare with chance.

*Sufficiency* of a set of nodes is the share of questions still answered right (every answer token,
teacher forced) when all other nodes are mean- or resample-ablated. *Necessity* of a node is the
share that is lost when only this node is ablated. Sufficiency is the stricter test: a node whose
work is done twice looks unnecessary alone, and a map made of necessary nodes only falls short (the
authors' later re-analysis of arXiv 2402.02619 finds 94 % for addition).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers.arithmetic.questions import (
    Format,
    Questions,
    answer_tokens,
    cascades,
    join,
    of_class,
)
from helpers.errors import LabError
from helpers.inputs import check_count
from helpers.interventions import Ablation, Activations, Node, ablate, all_nodes, collect
from helpers.model import Model
from helpers.runtime import progress

OPERATIONS = {"S": "ADD", "M": "SUB", "N": "NEG"}
"""The operation of a class, by the first letter of its name.

Addition, subtraction with an answer of at least zero, subtraction with an answer below zero.
"""


@dataclass(frozen=True)
class AblationBench:
    """What every ablation of one model shares: questions, right answers, and reference outputs.

    Attributes:
        model, fmt: The model that is measured, and its token format.
        questions: Test questions, `per_class` of every cascade class in turn.
        tokens: Their token ids.
        truth: The right answer tokens.
        classes: Class name of each question.
        reference: Node outputs on *other* questions of the same mixture; means and resamples are
            drawn from it.
        nodes: All nodes that can matter (the last position predicts nothing).
    """

    model: Model
    fmt: Format
    questions: Questions
    tokens: Int[Tensor, "question pos"]
    truth: Int[Tensor, "question answer"]
    classes: list[str]
    reference: Activations
    nodes: list[Node]

    def right(
        self, ablated: Iterable[Node], ablation: Ablation = "mean", seed: int = 0
    ) -> Bool[Tensor, "question answer"]:
        """Which answer tokens are right with some nodes ablated."""
        logits = ablate(self.model, self.tokens, ablated, self.reference, ablation, seed)
        return answer_tokens(logits, self.fmt) == self.truth

    def kept(
        self, keep: Iterable[Node], ablation: Ablation = "mean", seed: int = 0
    ) -> Bool[Tensor, "question answer"]:
        """Which answer tokens are right when every node *outside* `keep` is ablated."""
        keep = set(keep)
        return self.right([node for node in self.nodes if node not in keep], ablation, seed)

    def share_right(self, ablated: Iterable[Node], ablation: Ablation = "mean") -> float:
        """Share of questions whose whole answer is right with some nodes ablated."""
        return float(self.right(ablated, ablation).all(1).double().mean())

    def every(self, step: int) -> "AblationBench":
        """The same bench with every `step`-th question.

        Raises:
            LabError: A step below 1.
        """
        check_count("step", step, least=1)
        thin = slice(None, None, step)
        parts = {
            name: getattr(self, name)[thin] for name in ("questions", "tokens", "truth", "classes")
        }
        return replace(self, **parts)

    def per_class(self, right: Bool[Tensor, "question answer"]) -> dict[str, float]:
        """Share of whole answers right in each class."""
        return _shares(right, self.classes)

    @property
    def operations(self) -> list[str]:
        """``ADD``, ``SUB`` or ``NEG`` for each question."""
        return [OPERATIONS[name[0]] for name in self.classes]

    def per_operation(self, right: Bool[Tensor, "question answer"]) -> dict[str, float]:
        """Share of whole answers right in each operation.

        The classes of an operation count alike, for each has as many questions.
        """
        return _shares(right, self.operations)


def _shares(right: Bool[Tensor, "question answer"], groups: list[str]) -> dict[str, float]:
    whole, names = right.all(1), np.array(groups)
    return {
        name: float(whole[torch.from_numpy(names == name)].double().mean())
        for name in dict.fromkeys(groups)
    }


def mixture(
    n_digits: int, per_class: int, seed: int | Sequence[int], operations: str = "+"
) -> Questions:
    """`per_class` questions of every class.

    The additions have the classes S0 … Sn, the subtractions M0 … M(n-1) and N1 … Nn.

    Args:
        operations: ``"+"``, ``"-"`` or ``"+-"``; the additions of ``"+-"`` are those of ``"+"``.

    Raises:
        LabError: Other operations.

    >>> len(mixture(3, 2, seed=0)), len(mixture(3, 2, seed=0, operations="+-"))
    (8, 20)
    """
    if operations not in ("+", "-", "+-"):
        raise LabError('expected the operations "+", "-" or "+-"', f"got {operations!r}")
    rng = np.random.default_rng(seed)
    automata = {"+": cascades.addition, "-": cascades.subtraction}
    names = [name for operation in operations for name in automata[operation](n_digits).classes]
    return join([of_class(name, n_digits, per_class, rng) for name in names])


def bench(
    model: Model,
    fmt: Format,
    per_class: int = 50,
    reference_per_class: int = 100,
    seed: int = 0,
    operations: str = "+",
) -> AblationBench:
    """Draw the test questions of a model, and run it on its reference questions.

    The reference questions come from a stream that no bench tests on.

    Raises:
        LabError: As `mixture`.
    """
    questions = mixture(fmt.n_digits, per_class, seed, operations)
    reference, _ = collect(
        model, mixture(fmt.n_digits, reference_per_class, (seed, 1), operations).tokens(fmt)
    )
    tokens = questions.tokens(fmt)
    truth = tokens[:, fmt.equals_position + 1 :]
    nodes = all_nodes(model, range(fmt.n_ctx - 1))
    return AblationBench(
        model, fmt, questions, tokens, truth, questions.classes(), reference, nodes
    )


def necessity(
    bench: AblationBench, nodes: Sequence[Node], ablation: Ablation = "mean"
) -> Float[Tensor, "node answer"]:
    """Share of questions whose answer token goes wrong without a node, for each node and token.

    Raises:
        LabError: No node.
    """
    check_count("number of nodes", len(nodes), least=1)
    return torch.stack([1 - bench.right([node], ablation).float().mean(0) for node in nodes])


def smallest_map(
    bench: AblationBench, target: float = 0.998, ablation: Ablation = "mean"
) -> list[Node]:
    """Greedy backward elimination: drop one node after the other while `target` holds.

    Nodes are tried in order of what is lost without them alone, and those kept are tried again
    until none can go: no single node of the result can be dropped. That it is the smallest of all
    2^nodes sets is not claimed. The choice is fitted to `bench`: measure the result on questions
    drawn with another seed.

    Args:
        target: Share of questions of `bench` that must stay right.
        ablation: How the other nodes are ablated.

    Returns:
        The nodes kept, sorted.

    Raises:
        LabError: A target that the intact model misses.
    """
    allowed = int((1 - target) * len(bench.questions) + 1e-9)  # wrong questions
    probe = bench.every(5)

    def holds(on: AblationBench, outside: list[Node]) -> bool:
        return int((~on.right(outside, ablation).all(1)).sum()) <= allowed

    if not holds(bench, []):
        raise LabError(
            f"expected a model with {target:.2%} of the bench right",
            f"intact it has {bench.share_right([]):.2%}",
        )
    loss = {node: 1 - probe.share_right([node], ablation) for node in bench.nodes}
    keep, before = sorted(bench.nodes, key=lambda node: (loss[node], -node.layer, node)), 0
    while len(keep) != before:
        before = len(keep)
        for node in progress(list(keep), "smallest map"):
            outside = [other for other in bench.nodes if other not in keep or other == node]
            # a fifth of the questions with too many wrong answers spares all of them
            if holds(probe, outside) and holds(bench, outside):
                keep.remove(node)
    return sorted(keep)


def random_sets(bench: AblationBench, size: int, count: int, seed: int = 0) -> list[list[Node]]:
    """Random node sets of a given size: the control of every map.

    Raises:
        LabError: A size that is no number of the bench's nodes.
    """
    if not 0 <= size <= len(bench.nodes):
        raise LabError(f"expected a size from 0 to {len(bench.nodes)}", f"got {size}")
    rng = np.random.default_rng(seed)
    return [
        [bench.nodes[i] for i in rng.choice(len(bench.nodes), size, replace=False)]
        for _ in range(count)
    ]


def matched_sets(
    bench: AblationBench, nodes: Iterable[Node], count: int, seed: int = 0
) -> list[list[Node]]:
    """Random node sets with as many nodes at every position as `nodes` has there.

    They are a harder control than any sets of the same size.
    """
    rng = np.random.default_rng(seed)
    sizes = Counter(node.position for node in nodes)
    pools = {
        position: [node for node in bench.nodes if node.position == position] for position in sizes
    }

    def draw() -> list[Node]:
        return [
            pools[p][i]
            for p, size in sizes.items()
            for i in rng.choice(len(pools[p]), size, replace=False)
        ]

    return [draw() for _ in range(count)]
