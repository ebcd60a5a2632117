"""The exact oracle: a model's behaviour with every subset of its heads.

Statements about circuits can be checked against it. A head that is kept computes as ever. Every
other head is *ablated*, at all tokens of the prompt that are not padding, by

* ``mean``: the mean of its z over all tokens of reference prompts (as
  `helpers.tinyworld.models.head_effects.HeadEffects` does), or by
* ``resample``: its z on the prompt's corrupted twin, at the same position.

In the words of Miller, Chughtai and Saunders (arXiv 2407.08734): granularity heads; component nodes
(their z, before W_O); ablation mean or resample; positions all real ones; direction clean to
ablated; set the complement of the subset. Faithfulness takes means over prompts first, then one
ratio (*mean-then-ratio*):

    F(C)  =  (m(C) - m(none)) / (m(full) - m(none))

with m the mean of the metric over the prompts: 0 when every head is ablated, 1 for the whole model.
"""

import time
from decimal import Decimal

import torch
from jaxtyping import Float
from torch import Tensor

from helpers.circuits.graph.architecture import unknown_settings
from helpers.circuits.oracle import tree
from helpers.circuits.oracle.subsets import Oracle
from helpers.circuits.tasks.twins import Twins, check_pairs, check_readable, real
from helpers.errors import LabError
from helpers.inputs import within
from helpers.interventions import Ablation, collect
from helpers.model import Model
from helpers.parallel import in_parallel
from helpers.runtime import cores, progress
from helpers.texts import Prompts, final_logits

ABLATIONS: tuple[Ablation, ...] = ("mean", "resample")
MOST_HEADS = 16
SAMPLED = "estimate Shapley values with helpers.circuits.oracle.shapley.sampled"
FASTER = 100
"""How many times faster the tree is at least than one subset after the other.

`python -m helpers bench oracle` measures it.
"""


@torch.no_grad()
def reference_replacements(
    model: Model, twins: Twins, ablation: Ablation, reference: Prompts | None
) -> Float[Tensor, "layer prompt pos head d_head"]:
    """What replaces the z of every head at every token.

    It is the head's mean over the tokens of the reference prompts, or its z on the twin.

    Raises:
        LabError: An ablation that is not one of `ABLATIONS`, prompts that the model cannot read, or
            no reference prompts for a mean.
    """
    if ablation not in ABLATIONS:
        raise LabError(f"expected an ablation: {', '.join(ABLATIONS)}", f"got {ablation!r}")
    check_pairs(model, twins)
    if reference and ablation == "mean":
        check_readable(model, reference)
    if ablation == "resample":
        return collect(model, twins.corrupted.tokens)[0].z
    if reference is None or len(reference) == 0:
        raise LabError(
            "expected reference prompts for the mean of each head",
            "got none",
            hint="pass prompts of the same task, drawn with another seed",
        )
    z, counted = collect(model, reference.tokens)[0].z, real(reference)[..., None, None]
    mean = (z * counted).sum((1, 2)) / counted.sum()  # [layer, head, d_head]
    return mean[:, None, None].expand(-1, *twins.clean.tokens.shape, -1, -1)


@torch.no_grad()
def oracle(
    model: Model,
    twins: Twins,
    ablation: Ablation = "mean",
    reference: Prompts | None = None,
    workers: int | None = None,
    most: int = MOST_HEADS,
) -> Oracle:
    """The behaviour of a small native model with every subset of its heads, by `tree`.

    Args:
        ablation: What replaces the heads that are not kept (see the module docstring).
        reference: Prompts of the means, for ``mean`` only.
        workers: Number of threads, of one core each; all cores if left out.
        most: The largest number of heads. Each one more takes twice the time, and twice the memory
            for the result.

    Raises:
        LabError: More heads than `most`; a model that the tree does not compute; no prompts;
            behaviour that is NaN or infinite for some subset, or the same with all heads and with
            none.
    """
    layers, columns = range(model.cfg.n_layers), range(model.cfg.n_heads)
    heads = tuple((layer, head) for layer in layers for head in columns)
    if len(heads) <= most:  # of prompts and twins for a model that is refused nobody needs to hear
        tree.check_supported(model)
    replaced = reference_replacements(model, twins, ablation, reference)
    if len(heads) > most:
        raise _too_many(model, twins, len(heads), most)
    weights = tree.read_weights(model)

    def behaviour(row: int) -> Float[Tensor, " subset"]:
        length = int(twins.clean.last[row]) + 1
        tokens, other = twins.clean.tokens[row, :length], replaced[:, row, :length].float()
        with torch.no_grad():  # a setting of each thread
            return tree.Tree(weights, tokens, other, tree.reader(weights, twins, row)).behaviour()

    rows = in_parallel(behaviour, range(len(twins)), workers or cores())
    label = f"{twins.clean.name}, {ablation}: every subset of {len(heads)} heads"
    behaviours = torch.stack(list(progress(rows, label, total=len(twins))), 1)
    measured = Oracle(heads, twins.clean.name, twins.metric, ablation, behaviours)
    _check_full(model, twins, measured)
    return measured


def _too_many(model: Model, twins: Twins, n_heads: int, most: int) -> LabError:
    began = time.perf_counter()
    final_logits(model, twins.clean)
    subsets = Decimal(2) ** n_heads  # a float ends at 2^1024
    seconds = subsets * Decimal(time.perf_counter() - began)
    ways, hint = [f"{_duration(seconds)} one by one"], SAMPLED
    if not (unknown := unknown_settings(model, tree.KNOWN)):
        ways.insert(0, f"{_duration(seconds / FASTER)} by the tree")
        hint += f", or pass most={n_heads} if you can wait"
    else:
        ways.append(f"the tree does not know {', '.join(unknown)}")
    return LabError(
        f"expected at most {most} heads, as every subset of them is tried",
        f"{n_heads} heads have 2^{n_heads} = {subsets:.3g} subsets: about {', '.join(ways)}",
        hint=hint,
    )


def _duration(seconds: Decimal) -> str:
    for unit, length in (("years", 31_557_600), ("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} seconds"


def _check_full(model: Model, twins: Twins, measured: Oracle) -> None:
    """Hold the tree's whole model against the model itself: a misread weight shows."""
    itself = twins.behaviour(final_logits(model, twins.clean).cpu())
    apart = float((itself - measured.behaviour[-1]).abs().max())
    if not within(apart, 1e-3 * max(1.0, float(itself.abs().max()))):
        raise LabError(
            "expected the tree to compute what the model computes",
            f"their metrics differ by up to {apart:.3g}",
        )
