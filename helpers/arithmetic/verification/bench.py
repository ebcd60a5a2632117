"""Speed of a verification, against greedy decoding and the machine's own matrix multiplication."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any

import torch

from helpers import zoo
from helpers.arithmetic.questions import Format
from helpers.arithmetic.verification.answers import BATCH_SIZE, greedy, predict
from helpers.arithmetic.verification.counting import ask
from helpers.arithmetic.verification.plan import Chunk
from helpers.arithmetic.verification.report import Tally
from helpers.model import Model
from helpers.parallel import in_parallel
from helpers.timing import Ratio, take_turns

MATRIX = 1024
"""Side of the square matrices whose multiplication sets the machine's rate: large enough to reach
it, small enough for a core's cache."""


def measure(name: str = "add-d6", questions: int = 8192, rounds: int = 5) -> list[Ratio]:
    """The two ratios of ``bench verify``.

    Args:
        name: Name of an embedded model.
        questions: Number of questions in every round.
        rounds: Number of rounds; the ratio is that of the medians.

    Raises:
        LabError: The model is unknown.
    """
    model, fmt = zoo.load(name, device="cpu"), Format(zoo.entry(name).recipe.data["n_digits"])
    workers = torch.get_num_threads()
    size = ceil(questions / (4 * workers))  # several chunks per worker: none waits long at the end
    starts = range(0, questions, size)
    chunks = [Chunk("uniform", False, start, size, (0, start)) for start in starts]
    work = Work(model, fmt, chunks, workers, name)
    return [_against_greedy(work, rounds), _against_matmul(work, rounds)]


@dataclass(frozen=True)
class Work:
    """What one side of a comparison does: draw, answer and count the questions of some chunks."""

    model: Model
    fmt: Format
    chunks: list[Chunk]
    workers: int
    name: str

    @property
    def questions(self) -> int:
        return sum(chunk.count for chunk in self.chunks)

    def __str__(self) -> str:
        return (
            f"{self.questions} {self.fmt.n_digits}-digit questions drawn, answered and counted by "
            f"{self.name}, {self.workers} workers"
        )

    def run(self, read: Callable) -> list[Tally]:
        """Do it, with `predict` or `greedy`."""
        one_chunk = partial(ask, self.model, self.fmt, read=read)
        return list(in_parallel(one_chunk, self.chunks, self.workers))


def _against_greedy(work: Work, rounds: int) -> Ratio:
    ours, other = take_turns(lambda: work.run(predict), lambda: work.run(greedy), rounds)
    return Ratio(
        name="verify: one teacher-forced pass",
        ratio=other / ours,
        ours_seconds=ours,
        other_seconds=other,
        other="greedy decoding, token by token",
        note=f"{work}; both sides in batches of {BATCH_SIZE}, "
        f"{work.questions / ours:.0f} questions a second",
    )


def _against_matmul(work: Work, rounds: int) -> Ratio:
    flop, workers = flop_per_question(work.model.cfg, work.fmt) * work.questions, work.workers
    repeats = max(1, round(flop / (2 * MATRIX**3) / workers))
    matrices = [
        torch.randn(2, MATRIX, MATRIX, generator=torch.Generator().manual_seed(i))
        for i in range(workers)
    ]

    def multiply(pair: torch.Tensor) -> None:
        for _ in range(repeats):
            torch.matmul(pair[0], pair[1])

    def multiply_all() -> list[None]:
        return list(in_parallel(multiply, matrices, workers))

    ours, other = take_turns(lambda: work.run(predict), multiply_all, rounds)
    other *= flop / (repeats * workers * 2 * MATRIX**3)  # to exactly the same number of operations
    return Ratio(
        name="verify: share of the machine's matrix-multiplication rate",
        ratio=other / ours,
        ours_seconds=ours,
        other_seconds=other,
        other=f"the same floating-point operations as {MATRIX} x {MATRIX} matrix products",
        note=f"{work}; {flop / ours / 1e9:.0f} of {flop / other / 1e9:.0f} GFLOP/s. Counted for "
        f"T = {work.fmt.n_ctx - 1} tokens: 2T (L (4 H d_head d_model + 2 d_model d_mlp) + "
        "d_model d_vocab) + 4 L H T^2 d_head; nothing for the rest",
    )


def flop_per_question(config: Any, fmt: Format) -> int:
    """Floating-point operations of one pass: two for each multiply-add of a matrix product.

    Linear maps: per token and layer, Q, K, V and O are 4 H d_head d_model and the MLP 2 d_model
    d_mlp multiply-adds, and once per token the unembedding d_model d_vocab. Attention: per layer
    and head, T^2 d_head for the scores and as many for the weighted sum. Layer norms, softmax,
    embeddings, biases and everything outside the model count as nothing, so the share of the
    machine's rate is a lower bound.
    """
    tokens = fmt.n_ctx - 1
    attention = 4 * config.n_heads * config.d_head * config.d_model
    linear = (
        config.n_layers * (attention + 2 * config.d_model * config.d_mlp)
        + config.d_model * config.d_vocab
    )
    return 2 * tokens * linear + 4 * config.n_layers * config.n_heads * tokens**2 * config.d_head
