"""A model as a graph: who writes into the residual stream, who reads from it, and a forward pass
that chooses edge by edge.

Sources, receivers and edges are those of `edges`. A receiver's input is the sum of what comes in
over its edges, before the normalisation (Elhage et al., "A Mathematical Framework for Transformer
Circuits", 2021; Conmy et al., arXiv 2304.14997, section 3). Biases of attention outputs belong to
no source and always stay; an MLP's belongs to the MLP.

Over each edge goes either what its source writes in this very run or a replacement: what it writes
on the corrupted twin, its mean, or zero. All positions of an edge are replaced alike.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.circuits.graph import weights
from helpers.circuits.graph.edges import Edge, Stage, head_name, layout
from helpers.circuits.tasks import Twins, check_prompts, real
from helpers.errors import LabError
from helpers.interventions import Ablation, Head, has_mlps
from helpers.model import Model
from helpers.texts import Prompts

Writes = tuple[Float[Tensor, "_source #prompt #pos d_model"], ...]
"""What every source writes, one tensor for each place where sources write: the embedding, the heads
of a layer, an MLP. One write for all prompts or tokens stands for all."""


@dataclass(frozen=True)
class ForwardPass:
    """What a forward pass computed.

    Attributes:
        logits: Logits of the word after each prompt.
        writes: What every source writes.
    """

    logits: Float[Tensor, "prompt word"]
    writes: Writes


class Graph:
    """The edges of a model, and its forward pass over them.

    Args:
        model: A `TransformerBridge` model as `weights.of` takes it.

    Attributes:
        sources: Names of the nodes that write.
        stages: Groups of receivers, in the order in which they compute.
        edges: All edges, by stage, receiver and source; a mask over edges has this order.
        heads: All heads, layer by layer.

    Raises:
        LabError: a model whose logits are not finite, or are not those of the graph: it computes
            something that the graph does not know.
    """

    def __init__(self, model: Model) -> None:
        self.weights = weights.of(model)
        self.device = self.weights.tokens.device
        shape = (model.cfg.n_layers, model.cfg.n_heads)
        self.sources, self.stages = layout(*shape, has_mlps(model))
        self.edges = [
            Edge(source, *receiver)
            for stage in self.stages
            for receiver in stage.receivers
            for source in self.sources[: stage.sources]
        ]
        self.heads: list[Head] = list(itertools.product(range(shape[0]), range(shape[1])))
        self._check(model)

    @torch.no_grad()
    def _check(self, model: Model) -> None:
        length = min(8, len(self.weights.positions), len(self.weights.tokens))
        tokens = torch.arange(length, device=self.device)[None]
        theirs = model(tokens)[:, -1]
        if not theirs.isfinite().all():
            raise LabError(
                "expected finite logits of the model",
                "got NaN or infinity",
                hint="check its weights",
            )
        last = torch.tensor([length - 1], device=self.device)  # logits come back to where it is
        off = float((self.forward(tokens, last).logits - theirs).abs().max())
        # float32 in another order agrees to about 1e-6
        if off > 1e-3 * max(1.0, float(theirs.abs().max())):
            raise LabError(
                "expected the graph to compute the model's logits",
                f"they differ by up to {off:.3g}",
                hint="the model has a part that sums of heads and MLPs leave out",
            )

    def check_twins(self, twins: Twins) -> None:
        """Refuse prompts that the model cannot read.

        Raises:
            LabError: as `twins.check_prompts`.
        """
        for prompts in (twins.clean, twins.corrupted):
            check_prompts(prompts, len(self.weights.tokens), len(self.weights.positions))

    def sources_of(self, heads: list[Head]) -> Int[Tensor, " head"]:
        """Index of each head among the sources."""
        return torch.tensor([self.sources.index(head_name(head)) for head in heads])

    def stage_of(self, edge: int) -> int:
        """Index of the stage at which an edge, given by its index, is read."""
        return next(index for index, stage in enumerate(self.stages) if edge < stage.last)

    def ones(self) -> Float[Tensor, " edge"]:
        """A mask that keeps every edge."""
        return torch.ones(len(self.edges), device=self.device)

    def forward(
        self,
        tokens: Int[Tensor, "prompt pos"],
        last: Int[Tensor, " prompt"],
        keep: Float[Tensor, "edge *prompt"] | None = None,
        replacement: Writes = (),
        gates: Float[Tensor, "source *prompt"] | None = None,
        probe: tuple[Tensor, tuple[Tensor, ...]] | None = None,
        embedding: Float[Tensor, "prompt pos d_model"] | None = None,
        computed: Writes = (),
    ) -> ForwardPass:
        """Run the model with some edges replaced.

        Everything is differentiable, in the masks and in the embedding.

        Args:
            last: Position of each prompt's last token, after which the logits are taken.
            keep: For each edge, how much of the source's write of this run goes over it (1: all of
                it, 0: the replacement); the same for all prompts, or one column per prompt. By
                default every edge is kept.
            replacement: What goes over removed edges, needed with `keep` and `gates`; see
                `twin_replacements`.
            gates: Like `keep`, for all edges of a source at once: its write itself is mixed.
            probe: A weight for each edge, and writes that are added to it with this weight.
            embedding: What the embedding writes, in the place of that of the tokens.
            computed: Writes of the first sources that need not be computed again.
        """
        if computed:
            writes = list(computed)
        else:
            if embedding is None:
                embedding = self.weights.embed(tokens.to(self.device))
            writes = [embedding[None]]
            if gates is not None:
                writes[0] = _mixed(gates[:1], writes[0], replacement[0])
        first = len(writes) - 1
        residual = self.residual(first, writes)
        mixed = _Mixed(self.stages, keep, probe, replacement)
        for index, block in enumerate(self.weights.blocks[first:], first):
            written = self._write(block, *mixed.inputs(index, residual, writes))
            if gates is not None:
                start = self.stages[index].sources
                gate = gates[start : start + len(written)]
                written = _mixed(gate, written, replacement[index + 1])
            writes.append(written)
            residual = residual + _total(block, written)
        inputs, _ = mixed.inputs(len(self.stages) - 1, residual, writes)
        return ForwardPass(self._read(inputs[0], last), tuple(writes))

    def resume(
        self,
        index: int,
        residual: Float[Tensor, "prompt pos d_model"],
        last: Int[Tensor, " prompt"],
    ) -> Float[Tensor, "prompt word"]:
        """Logits when the residual stream is given from a stage on, and every later edge kept.

        Args:
            residual: The residual stream, with the biases of earlier attention outputs.
        """
        for block in self.weights.blocks[index:]:
            residual = residual + _total(block, self._write(block, residual[None], None))
        return self._read(residual, last)

    def _read(
        self, residual: Float[Tensor, "prompt pos d_model"], last: Int[Tensor, " prompt"]
    ) -> Float[Tensor, "prompt word"]:
        """Logits, brought from where the model computes to where the prompts are."""
        rows = torch.arange(len(residual), device=self.device)
        read = self.weights.final(residual[rows, last.to(self.device)])
        return (read @ self.weights.unembedding + self.weights.unembedding_bias).to(last.device)

    def residual(self, index: int, writes: Sequence[Tensor]) -> Float[Tensor, "prompt pos d_model"]:
        """The residual stream that a stage reads when every edge is kept."""
        biases = [
            block.out_bias
            for block in self.weights.blocks[:index]
            if isinstance(block, weights.Attention)
        ]
        return sum(biases, torch.zeros_like(self.weights.tokens[0])) + sum(
            block.sum(0) for block in writes[: index + 1]
        )

    def _write(
        self, block: weights.Attention | weights.Mlp, inputs: Tensor, which: Tensor | None
    ) -> Float[Tensor, "source prompt pos d_model"]:
        if isinstance(block, weights.Mlp):
            return block(inputs)
        x = block.norm(inputs)
        if which is None:
            q, k, v = block.project(x[0])
        else:
            of_head = zip(which.view(3, -1).tolist(), block.into, block.bias, strict=True)
            q, k, v = (
                torch.stack([x[i] @ w + b for i, w, b in zip(*heads, strict=True)])
                for heads in of_head
            )
        return attend(q, k, v, block.out, self.weights.scale)


class _Mixed:
    """What receivers read in one run, when edges do not all carry what their sources write."""

    def __init__(
        self,
        stages: Sequence[Stage],
        keep: Tensor | None,
        probe: tuple[Tensor, tuple[Tensor, ...]] | None,
        replacement: Sequence[Tensor],
    ) -> None:
        self.stages, self.keep, self.probe, self.replacement = stages, keep, probe, replacement
        # what a removed edge takes away, for each of the writes so far
        self.removed: list[Tensor] = []

    def inputs(
        self, index: int, residual: Tensor, writes: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Inputs of a stage's receivers, and which of them each receiver has.

        Where the second is None, all receivers have the first input.
        """
        if self.probe is not None:
            weight = self._of_stage(index, self.probe[0])
            added = _weighted(weight, self.probe[1][: len(writes)])
            return residual + added, torch.arange(len(weight))
        kept = None if self.keep is None else self._of_stage(index, self.keep)
        if kept is None or (not kept.requires_grad and bool((kept == 1).all())):
            return residual[None], None
        which = torch.arange(len(kept))
        if not kept.requires_grad:  # receivers with the same edges have the same input
            kept, which = torch.unique(kept, dim=0, return_inverse=True)
        for place in range(len(self.removed), len(writes)):
            self.removed.append(writes[place] - self.replacement[place])
        return residual + _weighted(kept - 1, self.removed), which

    def _of_stage(
        self, index: int, mask: Float[Tensor, "edge *prompt"]
    ) -> Float[Tensor, "receiver source *prompt"]:
        stage = self.stages[index]
        return mask[stage.first : stage.last].unflatten(0, (len(stage.receivers), stage.sources))


