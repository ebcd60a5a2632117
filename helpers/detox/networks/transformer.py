"""A transformer as a plain torch module: trained, sampled from and guided thousands of times.

It computes what a native model of TransformerLens computes, under the same names of weights, so
that files of one fit the other; without hooks, and with a cache of keys and values. A model becomes
one by `helpers.detox.networks.plain`, and one becomes a model again by `bridge`.

Rows are padded on the right. Attention looks back only, so nothing is done about padding: no token
before it reads it.
"""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from helpers.errors import LabError
from helpers.inputs import check_count, token_ids

EPS = 1e-5
"""What the normalisations add to the variance."""


@dataclass(frozen=True)
class PlainShape:
    """Sizes of a network.

    Attributes:
        n_outputs: Numbers that it gives after each token; 0 stands for one a word.

    >>> PlainShape(n_words=50, d_model=16, n_heads=2, n_layers=1, d_mlp=32, n_positions=8).n_outputs
    50
    """

    n_words: int
    d_model: int
    n_heads: int
    n_layers: int
    d_mlp: int
    n_positions: int
    n_outputs: int = 0

    def __post_init__(self) -> None:
        for name in ("n_words", "d_model", "n_heads", "n_layers", "d_mlp", "n_positions"):
            check_count(f"network's {name}", getattr(self, name), least=1)
        check_count("network's n_outputs", self.n_outputs)
        if self.d_model % self.n_heads:
            raise LabError(
                "expected a width that the heads divide",
                f"got d_model {self.d_model} and {self.n_heads} heads",
            )
        object.__setattr__(self, "n_outputs", self.n_outputs or self.n_words)


class KeyValues:
    """Keys and values of the tokens read so far, by layer; it grows as more are read.

    >>> KeyValues().length
    0
    """

    def __init__(self) -> None:
        self.layers: list[tuple[Tensor, Tensor]] = []

    @property
    def length(self) -> int:
        """Number of tokens of each row that were read."""
        return self.layers[0][0].shape[2] if self.layers else 0

    @property
    def rows(self) -> int:
        """Number of rows; 0 before anything was read."""
        return len(self.layers[0][0]) if self.layers else 0

    def extend(
        self,
        layer: int,
        keys: Float[Tensor, "row head pos d_head"],
        values: Float[Tensor, "row head pos d_head"],
    ) -> tuple[Tensor, Tensor]:
        """Keys and values of a layer, with those of the new tokens."""
        if layer == len(self.layers):
            self.layers.append((keys, values))
        else:  # room made before, to write into, was no faster: it is read with gaps
            old = self.layers[layer]
            self.layers[layer] = (
                torch.cat([old[0], keys], dim=2),
                torch.cat([old[1], values], dim=2),
            )
        return self.layers[layer]

    def select(self, rows: Int[Tensor, " kept"]) -> "KeyValues":
        """A cache of some rows, in this order; a row may come more than once."""
        chosen = KeyValues()
        chosen.layers = [(keys[rows], values[rows]) for keys, values in self.layers]
        return chosen


