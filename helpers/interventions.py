"""Ablate, patch, measure: the causal tools of every lab, on any `TransformerBridge` model.

A *node* is one attention head or one MLP at one position. Its output is the head's ``hook_z``
(before W_O) or the MLP's ``hook_mlp_out``. All interventions are one operation: run the model on
some tokens, and wherever a node is in the chosen set, write another value over its output. What
differs is the value:

=========  =============================================================================
zero       0
mean       mean of the node's own output over a reference set (per layer and position)
resample   the node's output on another, randomly chosen question of the reference set
patch      the node's output on one particular other question (activation patching)
=========  =============================================================================

The mean of a node is taken from that node's own layer. (The code released with arXiv 2402.02619
takes it from layer 0 and writes it into every layer, which puts the later layers off distribution.)
Writing a node's own value over itself changes nothing; the tests assert it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import check_count, finite, token_ids
from helpers.model import Model

Ablation = Literal["zero", "mean", "resample"]
"""What replaces the output of a node that is taken away (see the module docstring)."""

Head = tuple[int, int]
"""Layer and head."""


@dataclass(frozen=True, order=True)
class Node:
    """One head or one MLP at one position.

    Attributes:
        position: Token position.
        layer: Layer index.
        head: Head index, or -1 for the MLP.

    >>> str(Node(11, 0, 2)), str(Node(11, 1))
    ('P11L0H2', 'P11L1M')
    """

    position: int
    layer: int
    head: int = -1

    @property
    def is_mlp(self) -> bool:
        return self.head < 0

    def __str__(self) -> str:
        return f"P{self.position}L{self.layer}" + ("M" if self.is_mlp else f"H{self.head}")


@dataclass(frozen=True)
class Activations:
    """Outputs of all nodes on a batch.

    Attributes:
        z: Head outputs before W_O.
        mlp: MLP outputs; no layers in an attention-only model.
    """

    z: Float[Tensor, "layer batch pos head d_head"]
    mlp: Float[Tensor, "mlp_layer batch pos d_model"]

    def mean(self) -> "Activations":
        """The mean over the batch, kept as a batch of one."""
        return Activations(self.z.mean(1, keepdim=True), self.mlp.mean(1, keepdim=True))

    def rows(self, index: Int[Tensor, " row"]) -> "Activations":
        """Chosen rows of the batch."""
        return Activations(self.z[:, index], self.mlp[:, index])

    def check_finite(self) -> None:
        """Refuse outputs that would make every logit NaN.

        Raises:
            LabError: NaN or infinity in an output.
        """
        for name, values in (("heads", self.z), ("MLPs", self.mlp)):
            if not values.isfinite().all():
                raise LabError(
                    f"expected finite outputs of the {name}",
                    f"got {int((~values.isfinite()).sum())} of {values.numel()} that are not",
                    hint="the run that they come from diverged or overflowed: look at its logits",
                )

    def zeros(self) -> "Activations":
        """Zeros, as a batch of one."""
        return Activations(torch.zeros_like(self.z[:, :1]), torch.zeros_like(self.mlp[:, :1]))


def device_of(model: Model) -> torch.device:
    """Where the model computes; results come back to where the tokens lie."""
    return next(model.parameters()).device


def has_mlps(model: Model) -> bool:
    """Whether the model's blocks have MLPs."""
    return not getattr(model.cfg, "attn_only", False)


def all_nodes(model: Model, positions: Iterable[int]) -> list[Node]:
    """Every head and MLP at the given positions, by position, layer and head; the MLP last."""
    heads = [*range(model.cfg.n_heads), *([-1] if has_mlps(model) else [])]
    return [
        Node(p, layer, head)
        for p in positions
        for layer in range(model.cfg.n_layers)
        for head in heads
    ]


def _z_name(layer: int) -> str:
    return f"blocks.{layer}.attn.hook_z"


def _mlp_name(layer: int) -> str:
    return f"blocks.{layer}.hook_mlp_out"


