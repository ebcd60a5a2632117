"""Run sub-task tests on a model: how often does writing a node's stored output give exactly the predicted answer?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from helpers.arithmetic.questions import Format, Questions, answer_tokens
from helpers.arithmetic.subtasks import Pairs, SubTask
from helpers.interventions import Node, collect, run_with_replaced
from helpers.stats import clopper_pearson

NodeSet = tuple[Node, ...]


@dataclass(frozen=True)
class Rate:
    """How often one test came out as predicted on one set of nodes.

    Attributes:
        task, digit: which sub-task.
        nodes: whose outputs were exchanged, all at once.
        hits, trials: pairs whose whole answer was exactly the predicted one, of how many.
        rising, falling: share of hits among pairs whose value rises, or falls (two directions of the same pair).
        null_hits, null_trials: null pairs whose answer stayed exactly as it was.
    """

    task: str
    digit: int
    nodes: NodeSet
    hits: int
    trials: int
    rising: float
    falling: float
    null_hits: int
    null_trials: int

    @property
    def rate(self) -> float:
        return self.hits / self.trials

    @property
    def null_rate(self) -> float:
        return self.null_hits / self.null_trials

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Clopper–Pearson interval of the rate."""
        return clopper_pearson(self.hits, self.trials)

    @property
    def label(self) -> str:
        return f"{self.task}{self.digit}"


def _both_ways(pairs: Pairs, swapped: Pairs) -> Pairs:
    def join(a: Questions, b: Questions) -> Questions:
        return Questions(*(torch.cat([getattr(a, n), getattr(b, n)]) for n in ("first", "second", "subtract")))

    return Pairs(
        join(pairs.stored, swapped.stored),
        join(pairs.clean, swapped.clean),
        torch.cat([pairs.expected, swapped.expected]),
        torch.cat([pairs.tolerated, swapped.tolerated]),
    )


def draw(task: SubTask, digit: int, n_digits: int, count: int, seed: int, null: bool = False) -> Pairs:
    """`count` pairs, half of them with the roles of stored and clean exchanged."""
    rng = np.random.default_rng([seed, digit, null])
    pairs = task.pairs(digit, n_digits, count // 2, rng, null)
    return _both_ways(pairs, task.swap(pairs, digit, null))


@torch.no_grad()
def as_predicted(
    model, fmt: Format, pairs: Pairs, node_sets: Sequence[NodeSet]
) -> tuple[Bool[Tensor, "set pair"], Int[Tensor, "set pair answer"]]:
    """For every node set and pair: is the whole patched answer the predicted one? And the answer itself."""
    stored, _ = collect(model, pairs.stored.tokens(fmt))
    clean = pairs.clean.tokens(fmt)
    answers = torch.stack([answer_tokens(run_with_replaced(model, clean, nodes, stored), fmt) for nodes in node_sets])
    return torch.stack([pairs.predicts(answer, fmt) for answer in answers]), answers


def rates(
    model, fmt: Format, task: SubTask, digit: int, node_sets: Sequence[NodeSet], count: int = 100, seed: int = 0
) -> list[Rate]:
    """Test one sub-task of one digit on many node sets, with its null, on the same pairs for all of them."""
    pairs = draw(task, digit, fmt.n_digits, count, seed)
    null = draw(task, digit, fmt.n_digits, count, seed, null=True)
    hits, _ = as_predicted(model, fmt, pairs, node_sets)
    still, _ = as_predicted(model, fmt, null, node_sets)
    rises = pairs.rises
    return [
        Rate(
            task.name,
            digit,
            nodes,
            int(hit.sum()),
            len(hit),
            float(hit[rises].float().mean()),
            float(hit[~rises].float().mean()),
            int(same.sum()),
            len(same),
        )
        for nodes, hit, same in zip(node_sets, hits, still, strict=True)
    ]
