"""Run sub-task tests on a model.

How often does writing a node's stored output give exactly the predicted answer?
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from helpers.arithmetic.circuit.pairs import Interchange, Pairs
from helpers.arithmetic.questions import Format, answer_tokens, join
from helpers.errors import LabError
from helpers.interventions import Activations, Node, collect, run_with_replaced
from helpers.model import Model
from helpers.stats import clopper_pearson

NodeSet = tuple[Node, ...]


@dataclass(frozen=True)
class Rate:
    """How often one test came out as predicted on one set of nodes.

    Attributes:
        task, digit: The sub-task, by its name, and the digit.
        nodes: The nodes whose outputs were exchanged, all at once.
        hits, trials: Pairs whose whole answer was exactly the predicted one, of how many.
        rising, falling: Share of hits among pairs whose value rises, or falls (two directions of
            the same pair).
        null_hits, null_trials: Null pairs whose whole answer stayed right, of how many.
        reached: Pairs whose tokens that must change came out as predicted, whatever the others did.
            More of these than hits: the value is carried here, and something else is read off the
            same nodes.
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
    reached: int

    @property
    def rate(self) -> float:
        return self.hits / self.trials

    @property
    def null_rate(self) -> float:
        return self.null_hits / self.null_trials

    @property
    def reached_rate(self) -> float:
        return self.reached / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Clopper–Pearson interval of the rate."""
        return clopper_pearson(self.hits, self.trials)

    @property
    def label(self) -> str:
        return f"{self.task}{self.digit}"


@dataclass(frozen=True)
class Experiment:
    """One sub-task of one digit, ready to run on any nodes: what all node sets and positions share.

    Attributes:
        task, digit: The sub-task and the digit.
        pairs, null: The matched pairs and the null pairs, each in both directions.
        stored, null_stored: Node outputs of the model on the stored questions of both.
    """

    task: Interchange
    digit: int
    pairs: Pairs
    null: Pairs
    stored: Activations
    null_stored: Activations


def _both_ways(pairs: Pairs, swapped: Pairs) -> Pairs:
    """The pairs of both directions, one after the other."""
    names = ("expected", "tolerated", "rises", "negative")
    return Pairs(
        join([pairs.stored, swapped.stored]),
        join([pairs.clean, swapped.clean]),
        *(torch.cat([getattr(pairs, name), getattr(swapped, name)]) for name in names),
    )


def draw(
    task: Interchange, digit: int, n_digits: int, count: int, seed: int, null: bool = False
) -> Pairs:
    """`count` pairs, half of them with the roles of stored and clean exchanged.

    Raises:
        LabError: A digit that the test does not exist for, or a count that is not even and
            positive.
    """
    if count < 2 or count % 2:
        raise LabError("expected an even number of pairs, at least 2", f"got {count}")
    task.check_digit(digit, n_digits)
    rng = np.random.default_rng([seed, digit, null])
    pairs = task.pairs(digit, n_digits, count // 2, rng, null)
    return _both_ways(pairs, task.swap(pairs, digit, null))


def prepare(
    model: Model, fmt: Format, task: Interchange, digit: int, count: int = 100, seed: int = 0
) -> Experiment:
    """Draw the pairs of one sub-task and run the model once on their stored questions."""
    pairs, null = (draw(task, digit, fmt.n_digits, count, seed, null) for null in (False, True))
    stored, null_stored = (collect(model, drawn.stored.tokens(fmt))[0] for drawn in (pairs, null))
    return Experiment(task, digit, pairs, null, stored, null_stored)


def _answers(
    model: Model, fmt: Format, pairs: Pairs, nodes: NodeSet, stored: Activations
) -> Int[Tensor, "pair answer"]:
    return answer_tokens(run_with_replaced(model, pairs.clean.tokens(fmt), nodes, stored), fmt)


def as_predicted(
    model: Model, fmt: Format, pairs: Pairs, node_sets: Sequence[NodeSet]
) -> tuple[Bool[Tensor, "set pair"], Int[Tensor, "set pair answer"]]:
    """For every node set and pair: whether the whole patched answer is the predicted one.

    Returns:
        The verdicts, and the answers themselves (token ids).
    """
    stored, _ = collect(model, pairs.stored.tokens(fmt))
    answers = torch.stack([_answers(model, fmt, pairs, nodes, stored) for nodes in node_sets])
    return torch.stack([pairs.predicts(answer, fmt) for answer in answers]), answers


def measure(
    model: Model,
    fmt: Format,
    experiment: Experiment,
    node_sets: Sequence[NodeSet],
    floor: float = 0.0,
) -> list[Rate]:
    """Run an experiment on many node sets.

    Args:
        floor: Sets with a lower rate are left out, and their null pairs never run: half the work of
            a search.
    """
    results = (_rate(model, fmt, experiment, nodes, floor) for nodes in node_sets)
    return [rate for rate in results if rate is not None]


def _rate(
    model: Model, fmt: Format, experiment: Experiment, nodes: NodeSet, floor: float
) -> Rate | None:
    """The rate of one node set; None where it is below `floor`."""
    pairs, null = experiment.pairs, experiment.null
    answers = _answers(model, fmt, pairs, nodes, experiment.stored)
    hit = pairs.predicts(answers, fmt)
    if int(hit.sum()) / len(hit) < floor:
        return None
    same = null.predicts(_answers(model, fmt, null, nodes, experiment.null_stored), fmt)
    return Rate(
        experiment.task.name,
        experiment.digit,
        nodes,
        hits=int(hit.sum()),
        trials=len(hit),
        rising=float(hit[pairs.rises].float().mean()),
        falling=float(hit[~pairs.rises].float().mean()),
        null_hits=int(same.sum()),
        null_trials=len(same),
        reached=int(pairs.reaches(answers, fmt).sum()),
    )


def rates(
    model: Model,
    fmt: Format,
    task: Interchange,
    digit: int,
    node_sets: Sequence[NodeSet],
    count: int = 100,
    seed: int = 0,
) -> list[Rate]:
    """Test one sub-task of one digit, with its null, on the same pairs for many node sets.

    Raises:
        LabError: A digit that the test does not exist for, a count that is not even and positive,
            or a node that the model does not have.
    """
    return measure(model, fmt, prepare(model, fmt, task, digit, count, seed), node_sets)
