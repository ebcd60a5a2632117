"""What a score has to beat: rankings of heads that need no autoencoder, no training, or not even
the labels.

Each takes what heads write on clean prompts and on their twins, and gives one score per head, as
the discrete SAE does.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from helpers.circuits.codes import scores
from helpers.circuits.codes.discrete_sae import Settings, check, look, train
from helpers.errors import LabError

Writes = Float[Tensor, "prompt head d_model"]
Scores = Float[Tensor, " head"]
Rows = Shaped[Tensor, "_prompt *shape"]
"""Writes or codes of prompts."""


def random(positive: Writes, negative: Writes, seed: int = 0) -> Scores:
    """Numbers without any meaning."""
    return torch.rand(positive.shape[1], generator=torch.Generator().manual_seed(seed))


def write_norm(positive: Writes, negative: Writes, seed: int = 0) -> Scores:
    """Mean length of what a head writes on the clean prompts."""
    return look(positive).norm(dim=-1).mean(0)


def mean_difference(positive: Writes, negative: Writes, seed: int = 0) -> Scores:
    """Length of the difference between a head's mean writes on clean prompts and on twins."""
    return (look(positive).mean(0) - look(negative).mean(0)).norm(dim=-1)


def paired_difference(positive: Writes, negative: Writes, seed: int = 0) -> Scores:
    """Mean length of the difference between a head's writes on a clean prompt and on its own twin.

    Raises:
        LabError: not one twin per prompt.
    """
    if len(positive) != len(negative):
        raise LabError(
            "expected one twin per prompt", f"got {len(positive)} prompts and {len(negative)} twins"
        )
    return (look(positive) - look(negative)).norm(dim=-1).mean(0)


def untrained_codes(
    positive: Writes, negative: Writes, seed: int = 0, settings: Settings | None = None
) -> Scores:
    """The discrete SAE's score with the autoencoder as it is before its first step."""
    shape = settings or Settings()
    untrained = train(positive.flatten(0, 1), replace(shape, steps=0), (seed,))
    return scores.node_scores(untrained.codes(positive), untrained.codes(negative))


def k_means_codes(
    positive: Writes,
    negative: Writes,
    seed: int = 0,
    clusters: int = 200,
    vectors: Float[Tensor, "vector d_model"] | None = None,
) -> Scores:
    """The discrete SAE's score with the nearest of k means as the code, without an autoencoder.

    Args:
        clusters: Number of means, at most one per vector. With as many, the code is the nearest
            vector.
        vectors: Vectors that the means are fitted to; by default all those that are scored.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    both = torch.cat([check(positive), check(negative)])
    scored = both.flatten(0, 1).numpy()
    fitted = scored if vectors is None else check(vectors).numpy()
    means = KMeans(
        min(clusters, len(fitted)),
        n_init=1,  # pyright: ignore[reportArgumentType] - guessed from the default, "auto"
        max_iter=100,
        random_state=seed,
    )
    with threadpool_limits(1):  # two threads on so small a problem wait for each other
        nearest = np.asarray(means.fit(fitted).predict(scored), dtype=np.int64)
    codes = torch.from_numpy(nearest).unflatten(0, both.shape[:2])
    return scores.node_scores(codes[: len(positive)], codes[len(positive) :])


def shuffled(positive: Rows, negative: Rows, seed: int = 0) -> tuple[Rows, Rows]:
    """The same prompts, dealt out anew to the two classes: what is scored on them is a null."""
    both = torch.cat([positive, negative])
    both = both[torch.randperm(len(both), generator=torch.Generator().manual_seed(seed))]
    return both[: len(positive)], both[len(positive) :]
