"""What each head contributes to a behaviour, averaged over all orders in which heads can be added.

A game gives a value v(S) to every subset S of n players: here the heads that are kept, and a
model's mean behaviour or its faithfulness. The Shapley value (Shapley 1953) is the one way to share
out v(all) - v(none) that is linear, treats equal players equally and gives nothing to a player who
changes nothing:

    phi(i)  =  sum over S without i of  |S|! (n - |S| - 1)! / n!  (v(S + i) - v(S))

The interaction index of two players (Grabisch and Roubens 1999) says how much more they bring
together:

    I(i, j)  =  sum over S without i, j of
                |S|! (n - |S| - 2)! / (n - 1)!  (v(S + i + j) - v(S + i) - v(S + j) + v(S))

Positive: each needs the other. Negative: one can stand in for the other. Where not all subsets can
be tried, `sampled` averages over random orders (Castro, Gómez and Tejada 2009). Subsets are
numbers: bit i of S is player i.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from helpers.circuits.judging.metrics import numbers
from helpers.circuits.oracle.exhaustive import reference_replacements
from helpers.circuits.tasks.twins import Twins, real
from helpers.errors import LabError
from helpers.interventions import Ablation
from helpers.model import Model
from helpers.texts import Prompts

Values = Float[Tensor, "subset *prompt"] | Float[ndarray, "subset *prompt"]


def _players(values: Values) -> tuple[Float[ndarray, "subset *prompt"], int]:
    game = numbers(values, "values of subsets")
    n_players = len(game).bit_length() - 1 if game.ndim else -1
    if n_players < 1 or len(game) != 1 << n_players or not np.isfinite(game).all():
        raise LabError(
            "expected a finite value for each of 2^n subsets", f"got values of shape {game.shape}"
        )
    return game, n_players


def _sizes(n_players: int) -> ndarray:
    sizes = np.zeros(1, dtype=int)
    for _ in range(n_players):
        sizes = np.concatenate([sizes, sizes + 1])
    return sizes


def _gains(game: Float[ndarray, "subset *prompt"], player: int) -> Float[ndarray, "half *prompt"]:
    """v(S + i) - v(S) for every S without the player; their numbers close up where its bit was."""
    pairs = game.reshape(-1, 2, 1 << player, *game.shape[1:])
    return (pairs[:, 1] - pairs[:, 0]).reshape(-1, *game.shape[1:])


def _weights(n_players: int, apart: int) -> Float[ndarray, " subset"]:
    """Weight s! (m - s)! / (m + 1)! of each subset of the other m players, without `apart`."""
    m = n_players - apart
    return np.array([1 / ((m + 1) * math.comb(m, size)) for size in _sizes(m)])


def exact(values: Values) -> Float[ndarray, "player *prompt"]:
    """Shapley values from the values of all subsets; of each prompt where values are per prompt.

    Raises:
        LabError: Values of a number of subsets that is not 2^n, or values that are not finite.

    >>> exact(np.array([0.0, 0.0, 0.0, 1.0])).tolist()  # worth something only together
    [0.5, 0.5]
    """
    game, n_players = _players(values)
    weights = _weights(n_players, 1)
    return np.array([np.tensordot(weights, _gains(game, player), 1) for player in range(n_players)])


def interactions(values: Values) -> Float[ndarray, "player player"]:
    """Shapley interaction index of each two players; 0 on the diagonal.

    Raises:
        LabError: As for `exact`, or values of several prompts.

    >>> interactions(np.array([0.0, 1.0, 1.0, 1.0])).tolist()  # one can stand in for the other
    [[0.0, -1.0], [-1.0, 0.0]]
    """
    game, n_players = _players(values)
    if game.ndim != 1:
        raise LabError(
            "expected one value per subset for interactions", f"got values of shape {game.shape}"
        )
    index = np.zeros((n_players, n_players))
    for second in range(1, n_players):
        with_second, weights = _gains(game, second), _weights(n_players, 2)
        for first in range(second):  # below the bit that was closed up: its own has not moved
            index[first, second] = index[second, first] = weights @ _gains(with_second, first)
    return index


@dataclass(frozen=True)
class Estimate:
    """Shapley values from random orders.

    Attributes:
        values: The mean gain of each player; they add up to v(all) - v(none).
        errors: Their standard errors.
        evaluations: How many different subsets were evaluated.
    """

    values: Float[ndarray, " player"]
    errors: Float[ndarray, " player"]
    evaluations: int


def sampled(
    evaluate: Callable[[int], float], n_heads: int, permutations: int = 50, seed: int = 0
) -> Estimate:
    """Shapley values from random orders.

    Heads are added one by one, and each is credited with what it changes. This costs at most
    ``permutations * (n_heads - 1) + 2`` evaluations; no subset is evaluated twice. The standard
    error falls as one over the root of `permutations`.

    Args:
        evaluate: Gives the value of a subset of kept heads, by its number; see `by_hooks`.
        permutations: Number of random orders.
        seed: Seed of the orders.

    Raises:
        LabError: No heads, fewer than two permutations, or a value that is not finite.
    """
    if n_heads < 1 or permutations < 2:
        raise LabError(
            "expected at least 1 head and 2 permutations", f"got {n_heads} and {permutations}"
        )
    rng = np.random.default_rng(seed)

    @cache
    def value(subset: int) -> float:
        number = float(evaluate(subset))
        if not math.isfinite(number):
            raise LabError(
                "expected finite values of subsets", f"got {number} for subset {subset:#x}"
            )
        return number

    gains = np.zeros((permutations, n_heads))
    for row in gains:
        subset = 0
        for head in rng.permutation(n_heads).tolist():
            row[head] = value(subset | 1 << head) - value(subset)
            subset |= 1 << head
    errors = gains.std(0, ddof=1) / math.sqrt(permutations)
    return Estimate(gains.mean(0), errors, evaluations=value.cache_info().misses)


def by_hooks(
    model: Model, twins: Twins, ablation: Ablation = "mean", reference: Prompts | None = None
) -> Callable[[int], Float[Tensor, " prompt"]]:
    """The behaviour of any bridge model with a subset of its heads, by one forward pass with hooks.

    Heads count layer by layer, any number of them; those not kept are ablated as in
    `helpers.circuits.oracle.exhaustive`. What it returns gives the metric of each prompt; for
    `sampled`, take the mean: ``lambda subset: float(run(subset).mean())``.

    Raises:
        LabError: An unknown ablation, no prompts, no reference prompts for a mean.
    """
    replaced = reference_replacements(model, twins, ablation, reference)
    mask = real(twins.clean)[..., None]
    n_heads = model.cfg.n_heads

    def hook_of(layer: int, gone: list[int]):
        def write(z: Float[Tensor, "prompt pos head d_head"], hook):
            z = z.clone()
            for head in gone:
                z[:, :, head] = torch.where(
                    mask.to(z.device), replaced[layer, :, :, head].to(z), z[:, :, head]
                )
            return z

        return f"blocks.{layer}.attn.hook_z", write

    @torch.no_grad()
    def run(subset: int) -> Float[Tensor, " prompt"]:
        gone = [
            [head for head in range(n_heads) if not subset >> (layer * n_heads + head) & 1]
            for layer in range(len(replaced))
        ]
        hooks = [hook_of(layer, heads) for layer, heads in enumerate(gone) if heads]
        logits = model.run_with_hooks(
            twins.clean.tokens.to(next(model.parameters()).device), fwd_hooks=hooks
        ).cpu()
        return twins.behaviour(logits[torch.arange(len(twins)), twins.clean.last])

    return run
