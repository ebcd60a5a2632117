"""The weights inside a model's blocks as one vector, and the model run with others in their place.

A mask over single weights is a vector of the same length. What it never covers is as in arXiv
2406.17241: embeddings, positions, the last normalisation and the unembedding. Everything inside the
blocks is covered, biases and normalisations too.

Nothing is written into the model. `torch.func.functional_call` runs it with other tensors; it must
not tie weights, or it leaves those of the last call behind (a `TransformerBridge` reaches every
module by two paths).
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import finite
from helpers.model import Model

KINDS = ("attention", "MLP", "normalisation")


@dataclass(frozen=True)
class Blocks:
    """The weights of a model's blocks.

    Attributes:
        model: The model, which is never changed.
        names: Names of the tensors in the model's state, such as "blocks.0.attn.q.weight".
        shapes: Their shapes.
        values: All of them, one after the other.
    """

    model: Model
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    values: Float[Tensor, " weight"]
    _parameters: tuple[str, ...]
    _outside: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def sizes(self) -> list[int]:
        """Number of weights of each tensor."""
        return [torch.Size(shape).numel() for shape in self.shapes]

    @property
    def kinds(self) -> list[str]:
        """What each tensor belongs to: attention, MLP or a normalisation; else "outside"."""
        return [
            "outside"
            if not name.startswith("blocks.")
            else "attention"
            if ".attn." in name
            else "MLP"
            if ".mlp." in name
            else "normalisation"
            for name in self.names
        ]

    def tensors(self, vector: Tensor) -> dict[str, Tensor]:
        """A vector over the weights as tensors, by name.

        Raises:
            LabError: A vector of another length: a mask of another model.
        """
        if vector.shape != self.values.shape:
            raise LabError(
                f"expected a vector over the {len(self):,} weights of this model's blocks",
                f"got shape {list(vector.shape)}",
                hint="a mask fits the model that it was learned on, and no other",
            )
        parts = vector.split(self.sizes)
        return {
            name: part.view(shape)
            for name, part, shape in zip(self.names, parts, self.shapes, strict=True)
        }

    def run(
        self, values: Float[Tensor, " weight"], tokens: Int[Tensor, "prompt pos"]
    ) -> Float[Tensor, "prompt pos word"]:
        """What the model predicts after every token with these weights in its blocks.

        Args:
            values: Weights, such as ``blocks.values * mask``; gradients flow back to them.
        """
        parts = self.tensors(values).values()
        state = self._outside | dict(zip(self._parameters, parts, strict=True))
        model: Any = self.model
        return torch.func.functional_call(model, state, (tokens,), tie_weights=False)

    def logits(
        self,
        values: Float[Tensor, " weight"],
        tokens: Int[Tensor, "prompt pos"],
        last: Int[Tensor, " prompt"],
    ) -> Float[Tensor, "prompt word"]:
        """What it predicts after each prompt, whose last token is at `last`."""
        if len(last) != len(tokens) or not ((last >= 0) & (last < tokens.shape[1])).all():
            raise LabError(
                f"expected the place of the last token of each of {len(tokens)} prompts, "
                f"0 to {tokens.shape[1] - 1}",
                f"got {last.tolist()[:5]} for {len(last)}",
            )
        return self._last_logits(values, tokens, last)

    def _last_logits(self, values: Tensor, tokens: Tensor, last: Tensor) -> Tensor:
        return self.run(values, tokens)[torch.arange(len(tokens)), last]


def check_mask(mask: Tensor) -> None:
    """Refuse what is no mask.

    Raises:
        LabError: A value that is neither 0 nor 1, or another shape than one row.
    """
    if mask.ndim != 1 or not len(mask):
        raise LabError(
            "expected a mask of 0 and 1, one for each weight", f"got shape {list(mask.shape)}"
        )
    odd = mask[(mask != 0) & (mask != 1)]  # NaN is neither
    if len(odd):
        raise LabError("expected a mask of 0 and 1", f"got {odd[0].item():g}")


def weights_of(weights: Blocks, start: Float[Tensor, " weight"] | None) -> Float[Tensor, " weight"]:
    """The weights to begin with, as the model has them: its own where none are given.

    Raises:
        LabError: Weights of another model, or not finite.
    """
    if start is None:
        return weights.values
    start = finite(start, "weights", "weight").to(weights.values)
    weights.tensors(start)
    return start


def _place(tensor: Tensor) -> tuple[int, tuple[int, ...]]:
    """Where a tensor lies, and its shape: the bridge of a GPT-2 has the weights of queries, keys
    and values twice, in one tensor that begins where the queries' own does, and runs with them
    apart."""
    return tensor.data_ptr(), tuple(tensor.shape)


def of(model: Model, whole: bool = False) -> Blocks:
    """The weights of a model's blocks, copied.

    Args:
        whole: Whether to take all weights of the model, those of the blocks first: what an edit
            changes that leaves the embeddings free.

    Raises:
        LabError: A model without blocks of its own weights.

    >>> from helpers.knowledge.facts import factnet
    >>> len(of(factnet.build().model))
    55752
    """
    parameters = {_place(tensor): name for name, tensor in model.named_parameters()}
    everything = model.state_dict()
    state = {name: tensor for name, tensor in everything.items() if name.startswith("blocks.")}
    if not state or not all(_place(tensor) in parameters for tensor in state.values()):
        raise LabError(
            "expected a model whose blocks have weights of their own",
            f"got {len(state)} tensors in blocks",
            hint="load it with helpers.zoo.load",
        )
    if whole:  # a tied unembedding is the embedding: one tensor, counted once
        known = {tensor.data_ptr() for tensor in state.values()}
        for name, tensor in everything.items():
            if _place(tensor) in parameters and tensor.data_ptr() not in known:
                state[name] = tensor
                known.add(tensor.data_ptr())
    inside = tuple(parameters[_place(tensor)] for tensor in state.values())
    outside = {
        name: tensor.detach() for name, tensor in model.named_parameters() if name not in inside
    }  # without a gradient, or every run would leave one in the model's embeddings
    return Blocks(
        model,
        tuple(state),
        tuple(tuple(tensor.shape) for tensor in state.values()),
        torch.cat([tensor.detach().flatten() for tensor in state.values()]),
        inside,
        outside,
    )
