"""Which operations use which nodes, and whether two models use the same ones.

A node is *used* by an operation when ablating this node alone breaks questions of it: one question
at least is the criterion of arXiv 2402.02619 ("useful nodes"), which finds the more nodes the more
questions are asked; a share of the questions is one that does not. Only questions that the intact
model answers right can break.

*Locations* are nodes named by position, layer and head, whatever the head has become. Two controls
say what an overlap of locations is worth:

- **random**: sets with as many nodes at every position, drawn from all heads and MLPs there (1000
  draws, seeded). Most of the work is done at the answer positions in any model, so this much
  overlap needs no reuse.
- **heads**: all renamings of the heads within each layer of the source, the same at all positions.
  If a model took over the source's heads, the names as they are must do better than others. For a
  model from scratch the names mean nothing; the fair number for it is the *best* renaming, and the
  same best is given for every model.

MLPs keep their name under every renaming, and where most heads of a layer are used, so do the heads
in effect: every renaming overlaps nearly as much, and a table of locations says little about reuse,
however high its shares are. `transfer` asks what the heads do.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import permutations, product
from math import ceil
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy import ndarray

from helpers.arithmetic.circuit.sufficiency import OPERATIONS, AblationBench
from helpers.errors import LabError
from helpers.interventions import Ablation, Node
from helpers.runtime import progress

DRAWS = 1000
Measure = Literal["kept", "jaccard", "unnamed"]


@dataclass(frozen=True)
class Use:
    """How many questions break when one node is ablated, for every node of a model.

    Attributes:
        broken: Number of questions, for each operation asked; units are the heads in order, and the
            MLP last.
        asked: Questions of each operation that the intact model answers right.
    """

    broken: dict[str, Int[ndarray, "pos layer unit"]]
    asked: dict[str, int]

    def used(self, operation: str, share: float = 0.0) -> Bool[ndarray, "pos layer unit"]:
        """Nodes without which at least one question breaks, and at least a share of them.

        >>> Use({"ADD": np.array([[[0, 1, 5]]])}, {"ADD": 100}).used("ADD", share=0.05).tolist()
        [[[False, False, True]]]
        """
        return self.broken[operation] >= max(1, ceil(share * self.asked[operation]))

    def useful(self, share: float = 0.0) -> Bool[ndarray, "pos layer unit"]:
        """Nodes that some operation uses."""
        return np.any([self.used(operation, share) for operation in self.broken], axis=0)

    def to_json(self) -> dict:
        return {
            "broken": {name: counts.tolist() for name, counts in self.broken.items()},
            "asked": self.asked,
        }

    @classmethod
    def from_json(cls, fields: dict) -> "Use":
        return cls(
            {name: np.array(counts) for name, counts in fields["broken"].items()},
            dict(fields["asked"]),
        )


def use(bench: AblationBench, ablation: Ablation = "mean") -> Use:
    """Ablate every node alone and count the questions that break."""
    cfg, intact = bench.model.cfg, bench.right([]).all(1)
    if ablation == "mean":  # once for all nodes; the mean of one row is that row
        bench = replace(bench, reference=bench.reference.mean())
    names = [name for name in OPERATIONS.values() if name in bench.operations]
    groups = {
        name: intact & torch.tensor([name == other for other in bench.operations]) for name in names
    }
    shape = bench.fmt.n_ctx - 1, cfg.n_layers, cfg.n_heads + 1
    broken = {name: np.zeros(shape, dtype=int) for name in names}
    for node in progress(bench.nodes, f"{ablation} ablation"):
        wrong = ~bench.right([node], ablation).all(1)
        for name, group in groups.items():  # head -1, an MLP, is the last unit
            broken[name][node.position, node.layer, node.head] = int((wrong & group).sum())
    return Use(broken, {name: int(group.sum()) for name, group in groups.items()})


def nodes_of(mask: Bool[ndarray, "pos layer unit"]) -> list[Node]:
    """The nodes of a mask, sorted."""
    last = mask.shape[2] - 1
    return sorted(
        Node(int(p), int(layer), -1 if unit == last else int(unit))
        for p, layer, unit in np.argwhere(mask)
    )


def located(
    mask: Bool[ndarray, "pos layer unit"], n_layers: int, n_heads: int
) -> Bool[ndarray, "pos layer2 unit2"]:
    """The same locations in a model of at least as many layers and heads."""
    positions, layers, units = mask.shape
    wider = np.zeros((positions, n_layers, n_heads + 1), dtype=bool)
    wider[:, :layers, : units - 1] = mask[..., :-1]
    wider[:, :layers, -1] = mask[..., -1]
    return wider


def node_counts(
    use: Use, share: float = 0.0, among: Bool[ndarray, "pos layer unit"] | None = None
) -> dict[str, int]:
    """How many nodes each operation uses, and how many are used by one, two and three operations.

    Args:
        share: Threshold of `Use.used`.
        among: The nodes to count; by default all that are useful.

    Returns:
        ``nodes`` (all that are counted), ``ADD``, ``SUB``, ``NEG``, ``none``, ``one``, ``two``,
        ``three``.
    """
    counted = use.useful(share) if among is None else among
    used = {name: use.used(name, share) & counted for name in use.broken}
    how_many = np.sum(list(used.values()), axis=0)[counted]
    sizes = {
        name: int((how_many == number).sum())
        for number, name in enumerate(("none", "one", "two", "three"))
    }
    return {
        "nodes": int(counted.sum()),
        **{name: int(mask.sum()) for name, mask in used.items()},
        **sizes,
    }


@dataclass(frozen=True)
class Chance:
    """A share, and what it is worth.

    Attributes:
        observed: The share with the locations as they are.
        random, random_p: Mean over random sets with as many nodes at every position, and the share
            of such sets, the observed one among them, that reach the observed value.
        heads, heads_p: Mean over all renamings of the heads, and the share of renamings that reach
            the observed value.
        best: The highest value that a renaming reaches.
    """

    observed: float
    random: float
    random_p: float
    heads: float
    heads_p: float
    best: float


def matched(
    locations: Bool[ndarray, "pos layer unit"], draws: int, seed: int
) -> Bool[ndarray, "draw pos layer unit"]:
    """Random sets with as many nodes at every position."""
    rng = np.random.default_rng(seed)
    order = rng.random((draws, len(locations), locations[0].size)).argsort(-1).argsort(-1)
    return (order < locations.sum((1, 2))[:, None]).reshape(draws, *locations.shape)


def renamings(n_layers: int, n_heads: int) -> Iterable[tuple[tuple[int, ...], ...]]:
    """All ways to rename the heads of each of the first layers; the first changes nothing."""
    return product(permutations(range(n_heads)), repeat=n_layers)


def rename(
    mask: Bool[ndarray, "pos layer unit"], renaming: tuple[tuple[int, ...], ...]
) -> Bool[ndarray, "pos layer unit"]:
    """Head h of layer l of the result is head ``renaming[l][h]`` of `mask`."""
    renamed = mask.copy()
    for layer, heads in enumerate(renaming):
        renamed[:, layer, :-1] = mask[:, layer, list(heads)]
    return renamed


def overlap(
    locations: Bool[ndarray, "pos layer unit"],
    used: Bool[ndarray, "pos layer2 unit2"],
    measure: Measure = "kept",
    seed: int = 0,
) -> Chance:
    """How far a target uses the locations that its source uses.

    Args:
        locations: Nodes of the source (`Use.used`, `Use.useful`).
        used: Nodes of the target, of at least as many layers and heads.
        measure: ``"kept"``, the share of the locations that the target uses; ``"jaccard"``, the
            nodes used by both over the nodes used by either, anywhere in the target; or
            ``"unnamed"``, as ``"kept"``, but any heads of the layer at the position will do, as
            many as the source uses there. That is the most that renaming could give, even if heads
            were renamed at each position anew.
        seed: Seed of the random sets.

    Raises:
        LabError: Another measure.

    >>> source = np.array([[[True, False, True]]])
    >>> overlap(source, np.array([[[True, False, False]]])).observed
    0.5
    """
    if measure not in get_args(Measure):
        raise LabError(
            f"expected a measure among {', '.join(get_args(Measure))}", f"got {measure!r}"
        )
    n_layers, n_heads = used.shape[1], used.shape[2] - 1
    here = located(locations, n_layers, n_heads)

    def value(chosen: Bool[ndarray, "... pos layer unit"]) -> ndarray:
        both, whole = (chosen & used).sum((-3, -2, -1)), chosen
        if measure == "jaccard":
            whole = chosen | used
        elif measure == "unnamed":
            heads = np.minimum(chosen[..., :-1].sum(-1), used[..., :-1].sum(-1)).sum((-2, -1))
            both = heads + (chosen & used)[..., -1].sum((-2, -1))
        return both / np.maximum(whole.sum((-3, -2, -1)), 1)

    observed = float(value(here))
    drawn = value(matched(here, DRAWS, seed))
    names = renamings(locations.shape[1], n_heads)
    named = value(np.stack([rename(here, renaming) for renaming in names]))
    reach = observed - 1e-12
    random_p = (1 + int((drawn >= reach).sum())) / (1 + DRAWS)
    return Chance(
        observed,
        float(drawn.mean()),
        random_p,
        float(named.mean()),
        float((named >= reach).mean()),
        float(named.max()),
    )