class Plain(nn.Module):
    """A decoder-only transformer: learned positions, normalisation first, GELU.

    Attributes:
        shape: Its sizes.
        shifts: Vectors [d_model] that are added to the residual stream after a block, by the
            number of the block; none at first. They are no weights: neither stored nor trained.
    """

    tokenizer: Any = None
    """A network of numbers only, which reads no text; see `cfg`."""

    def __init__(self, shape: PlainShape) -> None:
        super().__init__()
        self.shape = shape
        self.shifts: dict[int, Tensor] = {}
        self.embed = nn.Embedding(shape.n_words, shape.d_model)
        self.pos_embed = nn.Embedding(shape.n_positions, shape.d_model)
        self.blocks = nn.ModuleList(_Block(shape, layer) for layer in range(shape.n_layers))
        self.ln_final = nn.LayerNorm(shape.d_model, eps=EPS)
        self.unembed = nn.Linear(shape.d_model, shape.n_outputs)

    @property
    def cfg(self) -> SimpleNamespace:
        """Its sizes under the names that a model has them by, so that it may stand for one."""
        shape = self.shape
        return SimpleNamespace(
            n_layers=shape.n_layers,
            n_heads=shape.n_heads,
            d_model=shape.d_model,
            d_head=shape.d_model // shape.n_heads,
            d_mlp=shape.d_mlp,
            n_ctx=shape.n_positions,
            d_vocab=shape.n_words,
            d_vocab_out=shape.n_outputs,
        )

    def states(
        self, tokens: Int[Tensor, "row pos"], past: KeyValues | None = None
    ) -> Float[Tensor, "row pos d_model"]:
        """What the unembedding reads: the residual stream after the final normalisation.

        Args:
            tokens: All tokens of each row, or with `past` those that come after.
            past: What was read before. It grows by these tokens.

        Raises:
            LabError: Tokens of another vocabulary, more than there are positions, other rows than
                were read before, or a shift that does not fit.
        """
        tokens = self._checked(tokens, past)
        start = past.length if past is not None else 0
        positions = self.pos_embed.weight[start : start + tokens.shape[1]]
        residual = self.embed(tokens) + positions
        for layer, block in enumerate(self.blocks):
            residual = block(residual, past)
            if layer in self.shifts:
                residual = residual + self.shifts[layer].to(residual)
        return self.ln_final(residual)

    def forward(
        self, tokens: Int[Tensor, "row pos"], past: KeyValues | None = None
    ) -> Float[Tensor, "row pos word"]:
        """Logits after every token; arguments and refusals as in `states`."""
        return self.unembed(self.states(tokens, past))

    def _checked(self, tokens: Tensor, past: KeyValues | None) -> Int[Tensor, "row pos"]:
        tokens, shape = token_ids(tokens, self), self.shape
        if past is not None and past.layers:
            d_head = shape.d_model // shape.n_heads
            wanted = (shape.n_layers, len(tokens), shape.n_heads, d_head)
            keys = past.layers[0][0]
            found = (len(past.layers), *keys.shape[:2], keys.shape[3])
            if found != wanted:
                raise LabError(
                    f"expected a cache of {wanted} layers, rows, heads and numbers a head",
                    f"got {found}",
                    hint="each network and each batch of rows has a cache of its own",
                )
            if past.length + tokens.shape[1] > shape.n_positions:
                raise LabError(
                    f"expected at most {shape.n_positions} tokens a row, the positions",
                    f"got {past.length} before and {tokens.shape[1]} more",
                )
        for layer, shift in self.shifts.items():
            size = list(shift.shape) if isinstance(shift, Tensor) else None
            fits = size == [shape.d_model] and layer in range(shape.n_layers)
            if not fits or not shift.isfinite().all():
                raise LabError(
                    f"expected shifts of {shape.d_model} finite numbers after blocks 0 to "
                    f"{shape.n_layers - 1}",
                    f"got {shift!r:.60} after block {layer}",
                )
        return tokens


class _Block(nn.Module):
    """Attention and an MLP, each of which reads the normalised stream and adds to it."""

    def __init__(self, shape: PlainShape, layer: int) -> None:
        super().__init__()
        width, d_mlp = shape.d_model, shape.d_mlp
        self.layer, self.n_heads = layer, shape.n_heads
        self.ln1 = nn.LayerNorm(width, eps=EPS)
        self.attn = nn.ModuleDict({part: nn.Linear(width, width) for part in "qkvo"})
        self.ln2 = nn.LayerNorm(width, eps=EPS)
        self.mlp = nn.ModuleDict({"in": nn.Linear(width, d_mlp), "out": nn.Linear(d_mlp, width)})

    def forward(
        self, residual: Float[Tensor, "row pos d_model"], past: KeyValues | None
    ) -> Float[Tensor, "row pos d_model"]:
        residual = residual + self._attention(self.ln1(residual), past)
        return residual + self.mlp["out"](F.gelu(self.mlp["in"](self.ln2(residual))))

    def _attention(self, read: Tensor, past: KeyValues | None) -> Tensor:
        new = read.shape[1]
        q, k, v = (
            self.attn[part](read).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for part in "qkv"
        )  # [row head pos d_head]
        if past is not None:
            k, v = past.extend(self.layer, k, v)
        before = k.shape[2] - new
        seen = None
        if before and new > 1:  # a new token reads all the old ones and the new ones up to itself
            seen = torch.ones(new, before + new, dtype=torch.bool, device=q.device).tril(before)
        mixed = F.scaled_dot_product_attention(q, k, v, seen, is_causal=not before and new > 1)
        return self.attn["o"](mixed.transpose(1, 2).flatten(2))
