"""Where facts are edited: a circuit, and the places that it must be told from.

============  ====================================================================================
circuit       the weights that a learned mask keeps
complement    all that it leaves out
uniform       as many random weights, wherever they are
per tensor    as many random weights of each tensor
magnitude     as many weights, the largest
gradient      as many weights, those of largest |w · ∂NLL(truth)/∂w|, in absolute value batch by
              batch of 32 prompts, and summed (`rivals.gradient`)
everything    all weights
============  ====================================================================================

The complement and everything have far more weights than the others, and a longer gradient for that
alone: they are read beside the rest, not against them.
"""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from helpers.errors import LabError
from helpers.knowledge.facts.tinyworld import Facts
from helpers.knowledge.masks import rivals
from helpers.knowledge.masks.blocks import Blocks, check_mask
from helpers.knowledge.masks.search import Targets

ARMS = ("circuit", "complement", "uniform", "per tensor", "magnitude", "gradient", "everything")
BATCH = 32


def every_arm(
    blocks: Blocks, circuit: Shaped[Tensor, " weight"], truth: Facts, seed: int = 0
) -> dict[str, Float[Tensor, " weight"]]:
    """The masks of all arms, in the order of the table above.

    Args:
        circuit: A mask over the blocks (not over the whole model: see `freed`).
        truth: Facts with their true answers, whose NLL gives the gradient; not those to be edited.
        seed: Of the random masks; it may be that of the search which found the circuit.

    Raises:
        LabError: A mask of another model, one that leaves nothing out or keeps nothing, or a seed
            that is no whole number.

    >>> from helpers import zoo
    >>> from helpers.knowledge.facts import FRAMES, facts
    >>> from helpers.knowledge.masks import blocks, rivals
    >>> its = blocks.of(zoo.load("tinyworld", device="cpu"))
    >>> truth = facts("kind", ["owl", "oak"], FRAMES["kind"]["search"])
    >>> masks = every_arm(its, rivals.uniform(its, 0.25), truth)
    >>> [round(float(masks[name].mean()), 2) for name in ("circuit", "complement", "gradient")]
    [0.25, 0.75, 0.25]
    """
    blocks.tensors(circuit)
    check_mask(circuit)
    circuit = circuit.detach().to(blocks.values)
    if not circuit.any():
        raise LabError("expected a mask that keeps a weight or more", "got 0 weights")
    density = float(circuit.double().mean())
    objective = Targets(blocks, truth.tokens, truth.last, truth.answers)
    batches = torch.arange(len(truth)).split(BATCH)
    losses = [lambda values, rows=rows: objective.loss(values, rows) for rows in batches]
    return dict(
        zip(
            ARMS,
            (
                circuit,
                rivals.complement(circuit),
                rivals.uniform(blocks, density, seed),
                rivals.per_tensor(blocks, circuit, seed),
                rivals.magnitude(blocks, density),
                rivals.gradient(blocks, losses, density),
                torch.ones_like(circuit),
            ),
            strict=True,
        )
    )


def freed(whole: Blocks, mask: Shaped[Tensor, " weight"]) -> Float[Tensor, " any_weight"]:
    """A mask over the blocks as one over the whole model that leaves embeddings, positions, the
    last normalisation and the unembedding free, as the code released with arXiv 2406.17241 does.

    Args:
        whole: All weights of the model, `blocks.of(model, whole=True)`.

    Raises:
        LabError: Weights of blocks alone, or a mask that is not over the blocks.

    >>> from helpers.knowledge.facts import factnet
    >>> from helpers.knowledge.masks import blocks
    >>> model = factnet.build().model
    >>> mask = torch.zeros(len(blocks.of(model)))
    >>> whole = blocks.of(model, whole=True)
    >>> int(freed(whole, mask).sum()) == len(whole) - len(mask)
    True
    """
    inside = sum(
        size for size, kind in zip(whole.sizes, whole.kinds, strict=True) if kind != "outside"
    )
    if inside == len(whole):
        raise LabError(
            "expected all weights of a model",
            "got those of its blocks",
            hint="blocks.of(whole=True)",
        )
    if mask.shape != (inside,):
        raise LabError(
            f"expected a vector over the {inside:,} weights of this model's blocks",
            f"got shape {list(mask.shape)}",
            hint="a mask fits the model that it was learned on, and no other",
        )
    check_mask(mask)
    return torch.cat([mask.detach().to(whole.values), whole.values.new_ones(len(whole) - inside)])