def _total(
    block: weights.Attention | weights.Mlp, written: Float[Tensor, "source prompt pos d_model"]
) -> Float[Tensor, "prompt pos d_model"]:
    """What a block adds to the residual stream."""
    return written.sum(0) + (block.out_bias if isinstance(block, weights.Attention) else 0.0)


def attend(
    q: Float[Tensor, "head prompt pos d_head"],
    k: Float[Tensor, "head prompt pos d_head"],
    v: Float[Tensor, "head prompt pos d_head"],
    out: Float[Tensor, "head d_head d_model"],
    scale: float,
) -> Float[Tensor, "head prompt pos d_model"]:
    """What heads write, from their queries, keys and values; attention is causal."""
    scores = q @ k.transpose(-1, -2) / scale
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
    z = scores.masked_fill(later, -torch.inf).softmax(-1) @ v
    return torch.einsum("hbpk,hkd->hbpd", z, out)


def _columns(mask: Float[Tensor, "row *prompt"], like: Tensor) -> Tensor:
    """A mask as a factor of writes."""
    return mask.reshape(*mask.shape[:1], *(mask.shape[1:] or (1,)), 1, 1).to(like)


def _mixed(
    gates: Tensor, written: Tensor, other: Tensor
) -> Float[Tensor, "source prompt pos d_model"]:
    return other + _columns(gates, written) * (written - other)


