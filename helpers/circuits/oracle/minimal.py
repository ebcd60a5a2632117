"""All minimal circuits, from the faithfulness of every subset of heads.

A circuit is a subset of heads whose faithfulness F is enough. It is *minimal* when none of its
proper subsets is, of whatever size: taking away several heads at once does not leave a circuit
either. (Faithfulness need not grow with the subset, so it is not the same to take away one head.)
Every circuit contains a minimal one, so that heads which are in all minimal circuits are in all
circuits. That there are several is what is meant by a circuit not being identified: the behaviour
alone does not single one out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from helpers.circuits.oracle.subsets import Known
from helpers.errors import LabError
from helpers.interventions import Head


@dataclass(frozen=True)
class Minimal:
    """The minimal circuits of a model, as numbers of subsets (bit i: head i is kept), the smaller
    ones first.

    Attributes:
        heads: layer by layer.
        circuits: circuits without a proper subset that is one.
        smallest: circuits of the smallest size; all of them are minimal.
        n_faithful: how many subsets are circuits at all.
    """

    heads: tuple[Head, ...]
    circuits: Int[ndarray, " circuit"]
    smallest: Int[ndarray, " circuit"]
    n_faithful: int

    def has(self) -> Bool[ndarray, "circuit head"]:
        """Which heads each minimal circuit has."""
        return (self.circuits[:, None] >> np.arange(len(self.heads)) & 1).astype(bool)

    def named(self) -> list[list[Head]]:
        """The heads of each minimal circuit."""
        return [
            [head for head, inside in zip(self.heads, row, strict=True) if inside]
            for row in self.has()
        ]

    @property
    def share(self) -> dict[Head, float]:
        """In which share of the minimal circuits each head is."""
        counts = self.has().sum(0) / max(1, len(self.circuits))
        return dict(zip(self.heads, counts.tolist(), strict=True))

    @property
    def core(self) -> list[Head]:
        """Heads that are in every minimal circuit, and so in every circuit."""
        return [head for head, share in self.share.items() if share == 1]

    @property
    def unused(self) -> list[Head]:
        """Heads that are in no minimal circuit."""
        return [head for head, share in self.share.items() if share == 0]

    def never_together(self) -> list[tuple[Head, Head]]:
        """Pairs of heads each of which is in some minimal circuit, but never in the same one."""
        has = self.has().astype(int)
        together, alone = has.T @ has, has.sum(0)
        apart = (together == 0) & (alone[:, None] > 0) & (alone > 0)
        return [(self.heads[i], self.heads[j]) for i, j in np.argwhere(np.triu(apart, 1)).tolist()]

    def substitutes(self) -> dict[tuple[Head, Head], int]:
        """Pairs of heads that stand in for each other, most often first: in how many pairs of
        minimal circuits one has the first head where the other has the second, and all else is the
        same."""
        known, found = set(self.circuits.tolist()), {}
        for i in range(len(self.heads)):
            for j in range(i + 1, len(self.heads)):
                both = 1 << i | 1 << j
                count = sum(
                    1 for circuit in known if circuit & both == 1 << i and circuit ^ both in known
                )
                if count:
                    found[self.heads[i], self.heads[j]] = count
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def minimal(
    known: Known | Float[Tensor, " subset"] | Float[ndarray, " subset"],
    enough: float = 0.8,
    within: float | None = None,
    heads: Sequence[Head] | None = None,
) -> Minimal:
    """All minimal circuits, and among them the smallest.

    Args:
        known: an oracle, or the faithfulness of all 2^n subsets.
        enough: the least faithfulness of a circuit.
        within: if given, a circuit's faithfulness is at most 1 + within; 1 - enough makes both
            sides alike.
        heads: names for the bits of plain numbers; by default (0, 0), (0, 1), …

    Returns:
        Circuits; none where nothing is faithful, which cannot be for ``enough <= 1``, as all heads
        have F = 1.

    Raises:
        LabError: numbers of subsets that are not 2^n, values that are not finite, or other than one
            name a head.

    >>> minimal(np.array([0.0, 0.9, 0.9, 1.0])).named()
    [[(0, 0)], [(0, 1)]]
    """
    if isinstance(known, Known):
        values, heads = np.asarray(known.faithfulness), known.heads
    else:
        values = np.asarray(known, dtype=np.float64)
    n_heads = len(values).bit_length() - 1 if values.ndim == 1 else -1
    if n_heads < 1 or len(values) != 1 << n_heads or not np.isfinite(values).all():
        raise LabError(
            "expected a finite faithfulness for each of 2^n subsets",
            f"got values of shape {values.shape}",
        )
    names = tuple(heads) if heads is not None else tuple((0, head) for head in range(n_heads))
    if len(names) != n_heads:
        raise LabError(f"expected {n_heads} names of heads", f"got {len(names)}")
    faithful = values >= enough
    if within is not None:
        faithful &= values <= 1 + within
    below = faithful.astype(
        np.int64
    )  # becomes the number of circuits among all subsets of a subset, itself included
    for head in range(n_heads):
        pairs = below.reshape(-1, 2, 1 << head)
        pairs[:, 1] += pairs[:, 0]
    circuits = np.flatnonzero(faithful & (below == 1))
    sizes = np.array([int(circuit).bit_count() for circuit in circuits], dtype=int)
    order = np.argsort(sizes, kind="stable")
    circuits, sizes = circuits[order], sizes[order]
    smallest = circuits[sizes == sizes[0]] if len(circuits) else circuits
    return Minimal(names, circuits, smallest, int(faithful.sum()))