def _keep(kept: dict[str, Tensor], name: str, value: Tensor, hook) -> None:
    kept[name] = (
        value.detach()
    )  # under the asked-for name: a hook may carry a canonical name of its own


@torch.no_grad()
def collect(
    model: Model, tokens: Int[Tensor, "batch pos"], batch_size: int = 512
) -> tuple[Activations, Tensor]:
    """Node outputs and logits of the model on tokens.

    Returns:
        The activations and the logits [batch, pos, vocab].

    Raises:
        LabError: No token ids of the model, or a batch size below 1.
    """
    tokens = token_ids(tokens, model)
    check_count("batch size", batch_size, least=1)
    z_parts, mlp_parts, logits = [], [], []
    layers = range(model.cfg.n_layers)
    names = {_z_name(layer) for layer in layers} | (
        {_mlp_name(layer) for layer in layers} if has_mlps(model) else set()
    )
    where = device_of(model)
    for chunk in tokens.split(batch_size):
        kept: dict[str, Tensor] = {}
        hooks = [(name, partial(_keep, kept, name)) for name in names]
        logits.append(model.run_with_hooks(chunk.to(where), fwd_hooks=hooks).to(tokens.device))
        kept = {name: value.to(tokens.device) for name, value in kept.items()}
        z_parts.append(torch.stack([kept[_z_name(layer)] for layer in layers]))
        if has_mlps(model):
            mlp_parts.append(torch.stack([kept[_mlp_name(layer)] for layer in layers]))
    z = torch.cat(z_parts, dim=1)
    mlp = (
        torch.cat(mlp_parts, dim=1)
        if mlp_parts
        else z.new_zeros(0, len(tokens), tokens.shape[1], 1)
    )
    return Activations(z, mlp), torch.cat(logits)


def _hooks(nodes: Iterable[Node], source: Activations) -> list[tuple]:
    """Hook functions that write `source` over the outputs of `nodes`."""
    heads: dict[int, list[Node]] = {}
    mlps: dict[int, list[int]] = {}
    for node in nodes:
        if node.is_mlp:
            mlps.setdefault(node.layer, []).append(node.position)
        else:
            heads.setdefault(node.layer, []).append(node)

    def head_hook(layer: int, chosen: list[Node]):
        positions = torch.tensor([node.position for node in chosen])
        indices = torch.tensor([node.head for node in chosen])

        def write(z: Float[Tensor, "batch pos head d_head"], hook):
            z = z.clone()
            z[:, positions, indices] = source.z[layer][:, positions, indices].to(z)
            return z

        return _z_name(layer), write

    def mlp_hook(layer: int, positions: list[int]):
        def write(out: Float[Tensor, "batch pos d_model"], hook):
            out = out.clone()
            out[:, positions] = source.mlp[layer][:, positions].to(out)
            return out

        return _mlp_name(layer), write

    return [head_hook(*item) for item in heads.items()] + [mlp_hook(*item) for item in mlps.items()]


def check_nodes(model: Model, nodes: Iterable[Node], n_positions: int) -> None:
    """Refuse nodes that the model does not have.

    Raises:
        LabError: Naming the first such node and the model's shape.
    """
    for node in nodes:
        inside = 0 <= node.position < n_positions and 0 <= node.layer < model.cfg.n_layers
        if (
            not inside
            or not -1 <= node.head < model.cfg.n_heads
            or (node.is_mlp and not has_mlps(model))
        ):
            raise LabError(
                f"expected a node of a model with {n_positions} positions, "
                f"{model.cfg.n_layers} layers and "
                f"{model.cfg.n_heads} heads" + ("" if has_mlps(model) else " and no MLPs"),
                f"got {node!r}",
            )