def _weighted(
    mask: Float[Tensor, "receiver source *prompt"], writes: Sequence[Tensor]
) -> Float[Tensor, "receiver prompt pos d_model"]:
    """For each receiver the weighted sum of writes."""
    shapes = "rs,sbpd->rbpd" if mask.ndim == 2 else "rsb,sbpd->rbpd"
    sums, start = [], 0
    for block in writes:
        part = mask[:, start : start + len(block)].to(block)
        sums.append(torch.einsum(shapes, part, block))
        start += len(block)
    return sum(sums[1:], sums[0])


@torch.no_grad()
def twin_replacements(
    graph: Graph, twins: Twins, ablation: Ablation | Writes = "resample"
) -> Writes:
    """What goes over a removed edge, taken from the twins.

    Args:
        ablation: "resample", what the source writes on the twin at the same position; "mean", its
            mean over all real tokens of the twins; "zero"; or writes computed before, such as
            `means` over other prompts.

    Raises:
        LabError: another ablation, or prompts that the model cannot read.
    """
    graph.check_twins(twins)
    if isinstance(ablation, tuple):
        return ablation
    if ablation not in get_args(Ablation):
        raise LabError('expected the ablation "zero", "mean" or "resample"', f"got {ablation!r}")
    if ablation == "resample":
        return graph.forward(twins.corrupted.tokens, twins.corrupted.last).writes
    mean = means(graph, twins.corrupted)
    return mean if ablation == "mean" else tuple(torch.zeros_like(block) for block in mean)


@torch.no_grad()
def means(graph: Graph, prompts: Prompts) -> Writes:
    """The mean of each source's write over all real tokens of some prompts."""
    here = real(prompts).to(graph.device)
    return tuple(
        block[:, here].mean(1)[:, None, None]
        for block in graph.forward(prompts.tokens, prompts.last).writes
    )
