"""Which heads are "the circuit": minimal circuits, and every definition that the oracle allows.

A circuit is a subset of heads whose faithfulness F is enough. It is *minimal* when none of its
proper subsets is, of whatever size: taking away several heads at once does not leave a circuit
either. (Faithfulness need not grow with the subset, so it is not the same to take away one head.)
Every circuit contains a minimal one, so that heads which are in all minimal circuits are in all
circuits. That there are several is what is meant by a circuit not being identified: the behaviour
alone does not single one out. So there are several definitions of the heads that count, and a
verdict should not hang on one of them:

===========  =======================================================================================
"smallest"   heads of any circuit of the smallest size: who finds one of them has found a circuit
"core"       heads that are in every circuit: without one of them there is none
"Shapley"    heads whose Shapley value of faithfulness is at least `SHARE`
===========  =======================================================================================

The first definition is the one that scores are held against where nothing else is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from helpers.circuits.judging.metrics import membership, numbers
from helpers.circuits.oracle import shapley
from helpers.circuits.oracle.subsets import SubsetTable
from helpers.errors import LabError
from helpers.interventions import Head

Definition = Literal["smallest", "core", "Shapley"]
KINDS: tuple[Definition, ...] = get_args(Definition)
ENOUGH = 0.8
"""The least faithfulness of a circuit."""
SHARE = 0.05
"""The least Shapley value of a head that counts, as a share of the behaviour."""


@dataclass(frozen=True)
class Minimal:
    """The minimal circuits of a model, as numbers of subsets (bit i: head i is kept).

    Attributes:
        heads: The heads, layer by layer.
        circuits: Circuits without a proper subset that is one, the smaller ones first.
        smallest: Circuits of the smallest size; all of them are minimal.
        n_faithful: How many subsets are circuits at all.
    """

    heads: tuple[Head, ...]
    circuits: Int[ndarray, " circuit"]
    smallest: Int[ndarray, " smallest"]
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


def minimal(
    table: SubsetTable | Float[Tensor, " subset"] | Float[ndarray, " subset"],
    enough: float = ENOUGH,
    within: float | None = None,
    heads: Sequence[Head] | None = None,
) -> Minimal:
    """All minimal circuits, and among them the smallest.

    Args:
        table: An oracle, its summary, or the faithfulness of all 2^n subsets.
        enough: The least faithfulness of a circuit.
        within: If given, a circuit's faithfulness is at most 1 + within; 1 - enough makes both
            sides alike.
        heads: Names for the bits of plain numbers; by default (0, 0), (0, 1), …

    Returns:
        Circuits; none where nothing is faithful, which cannot be for ``enough <= 1``, as all heads
        have F = 1.

    Raises:
        LabError: A number of subsets that is not 2^n, values that are not finite, or not exactly
            one name per head.

    >>> minimal(np.array([0.0, 0.9, 0.9, 1.0])).named()
    [[(0, 0)], [(0, 1)]]
    """
    if isinstance(table, SubsetTable):
        values, heads = np.asarray(table.faithfulness), table.heads
    else:
        values = numbers(table, "faithfulness of subsets")
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
    below = faithful.astype(np.int64)  # becomes the number of circuits inside each subset
    for head in range(n_heads):
        pairs = below.reshape(-1, 2, 1 << head)
        pairs[:, 1] += pairs[:, 0]
    circuits = np.flatnonzero(faithful & (below == 1))
    sizes = np.array([int(circuit).bit_count() for circuit in circuits], dtype=int)
    order = np.argsort(sizes, kind="stable")
    circuits, sizes = circuits[order], sizes[order]
    smallest = circuits[sizes == sizes[0]] if len(circuits) else circuits
    return Minimal(names, circuits, smallest, int(faithful.sum()))


def labels(
    table: SubsetTable, kind: Definition = "smallest", enough: float = ENOUGH
) -> Bool[ndarray, " head"]:
    """Which heads belong to the circuit, by one of the definitions.

    Raises:
        LabError: Another definition, or behaviour that is worse with the heads than without:
            faithfulness then says how well a subset spoils it.
    """
    if kind not in KINDS:
        raise LabError(f"expected a definition of the circuit: {', '.join(KINDS)}", f"got {kind!r}")
    if table.full < table.none:
        raise LabError(
            "expected heads that help: a higher metric with all of them than with none",
            f"got {table.full:.4g} with all and {table.none:.4g} with none",
            hint="are prompts and twins swapped, or right and wrong words?",
        )
    if kind == "Shapley":
        return shapley.exact(table.faithfulness) >= SHARE
    circuits = minimal(table, enough)
    if kind == "core":
        return membership(table.heads, circuits.core)
    in_any = np.bitwise_or.reduce(circuits.smallest)
    return membership(table.heads, table.kept(int(in_any)))
