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
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers.circuits.graph import weights
from helpers.circuits.graph.agreement import expect_same_logits
from helpers.circuits.graph.edges import Edge, head_name, layout
from helpers.circuits.graph.mixed import Mixed, check_mask, mix
from helpers.circuits.tasks import Twins, check_pairs, check_readable, real, rows
from helpers.errors import LabError
from helpers.interventions import Ablation, Head, has_mlps
from helpers.model import Model
from helpers.texts import Prompts

Writes = tuple[Float[Tensor, "_source #prompt #pos d_model"], ...]
"""What every source writes, one tensor for each place where sources write: the embedding, the heads
of a layer, an MLP. One write for all prompts or tokens stands for all."""
CHECKED, CHECKED_LENGTH = 4, 32
"""On how many prompts, and how long ones, the graph's logits are held against the model's own."""


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
        LabError: a model that `weights.of` does not take, whose logits are not finite, or are not
            those of the graph: it computes something that the graph does not know.
    """

    def __init__(self, model: Model) -> None:
        self.model, self.weights = model, weights.of(model)
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
        # drawn at random; `check_twins` takes the reader's own prompts
        shape = (CHECKED, min(CHECKED_LENGTH, model.cfg.n_ctx, len(self.weights.positions)))
        generator = torch.Generator().manual_seed(0)
        self._compare(torch.randint(len(self.weights.tokens), shape, generator=generator))

    def _compare(
        self,
        tokens: Int[Tensor, "prompt pos"],
        read: Bool[Tensor, "prompt pos"] | None = None,
    ) -> None:
        """Hold the graph's logits against the model's own, at every position that is read."""
        read = torch.ones_like(tokens, dtype=torch.bool) if read is None else read
        words = self.weights.unembedding.shape[-1]
        expect_same_logits(
            lambda some: self.model(some.to(self.device)), self.logits, tokens, read, words
        )

    def check_twins(self, twins: Twins) -> None:
        """Refuse prompts that the model cannot read, or on which the graph is not the model.

        The first few prompts and twins are compared, at every position.

        Raises:
            LabError: as `twins.check_pairs`; logits as those of the constructor.
        """
        check_pairs(self.model, twins)
        for prompts in (twins.clean, twins.corrupted):
            some = rows(prompts, slice(CHECKED))
            self._compare(some.tokens, real(some))

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

        Raises:
            LabError: a mask of another number of edges or sources, or with NaN.
        """
        check_mask(keep, len(self.edges), len(last), "edge")
        check_mask(gates, len(self.sources), len(last), "source")
        if computed:
            writes = list(computed)
        else:
            if embedding is None:
                embedding = self.weights.embed(tokens.to(self.device))
            writes = [embedding[None]]
            if gates is not None:
                writes[0] = mix(gates[:1], writes[0], replacement[0])
        first = len(writes) - 1
        residual = self.residual(first, writes)
        mixed = Mixed(self.stages, keep, probe, replacement)
        for index, block in enumerate(self.weights.blocks[first:], first):
            written = self._write(block, *mixed.inputs(index, residual, writes))
            if gates is not None:
                start = self.stages[index].sources
                gate = gates[start : start + len(written)]
                written = mix(gate, written, replacement[index + 1])
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
        return self._read(self._last_residual(index, residual), last)

    def logits(self, tokens: Int[Tensor, "prompt pos"]) -> Float[Tensor, "prompt pos word"]:
        """Logits at every position, with every edge kept, where the tokens are."""
        residual = self.weights.embed(tokens.to(self.device))
        return self.weights.read(self._last_residual(0, residual)).to(tokens.device)

    def _last_residual(
        self, index: int, residual: Float[Tensor, "prompt pos d_model"]
    ) -> Float[Tensor, "prompt pos d_model"]:
        for block in self.weights.blocks[index:]:
            residual = residual + _total(block, self._write(block, residual[None], None))
        return residual

    def _read(
        self, residual: Float[Tensor, "prompt pos d_model"], last: Int[Tensor, " prompt"]
    ) -> Float[Tensor, "prompt word"]:
        """Logits, brought from where the model computes to where the prompts are."""
        rows = torch.arange(len(residual), device=self.device)
        return self.weights.read(residual[rows, last.to(self.device)]).to(last.device)

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
        return block.attend(q, k, v, block.out)


def _total(
    block: weights.Attention | weights.Mlp, written: Float[Tensor, "source prompt pos d_model"]
) -> Float[Tensor, "prompt pos d_model"]:
    """What a block adds to the residual stream."""
    return written.sum(0) + (block.out_bias if isinstance(block, weights.Attention) else 0.0)


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
    return replacements(graph, twins, ablation)


def replacements(graph: Graph, twins: Twins, ablation: Ablation | Writes) -> Writes:
    """As `twin_replacements`, of twins that were checked before."""
    if isinstance(ablation, tuple):
        _check_writes(graph, twins, ablation)
        like = graph.weights.tokens
        if all(block.dtype == like.dtype and block.device == like.device for block in ablation):
            return ablation
        return tuple(block.to(like) for block in ablation)
    if ablation not in get_args(Ablation):
        raise LabError('expected the ablation "zero", "mean" or "resample"', f"got {ablation!r}")
    if ablation == "resample":
        return graph.forward(twins.corrupted.tokens, twins.corrupted.last).writes
    mean = means(graph, twins.corrupted)
    return mean if ablation == "mean" else tuple(torch.zeros_like(block) for block in mean)


def _check_writes(graph: Graph, twins: Twins, writes: Writes) -> None:
    counts = [stage.sources for stage in graph.stages]
    sizes = [after - before for before, after in zip([0, *counts], counts, strict=False)]
    prompts, positions = twins.clean.tokens.shape
    fit = [
        block.ndim == 4
        and block.shape[:1] == (size,)
        and block.shape[1] in (1, prompts)
        and block.shape[2] in (1, positions)
        and block.shape[3] == graph.weights.tokens.shape[1]
        for size, block in zip(sizes, writes, strict=False)
    ]
    if len(writes) != len(sizes) or not all(fit):
        raise LabError(
            f"expected writes of {len(sizes)} places, each [source, prompt or 1, position or 1, "
            "d_model]",
            f"got {[list(block.shape) for block in writes]}",
            hint="`graph.means(graph, prompts)` gives them",
        )
    if not all(block.isfinite().all() for block in writes):
        raise LabError(
            "expected finite activations",
            "a write that was given holds NaN or infinity",
        )


@torch.no_grad()
def means(graph: Graph, prompts: Prompts) -> Writes:
    """The mean of each source's write over all real tokens of some prompts.

    Raises:
        LabError: prompts that the model cannot read.
    """
    check_readable(graph.model, prompts)
    here = real(prompts).to(graph.device)
    return tuple(
        block[:, here].mean(1)[:, None, None]
        for block in graph.forward(prompts.tokens, prompts.last).writes
    )
