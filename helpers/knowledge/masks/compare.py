"""What masks have in common, beside what they would have by chance; and what they are made of.

Of a mask A and a mask B, *containment* is the share of A that B keeps as well, |A ∩ B| / |A|. It is
read against three numbers:

- *uniform*: |B| / n, the containment in a random mask of B's size;
- *per tensor*: Σ aₜ bₜ / nₜ / Σ aₜ over the tensors, of which A keeps aₜ, B keeps bₜ of nₜ weights:
  the containment if B kept as many weights of every tensor, but random ones. Two masks that both
  like normalisations and late layers overlap above `uniform` without a single weight in common by
  more than chance;
- the same task searched again with another seed: a mask that does not find itself again cannot be
  found in another task's either.

What a mask consists of can be told in two ways that are easily taken for each other. The *keep
rate* of normalisations is the share of their weights that is kept; their *share* is the share of
the kept weights that are normalisations'. With 0.4 % of all weights they can be kept at 60 % and
still be 0.5 % of a circuit.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from helpers.errors import LabError
from helpers.knowledge.masks.blocks import KINDS, Blocks, check_mask


@dataclass(frozen=True)
class Overlap:
    """How much of one mask another keeps, and how much it would by chance."""

    containment: float
    uniform: float
    per_tensor: float

    @property
    def above(self) -> float:
        """Containment less what numbers of weights in each tensor explain."""
        return self.containment - self.per_tensor


def overlap(
    blocks: Blocks, first: Float[Tensor, " weight"], second: Float[Tensor, " weight"]
) -> Overlap:
    """How much of the first mask the second keeps.

    Raises:
        LabError: A mask of another model, one that is not of 0 and 1, or a first one that keeps
            nothing.

    >>> from helpers.knowledge.facts import factnet
    >>> from helpers.knowledge.masks import blocks, rivals
    >>> its = blocks.of(factnet.build().model)
    >>> drawn = [rivals.uniform(its, 0.1, seed) for seed in (0, 1)]
    >>> round(overlap(its, *drawn).containment, 1), round(overlap(its, *drawn).uniform, 1)
    (0.1, 0.1)
    """
    ours, theirs = blocks.tensors(first), blocks.tensors(second)
    check_mask(first)
    check_mask(second)
    kept = _counted(first)
    by_chance = sum(
        int(ours[name].count_nonzero()) * int(theirs[name].count_nonzero()) / ours[name].numel()
        for name in blocks.names
    )
    both = int((first * second).count_nonzero())
    uniform = int(second.count_nonzero()) / len(second)
    return Overlap(both / kept, uniform, by_chance / kept)


def _counted(mask: Float[Tensor, " weight"]) -> int:
    """How many weights a mask of 0 and 1 keeps, to the last one; none is refused."""
    kept = int(mask.count_nonzero())
    if not kept:
        raise LabError("expected a mask that keeps a weight or more", "got 0 weights")
    return kept


@dataclass(frozen=True)
class Part:
    """Attention, MLP or normalisation in a mask.

    Attributes:
        kind: Which of them.
        weights: How many weights the model has of it.
        keep_rate: Share of these that the mask keeps.
        share: Share of the mask's weights that are these.
        enrichment: Keep rate over the mask's density.
    """

    kind: str
    weights: int
    keep_rate: float
    share: float
    enrichment: float


def composition(blocks: Blocks, mask: Float[Tensor, " weight"]) -> list[Part]:
    """What a mask keeps of attention, MLPs and normalisations.

    Raises:
        LabError: A mask of another model, or one that keeps nothing.
    """
    tensors = list(blocks.tensors(mask).values())
    check_mask(mask)
    total = _counted(mask)
    parts = []
    for kind in KINDS:
        of_kind = [t for t, name in zip(tensors, blocks.kinds, strict=True) if name == kind]
        weights = sum(tensor.numel() for tensor in of_kind)
        if weights:
            kept = sum(int(tensor.count_nonzero()) for tensor in of_kind)
            density = total / len(mask)
            rate = kept / weights
            parts.append(Part(kind, weights, rate, kept / total, rate / density))
    return parts
