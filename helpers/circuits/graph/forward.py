"""A model as a graph: who writes into the residual stream, who reads from it, and a forward pass
that chooses edge by edge.

Sources, receivers and edges are those of `edges`. A receiver's input is the sum of what comes in
over its edges, before the normalisation (Elhage et al., "A Mathematical Framework for Transformer
Circuits", 2021; Conmy et al., arXiv 2304.14997, section 3). Biases of attention outputs belong to
no source and always stay; an MLP's belongs to the MLP.

Over each edge goes either what its source writes in this very run or a replacement: what it writes
on the corrupted twin, its mean, or zero. All positions of an edge are replaced alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.circuits.graph import weights
from helpers.circuits.graph.edges import Edge, Stage, head_name, layout
from helpers.circuits.tasks.twins import Twins, check_prompts, real
from helpers.errors import LabError
from helpers.interventions import Head, has_mlps
from helpers.model import Model
from helpers.texts.prompts import Prompts


@dataclass(frozen=True)
class Run:
    """What a forward pass computed.

    Attributes:
        logits: of the word after each prompt.
        writes: of every source, one tensor for each place where sources write: the embedding, the
            heads of a layer, an MLP.
    """

    logits: Float[Tensor, "prompt word"]
    writes: tuple[Float[Tensor, "source prompt pos d_model"], ...]


class Graph:
    """The edges of a model, and its forward pass over them.

    Args:
        model: a `TransformerBridge` model as `weights.of` takes.

    Attributes:
        sources: names of the nodes that write.
        stages: groups of receivers, in the order in which they compute.
        edges: all edges, by stage, receiver and source; a mask over edges has this order.
        heads: layer and head, layer by layer.

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
        self.heads: list[Head] = [
            (layer, head) for layer in range(shape[0]) for head in range(shape[1])
        ]
        self._check(model)

    @torch.no_grad()
    def _check(self, model: Model) -> None:
        tokens = torch.arange(
            min(8, len(self.weights.positions), len(self.weights.tokens)), device=self.device
        )[None]
        theirs = model(tokens)[:, -1]
        if not theirs.isfinite().all():
            raise LabError(
                "expected finite logits of the model",
                "got NaN or infinity",
                hint="check its weights",
            )
        last = torch.tensor(
            [tokens.shape[1] - 1], device=self.device
        )  # logits come back to where it is
        off = float((self.forward(tokens, last).logits - theirs).abs().max())
        if off > 1e-3 * max(
            1.0, float(theirs.abs().max())
        ):  # float32 in another order agrees to about 1e-6
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
        replacement: "Writes" = (),
        gates: Float[Tensor, "source *prompt"] | None = None,
        probe: tuple[Tensor, tuple[Tensor, ...]] | None = None,
        embedding: Float[Tensor, "prompt pos d_model"] | None = None,
        known: tuple[Tensor, ...] = (),
    ) -> Run:
        """Run the model with some edges replaced. Everything is differentiable, in the masks and in
        the embedding.

        Args:
            last: position of each prompt's last token, after which the logits are taken.
            keep: of each edge, what part of it carries the source's write of this run (1) and not
                the replacement (0); the same for all prompts or one column a prompt. All, if left
                out.
            replacement: writes in the form of `Run.writes`, see `replacements`. Needed with `keep`
                and `gates`.
            gates: like `keep` for all edges of a source at once: its write itself is mixed.
            probe: weights of each edge, and writes that are added to it with these weights.
            embedding: instead of that of the tokens.
            known: the writes of the first sources, in the form of `Run.writes`, if they need not be
                computed again.
        """
        writes = list(known) or [
            (self.weights.embed(tokens.to(self.device)) if embedding is None else embedding)[None]
        ]
        if not known and gates is not None:
            writes[0] = _mixed(gates[:1], writes[0], replacement[0])
        first = len(writes) - 1
        residual, mixed = (
            self.residual(first, writes),
            _Mixed(self.stages, keep, probe, replacement),
        )
        for index, block in enumerate(self.weights.blocks[first:], first):
            written = self._write(block, *mixed.inputs(index, residual, writes))
            if gates is not None:
                start = self.stages[index].sources
                written = _mixed(
                    gates[start : start + len(written)], written, replacement[index + 1]
                )
            writes.append(written)
            residual = residual + _total(block, written)
        inputs, _ = mixed.inputs(len(self.stages) - 1, residual, writes)
        return Run(self._read(inputs[0], last), tuple(writes))

    def resume(
        self,
        index: int,
        residual: Float[Tensor, "prompt pos d_model"],
        last: Int[Tensor, " prompt"],
    ):
        """Logits [prompt, word] when the residual stream is given from a stage on, and every edge
        after it kept.

        Args:
            residual: with the biases of the attention outputs before the stage.
        """
        for block in self.weights.blocks[index:]:
            residual = residual + _total(block, self._write(block, residual[None], None))
        return self._read(residual, last)

    def _read(self, residual: Float[Tensor, "prompt pos d_model"], last: Int[Tensor, " prompt"]):
        """Logits, where the prompts are, and not where the model computes: as `interventions` has it."""
        read = self.weights.final(
            residual[torch.arange(len(residual), device=self.device), last.to(self.device)]
        )
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
        self, block, inputs: Tensor, which: Tensor | None
    ) -> Float[Tensor, "source prompt pos d_model"]:
        if isinstance(block, weights.Mlp):
            return block(inputs)
        x = block.norm(inputs)
        if which is None:
            q, k, v = block.project(x[0])
        else:
            of_head = which.view(3, -1)
            q, k, v = (
                torch.stack(
                    [
                        x[i] @ w + b
                        for i, w, b in zip(
                            of_head[kind].tolist(), block.into[kind], block.bias[kind], strict=True
                        )
                    ]
                )
                for kind in range(3)
            )
        return attend(q, k, v, block.out, self.weights.scale)


