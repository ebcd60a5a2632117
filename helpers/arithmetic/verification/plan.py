"""Which questions a verification asks, cut into chunks that can be drawn in any order by anyone.

A chunk carries its own seed, so the questions depend on the plan alone: not on batch sizes, workers
or interruptions.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from helpers.arithmetic.questions import Questions, all_additions, cascades, of_class, uniform
from helpers.errors import LabError

CHUNK = 4096
"""Questions drawn, classified and scored at a time; memory does not grow with their number."""

MOST = 10**9
"""Most uniform questions, and most in a class: more take days, and the list of chunks gigabytes."""


@dataclass(frozen=True)
class Chunk:
    """A piece of a verification.

    Attributes:
        source: ``"uniform"``, ``"all"`` or the name of a class.
        subtract: Whether the questions are subtractions.
        start: Index of the chunk's first question within its source.
        count: Number of questions.
        seed: Seed of the chunk's own generator.
    """

    source: str
    subtract: bool
    start: int
    count: int
    seed: tuple[int, ...]


def plan(
    n_digits: int, questions: int, per_class: int, exhaustive: bool, operations: str, seed: int
) -> list[Chunk]:
    """The chunks of a verification; the arguments are those of `counting.verify`.

    Raises:
        LabError: The operations are unknown, a number is negative or above `MOST`, there is no
            question to ask, or an exhaustive plan is for more than 3 digits.

    >>> [(chunk.source, chunk.count) for chunk in plan(1, 5000, 7, False, "+", seed=0)]
    [('uniform', 4096), ('uniform', 904), ('S0', 7), ('S1', 7)]
    """
    if operations not in ("+", "-", "+-"):
        raise LabError('expected the operations "+", "-" or "+-"', f"got {operations!r}")
    if min(questions, per_class, seed) < 0 or not (exhaustive or questions + per_class):
        raise LabError(
            "expected a seed and numbers of questions of 0 or more, and some question to ask",
            f"got seed {seed}, {questions} uniform questions and {per_class} a class",
        )
    if not exhaustive and max(questions, per_class) > MOST:
        raise LabError(
            f"expected at most {MOST:,} questions of a kind",
            f"got {questions:,} uniform questions and {per_class:,} a class",
            hint="a million take minutes, and without a failure bound its rate by 4 in a million",
        )
    if exhaustive and n_digits > 3:
        raise LabError(
            "expected at most 3 digits for an exhaustive verification",
            f"{n_digits} digits have 10^{2 * n_digits} questions",
            hint="leave it away: uniform questions and every cascade class are then sampled",
        )
    chunks = []
    for subtract in [operator == "-" for operator in operations]:
        if exhaustive:
            totals = {"all": 10 ** (2 * n_digits)}
        else:
            classes = cascades.automaton_of(n_digits, subtract).classes
            totals = {"uniform": questions} | dict.fromkeys(classes, per_class)
        for number, (source, total) in enumerate(totals.items()):
            for start in range(0, total, CHUNK):
                own_seed = (seed, int(subtract), number, start)
                chunks.append(Chunk(source, subtract, start, min(CHUNK, total - start), own_seed))
    return chunks


def draw(chunk: Chunk, n_digits: int) -> Questions:
    """The questions of a chunk."""
    if chunk.source == "all":
        additions = all_additions(n_digits, chunk.start, chunk.start + chunk.count)
        return replace(additions, subtract=torch.full_like(additions.subtract, chunk.subtract))
    rng = np.random.default_rng(chunk.seed)
    if chunk.source == "uniform":
        return uniform(n_digits, chunk.count, rng, chunk.subtract)
    return of_class(chunk.source, n_digits, chunk.count, rng)
