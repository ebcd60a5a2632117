"""The same model by plain tensors: what a search over masks runs hundreds of times.

`Blocks.run` calls the model itself, whatever it is. A native model of TransformerLens is a few
lines of mathematics, and calling them without its modules and hooks is faster (`python -m helpers
bench masks`). Where only the last token of each prompt is asked for, the last layer computes only
that one.

Because the tensors outside the blocks are arguments like the others, a *read-out* takes the place
of the unembedding: two rows of weights, one a class, instead of one a word. So a classifier on a
frozen model is a model of two words, and everything that is said of facts can be said of it.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from helpers.errors import LabError
from helpers.knowledge.masks import blocks
from helpers.knowledge.masks.blocks import Blocks
from helpers.model import Model
from helpers.zoo.native import PLAIN_PARTS, has_settings

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu}
KNOWN = PLAIN_PARTS | {"normalization_type": ("LN", None), "act_fn": tuple(ACTIVATIONS)}
"""Settings of a native model, and the values that are computed here."""


@dataclass(frozen=True)
class PlainBlocks(Blocks):
    """The weights of a native model's blocks, with what else it computes with.

    Attributes:
        around: All tensors outside the blocks, by their names in the model's state.
    """

    around: dict[str, Tensor]

    def run(
        self, values: Float[Tensor, " weight"], tokens: Int[Tensor, "prompt pos"]
    ) -> Float[Tensor, "prompt pos word"]:
        """What the model predicts after every token with these weights in its blocks."""
        state = self.around | self.tensors(values)
        return self._said(state, self._residual(state, tokens, None))

    def _last_logits(
        self, values: Float[Tensor, " weight"], tokens: Int[Tensor, "prompt pos"], last: Tensor
    ) -> Float[Tensor, "prompt word"]:
        state = self.around | self.tensors(values)
        return self._said(state, self._residual(state, tokens, last))

    def features(
        self, tokens: Int[Tensor, "prompt pos"], last: Int[Tensor, " prompt"]
    ) -> Float[Tensor, "prompt d_model"]:
        """What the unembedding reads at the last token of each prompt, in the model as it is."""
        state = self.around | self.tensors(self.values)
        with torch.no_grad():
            return self._normed(state, "ln_final", self._residual(state, tokens, last))

    def with_head(self, head: Float[Tensor, "class d_model"]) -> "PlainBlocks":
        """The same blocks under a read-out in place of the unembedding: no bias, as released.

        Raises:
            LabError: A read-out of another width than the model's.
        """
        width = self.around["unembed.weight"].shape[1]
        if head.ndim != 2 or head.shape[1] != width or not head.isfinite().all():
            raise LabError(
                f"expected a read-out of {width} finite weights for each class",
                f"got {list(head.shape)}",
            )
        bias = head.new_zeros(len(head))
        around = self.around | {"unembed.weight": head, "unembed.bias": bias}
        return replace(self, around=around)

    def _said(self, state: dict[str, Tensor], residual: Tensor) -> Tensor:
        return _linear(state, "unembed", self._normed(state, "ln_final", residual))

    def _normed(self, state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
        if f"{name}.weight" not in state:
            return x
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return F.layer_norm(x, weight.shape, weight, bias, self.model.cfg.eps)

    def _residual(self, state: dict[str, Tensor], tokens: Tensor, last: Tensor | None) -> Tensor:
        """The residual stream after the last block: [prompt pos d_model], or at `last` only."""
        length, layers = tokens.shape[1], self.model.cfg.n_layers
        act = ACTIVATIONS[self.model.cfg.act_fn]
        x = state["embed.weight"][tokens] + state["pos_embed.weight"][:length]
        for layer in range(layers):
            block = f"blocks.{layer}"
            read = self._normed(state, f"{block}.ln1", x)
            at = last if layer == layers - 1 else None
            if at is not None:  # of the last block nobody reads the other tokens
                x = x[torch.arange(len(x)), at][:, None]
            x = x + self._attention(state, f"{block}.attn", read, at)
            read = self._normed(state, f"{block}.ln2", x)
            x = x + _linear(state, f"{block}.mlp.out", act(_linear(state, f"{block}.mlp.in", read)))
        return x if last is None else x[:, 0]

    def _attention(
        self, state: dict[str, Tensor], name: str, read: Tensor, last: Tensor | None
    ) -> Tensor:
        prompts, length, _ = read.shape
        place = torch.arange(length)
        asking = read if last is None else read[torch.arange(prompts), last][:, None]
        heads = (self.model.cfg.n_heads, self.model.cfg.d_head)
        q, k, v = (
            _linear(state, f"{name}.{part}", source).unflatten(-1, heads).transpose(1, 2)
            for part, source in (("q", asking), ("k", read), ("v", read))
        )  # [prompt head pos d_head]
        scores = q @ k.mT / heads[1] ** 0.5
        if last is None:
            later = place[None, None, None, :] > place[None, None, :, None]
        else:
            later = place[None, None, None, :] > last[:, None, None, None]
        pattern = scores.masked_fill(later, -torch.inf).softmax(-1)
        return _linear(state, f"{name}.o", (pattern @ v).transpose(1, 2).flatten(2))


def _linear(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def of(model: Model) -> PlainBlocks:
    """The weights of a native model's blocks, copied.

    Raises:
        LabError: A model without blocks of its own weights, or one that computes otherwise than is
            written here.

    >>> from helpers.knowledge.facts import factnet
    >>> len(of(factnet.build().model))
    55752
    """
    state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    if "pos_embed.weight" not in state or not has_settings(model, KNOWN):
        raise LabError(
            "expected a native model with plain attention, MLPs and learned positions",
            f"got {type(model).__name__} that computes otherwise",
            hint="helpers.knowledge.masks.blocks.of takes any model",
        )
    its = blocks.of(model)
    around = {name: tensor for name, tensor in state.items() if not name.startswith("blocks.")}
    return PlainBlocks(
        its.model, its.names, its.shapes, its.values, its._parameters, its._outside, around
    )
