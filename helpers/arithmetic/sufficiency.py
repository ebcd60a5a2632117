"""Is the map enough, and is each node on it needed? Ablate everything else; ablate one at a time; compare with chance.

*Sufficiency* of a set of nodes is the share of questions still answered right (every answer token, teacher forced)
when all other nodes are mean- or resample-ablated. *Necessity* of a node is the share that is lost when only this node
is ablated. Sufficiency is the stricter test: a node whose work is done twice looks unnecessary alone, and a map made
of necessary nodes only falls short (the authors' later re-analysis of arXiv 2402.02619 finds 94 % for addition).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from helpers.arithmetic import cascades
from helpers.arithmetic.questions import Format, Questions, answer_tokens, of_class
from helpers.interventions import Activations, Node, ablate, all_nodes, collect


@dataclass(frozen=True)
class Bench:
    """What every measurement of one model shares: the questions, the truth, and the reference for ablations.

    Attributes:
        questions: test questions, `per_class` of every cascade class in turn.
        truth: right answer tokens.
        classes: class name of each question.
        reference: node outputs on *other* questions of the same mixture; means and resamples are drawn from it.
        nodes: all nodes that can matter (the last position predicts nothing).
    """

    model: torch.nn.Module
    fmt: Format
    questions: Questions
    tokens: Tensor
    truth: Tensor
    classes: list[str]
    reference: Activations
    nodes: list[Node]

    def right(self, ablated: Iterable[Node], mode: str = "mean", seed: int = 0) -> Bool[Tensor, "question answer"]:
        """Which answer tokens are right with some nodes ablated."""
        logits = ablate(self.model, self.tokens, ablated, self.reference, mode, seed)
        return answer_tokens(logits, self.fmt) == self.truth

    def kept(self, keep: Iterable[Node], mode: str = "mean", seed: int = 0) -> Bool[Tensor, "question answer"]:
        """Which answer tokens are right when every node *outside* `keep` is ablated."""
        keep = set(keep)
        return self.right([node for node in self.nodes if node not in keep], mode, seed)

    def per_class(self, right: Bool[Tensor, "question answer"]) -> dict[str, float]:
        """Share of whole answers right in each class."""
        whole, names = right.all(1), np.array(self.classes)
        return {name: float(whole[torch.from_numpy(names == name)].float().mean()) for name in dict.fromkeys(names)}


def mixture(n_digits: int, per_class: int, seed: int) -> Questions:
    """`per_class` additions of every class S0 … Sn."""
    rng = np.random.default_rng(seed)
    parts = [of_class(name, n_digits, per_class, rng) for name in cascades.addition(n_digits).classes]
    return Questions(*(torch.cat([getattr(part, name) for part in parts]) for name in ("first", "second", "subtract")))


def bench(model, fmt: Format, per_class: int = 50, reference_per_class: int = 100, seed: int = 0) -> Bench:
    """Draw test and reference questions (different seeds) and collect the reference activations."""
    questions = mixture(fmt.n_digits, per_class, seed)
    reference, _ = collect(model, mixture(fmt.n_digits, reference_per_class, seed + 1).tokens(fmt))
    tokens = questions.tokens(fmt)
    truth = tokens[:, fmt.equals_position + 1 :]
    nodes = all_nodes(model, range(fmt.n_ctx - 1))
    return Bench(model, fmt, questions, tokens, truth, questions.classes(), reference, nodes)


def necessity(bench: Bench, nodes: Sequence[Node], mode: str = "mean") -> Float[Tensor, "node answer"]:
    """Share of questions whose answer token goes wrong when one node is ablated, for each node and token."""
    return torch.stack([1 - bench.right([node], mode).float().mean(0) for node in nodes])


def smallest_map(bench: Bench, target: float = 0.995, start: Iterable[Node] | None = None) -> list[Node]:
    """Greedy backward elimination: drop the node that hurts least, again and again, while `target` holds.

    Nodes are tried in order of how much is lost without them (alone, first round); a node whose removal would take
    the share of right answers below `target` stays for good. The result is minimal in the sense that no single node of
    it can be dropped; that it is the smallest of all sets is not claimed (there are 2^176 of them).

    Returns:
        The nodes kept, sorted.
    """
    keep = list(bench.nodes if start is None else start)
    loss = {node: 1 - float(bench.right([node]).all(1).float().mean()) for node in keep}
    for node in sorted(keep, key=lambda node: (loss[node], -node.layer)):
        rest = [other for other in keep if other != node]
        if float(bench.kept(rest).all(1).float().mean()) >= target:
            keep = rest
    return sorted(keep)


def random_sets(bench: Bench, size: int, count: int, seed: int = 0) -> list[list[Node]]:
    """Random node sets of a given size: the control of every map."""
    rng = np.random.default_rng(seed)
    return [[bench.nodes[i] for i in rng.choice(len(bench.nodes), size, replace=False)] for _ in range(count)]
