"""Speed of a verification, against greedy decoding and against the machine's own matrix multiplication."""

from collections.abc import Callable
from functools import partial

import torch

from helpers import zoo
from helpers.arithmetic.questions.format import Format
from helpers.arithmetic.verification.plan import Chunk
from helpers.arithmetic.verification.verify import BATCH_SIZE, Model, ask, greedy, predict
from helpers.model import Model
from helpers.parallel import in_parallel
from helpers.timing import Ratio, take_turns

MATRIX = 1024
"""Side of the square matrices whose multiplication sets the machine's rate: large enough to reach
it, small enough for a core's cache."""


def measure(name: str = "add-d6", questions: int = 8192, rounds: int = 5) -> list[Ratio]:
    """The two ratios of ``bench verify``.

    Args:
        name: an embedded model.
        questions: asked in every round.

    Raises:
        LabError: an unknown model.
    """
    model, fmt = zoo.load(name, device="cpu"), Format(zoo.entry(name).recipe.data["n_digits"])
    workers = torch.get_num_threads()
    size = -(
        -questions // (4 * workers)
    )  # several chunks for each worker, so that none waits long at the end
    chunks = [
        Chunk("uniform", False, start, size, (0, start)) for start in range(0, questions, size)
    ]
    work = f"{size * len(chunks)} {fmt.n_digits}-digit questions drawn, answered and counted by {name}, {workers} workers"
    return [
        _against_greedy(model, fmt, chunks, workers, rounds, work),
        _against_matmul(model, fmt, chunks, workers, rounds, work),
    ]


def _verification(
    model: Model, fmt: Format, chunks: list[Chunk], workers: int, read: Callable
) -> Callable[[], list]:
    return lambda: list(in_parallel(partial(ask, model, fmt, read=read), chunks, workers))


def _against_greedy(
    model: Model, fmt: Format, chunks: list[Chunk], workers: int, rounds: int, work: str
) -> Ratio:
    ours, other = take_turns(
        _verification(model, fmt, chunks, workers, predict),
        _verification(model, fmt, chunks, workers, greedy),
        rounds,
    )
    return Ratio(
        name="verify: one teacher-forced pass",
        ratio=other / ours,
        ours_seconds=ours,
        other_seconds=other,
        other="greedy decoding, token by token",
        note=f"{work}; both sides in batches of {BATCH_SIZE}, {_count(chunks) / ours:.0f} questions a second",
    )


def _against_matmul(
    model: Model, fmt: Format, chunks: list[Chunk], workers: int, rounds: int, work: str
) -> Ratio:
    flop = flop_per_question(model.cfg, fmt) * _count(chunks)
    repeats = max(1, round(flop / (2 * MATRIX**3) / workers))
    matrices = [
        torch.randn(2, MATRIX, MATRIX, generator=torch.Generator().manual_seed(i))
        for i in range(workers)
    ]

    def multiply(pair: torch.Tensor) -> None:
        for _ in range(repeats):
            pair[0] @ pair[1]

    ours, other = take_turns(
        _verification(model, fmt, chunks, workers, predict),
        lambda: list(in_parallel(multiply, matrices, workers)),
        rounds,
    )
    other *= flop / (repeats * workers * 2 * MATRIX**3)  # to exactly the same number of operations
    return Ratio(
        name="verify: share of the machine's matrix-multiplication rate",
        ratio=other / ours,
        ours_seconds=ours,
        other_seconds=other,
        other=f"the same floating-point operations as {MATRIX} x {MATRIX} matrix products",
        note=f"{work}; {flop / ours / 1e9:.0f} of {flop / other / 1e9:.0f} GFLOP/s. Counted for T = {fmt.n_ctx - 1} tokens: "
        "2T (L (4 H d_head d_model + 2 d_model d_mlp) + d_model d_vocab) + 4 L H T^2 d_head; nothing for the rest",
    )


def flop_per_question(config, fmt: Format) -> int:
    """Floating-point operations of one pass: matrix products only, two operations for each
    multiply-add.

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


def _count(chunks: list[Chunk]) -> int:
    return sum(chunk.count for chunk in chunks)