@torch.no_grad()
def run_with_replaced(
    model: Model,
    tokens: Int[Tensor, "batch pos"],
    nodes: Iterable[Node],
    source: Activations,
    batch_size: int = 512,
) -> Float[Tensor, "batch pos vocab"]:
    """Logits of the model when the outputs of `nodes` are overwritten by those in `source`.

    Args:
        source: One row for all questions (a mean, zeros) or one row per question (a patch, a
            resample).

    Raises:
        LabError: No token ids of the model, a node that it does not have, a `source` of other rows,
            positions, layers or heads, or one with NaN or infinity in it.
    """
    nodes, tokens = list(nodes), token_ids(tokens, model)
    check_count("batch size", batch_size, least=1)
    check_nodes(model, nodes, tokens.shape[1])
    layers, rows, *rest = source.z.shape
    if rows not in (1, len(tokens)):
        raise LabError(f"expected a source with 1 or {len(tokens)} rows", f"got {rows}")
    wanted = (model.cfg.n_layers, tokens.shape[1], model.cfg.n_heads)
    if (layers, *rest[:2]) != wanted:
        raise LabError(
            f"expected a source of (layers, positions, heads) {wanted}",
            f"got {(layers, *rest[:2])}",
        )
    source.check_finite()
    logits, where = [], device_of(model)
    for start in range(0, len(tokens), batch_size):
        span = slice(start, start + batch_size)
        part = source if rows == 1 else Activations(source.z[:, span], source.mlp[:, span])
        changed = model.run_with_hooks(tokens[span].to(where), fwd_hooks=_hooks(nodes, part))
        logits.append(changed.to(tokens.device))
    return torch.cat(logits)


def ablate(
    model: Model,
    tokens: Int[Tensor, "batch pos"],
    nodes: Iterable[Node],
    reference: Activations,
    ablation: Ablation = "mean",
    seed: int = 0,
) -> Float[Tensor, "batch pos vocab"]:
    """Logits with `nodes` ablated.

    Args:
        reference: Activations on a reference set (see `collect`); not used by ``"zero"`` except for
            its shape.
        ablation: ``"zero"``, ``"mean"`` or ``"resample"`` (see the module docstring). Resampling
            draws one reference question for each question, the same for all nodes, so that what is
            written is one consistent run.
        seed: Seed of the draw of reference questions for ``"resample"``.

    Raises:
        LabError: An unknown ablation, a reference set without questions, or as `run_with_replaced`.
    """
    if not reference.z.shape[1]:
        raise LabError(
            "expected a reference set of at least one question",
            "got none",
            hint="collect the activations of other questions first: collect(model, reference)[0]",
        )
    if ablation == "zero":
        source = reference.zeros()
    elif ablation == "mean":
        source = reference.mean()
    elif ablation == "resample":
        generator = torch.Generator().manual_seed(seed)
        source = reference.rows(
            torch.randint(reference.z.shape[1], (len(tokens),), generator=generator)
        )
    else:
        raise LabError('expected the ablation "zero", "mean" or "resample"', f"got {ablation!r}")
    return run_with_replaced(model, tokens, nodes, source)


def patch(
    model: Model,
    clean: Int[Tensor, "batch pos"],
    nodes: Iterable[Node],
    stored: Int[Tensor, "batch pos"],
) -> Float[Tensor, "batch pos vocab"]:
    """Logits on the `clean` tokens, the outputs of `nodes` taken from the run on `stored` ones.

    Raises:
        LabError: As `run_with_replaced`.
    """
    return run_with_replaced(model, clean, nodes, collect(model, stored)[0])


@torch.no_grad()
def head_writes(
    model: Model, activations: Activations
) -> Float[Tensor, "layer batch pos head d_model"]:
    """What each head adds to the residual stream: ``z @ W_O``, without the layer's shared bias b_O.

    Summed over heads, plus b_O, this is ``hook_attn_out``.

    Raises:
        LabError: Activations that are not finite, or of no question.
    """
    z = finite(activations.z, "outputs of heads", "layer batch pos head d_head")
    weights = torch.stack([model.blocks[layer].attn.W_O for layer in range(model.cfg.n_layers)])
    return torch.einsum("lbphd,lhdm->lbphm", z, weights.to(z))