class _Mixed:
    """What receivers read in one run, when edges do not all carry what their sources write."""

    def __init__(
        self, stages: Sequence[Stage], keep: Tensor | None, probe, replacement: Sequence[Tensor]
    ) -> None:
        self.stages, self.keep, self.probe, self.replacement = stages, keep, probe, replacement
        self.removed: list[
            Tensor
        ] = []  # what a removed edge takes away, for each of the writes so far

    def inputs(
        self, index: int, residual: Tensor, writes: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Inputs of a stage's receivers, and which of them each receiver has (None: all have the first)."""
        if self.probe is not None:
            weight = self._of_stage(index, self.probe[0])
            return residual + _weighted(weight, self.probe[1][: len(writes)]), torch.arange(
                len(weight)
            )
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
    block, written: Float[Tensor, "source prompt pos d_model"]
) -> Float[Tensor, "prompt pos d_model"]:
    """What a block adds to the residual stream."""
    return written.sum(0) + (block.out_bias if isinstance(block, weights.Attention) else 0.0)


def attend(
    q, k, v, out: Float[Tensor, "head d_head d_model"], scale: float
) -> Float[Tensor, "head prompt pos d_model"]:
    """What heads write, from their queries, keys and values, each [head, prompt, pos, d_head]; attention is causal."""
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
    mask: Float[Tensor, "receiver source *prompt"], writes
) -> Float[Tensor, "receiver prompt pos d_model"]:
    """For each receiver the weighted sum of writes."""
    total, start = 0, 0
    for block in writes:
        part = mask[:, start : start + len(block)].to(block)
        total = total + torch.einsum(
            "rs,sbpd->rbpd" if mask.ndim == 2 else "rsb,sbpd->rbpd", part, block
        )
        start += len(block)
    return total


Writes = tuple[Float[Tensor, "source #prompt #pos d_model"], ...]
"""In the form of `Run.writes`; one value for all prompts or tokens stands for all."""
Value = str | Writes
"""What replaces writes: see `replacements`."""


@torch.no_grad()
def replacements(graph: Graph, twins: Twins, value: Value = "resample") -> Writes:
    """What goes over a removed edge.

    Args:
        value: "resample", what the source writes on the twin at the same position; "mean", its mean
            over all real tokens of the twins; "zero"; or writes computed before, such as `means`
            over other prompts.

    Raises:
        LabError: another value, or prompts that the model cannot read.
    """
    graph.check_twins(twins)
    if isinstance(value, tuple):
        return value
    if value not in ("resample", "mean", "zero"):
        raise LabError('expected the value "resample", "mean" or "zero"', f"got {value!r}")
    if value == "resample":
        return graph.forward(twins.corrupted.tokens, twins.corrupted.last).writes
    found = means(graph, twins.corrupted)
    return found if value == "mean" else tuple(torch.zeros_like(mean) for mean in found)


@torch.no_grad()
def means(graph: Graph, prompts: Prompts) -> Writes:
    """The mean of each source's write over all real tokens of some prompts."""
    here = real(prompts).to(graph.device)
    return tuple(
        block[:, here].mean(1)[:, None, None]
        for block in graph.forward(prompts.tokens, prompts.last).writes
    )
