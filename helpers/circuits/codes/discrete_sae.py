"""A small sparse autoencoder that turns what a head writes into one integer (O'Neill and Bui, arXiv
2405.12522).

Of each head and prompt there is one vector x, the mean over the prompt's tokens of what the head
adds to the residual stream. One autoencoder with few latents is trained on the x of all heads on a
handful of prompts:

    z  =  ReLU( W_e (x - b) + b_e )          x̂  =  W_d z + b
    L  =  mean over vectors and dimensions of (x̂ - x)²  +  λ · mean over vectors of |z|₁

and the *code* of a head on a prompt is the latent that is largest, arg max z. If no latent is above
zero the code is `DEAD`.

Before every step the vectors of W_e and W_d are put back to length 1, and the gradient has no part
along them, as in the code that the authors released. That code differs in two ways, both kept here
to be tried: it scales every *row* of W_d to length 1, one row an output dimension, where the
columns are the dictionary's vectors; and it gives a vector without active latent the code 0, as if
latent 0 had won.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from helpers import runtime
from helpers.errors import LabError
from helpers.inputs import finite

DEAD = -1
"""Code of a vector for which no latent is active."""


@dataclass(frozen=True)
class Settings:
    """How an autoencoder is trained.

    The defaults are the authors' for IOI, but for the axis of the decoder's norm.

    Attributes:
        latents: Number of latents, and so of codes.
        sparsity: λ of the loss. The authors use 0.02 for IOI and greater-than, 0.05 for docstring
            (`methods.published`).
        steps: Number of steps of Adam, each on all vectors.
        rate: Learning rate.
        unit: What of the decoder has length 1: its "columns", the dictionary's vectors, or its
            "rows", as released.
    """

    latents: int = 200
    sparsity: float = 0.02
    steps: int = 500
    rate: float = 1e-3
    unit: Literal["columns", "rows"] = "columns"

    def __post_init__(self) -> None:
        if self.unit not in ("columns", "rows"):
            raise LabError(
                'expected the decoder\'s "columns" or "rows" to have length 1', f"got {self.unit!r}"
            )
        if not (self.latents >= 1 and self.steps >= 0 and self.sparsity >= 0 and self.rate > 0):
            raise LabError(
                "expected at least one latent, no negative steps or sparsity, and a rate above 0",
                f"got {self}",
            )


@dataclass(frozen=True)
class DiscreteSAE:
    """Autoencoders of one shape, one per seed, that were trained side by side.

    Attributes:
        encoder, encoder_bias, decoder, bias: W_e, b_e, W_d and b of the module's equations.
        losses: Reconstruction error and sparsity penalty at each step.
    """

    encoder: Float[Tensor, "seed latent d_model"]
    encoder_bias: Float[Tensor, "seed 1 latent"]
    decoder: Float[Tensor, "seed d_model latent"]
    bias: Float[Tensor, "seed 1 d_model"]
    losses: Float[Tensor, "step 2 seed"]

    def __len__(self) -> int:
        return len(self.encoder)

    def encode(
        self, writes: Float[Tensor, "*shape d_model"], seed: int = 0
    ) -> Float[Tensor, "*shape latent"]:
        """Activations of the latents of one of the autoencoders.

        Gradients go through, float64 stays float64, and no vectors have no latents.

        Raises:
            LabError: vectors of another width than those it was trained on, or not finite.

        >>> sae = train(torch.randn(8, 4), Settings(latents=3, steps=0))
        >>> sae.encode(torch.randn(2, 4, requires_grad=True)).requires_grad
        True
        """
        centred = self._looked_at(writes) - self.bias[seed]
        return torch.relu(centred @ self.encoder[seed].T.to(centred) + self.encoder_bias[seed])

    def reconstruct(
        self, writes: Float[Tensor, "*shape d_model"], seed: int = 0
    ) -> Float[Tensor, "*shape d_model"]:
        """What the decoder makes of the latents; as `encode`."""
        latents = self.encode(writes, seed)
        return latents @ self.decoder[seed].T.to(latents) + self.bias[seed]

    def codes(
        self, writes: Float[Tensor, "*shape d_model"], seed: int = 0, dead: int = DEAD
    ) -> Int[Tensor, "*shape"]:
        """The largest latent of each vector, or `dead` where none is active (released code: 0)."""
        return largest(self.encode(check(writes), seed), dead)

    def _looked_at(
        self, writes: Float[Tensor, "*shape d_model"]
    ) -> Float[Tensor, "*shape d_model"]:
        """The vectors as they are, if the autoencoder can read them."""
        width = self.bias.shape[-1]
        if not writes.ndim or writes.shape[-1] != width:
            raise LabError(
                f"expected vectors that heads write, of {width} numbers each",
                f"got the shape {tuple(writes.shape)}",
            )
        return look(writes) if writes.numel() else writes


def largest(activations: Float[Tensor, "*shape latent"], dead: int = DEAD) -> Int[Tensor, "*shape"]:
    """Index of the largest latent, and `dead` where none is above zero.

    >>> largest(torch.tensor([[0.0, 2.0, 1.0], [0.0, 0.0, 0.0]])).tolist()
    [1, -1]
    """
    highest, index = activations.max(-1)
    return index.masked_fill(highest <= 0, dead)


@runtime.gradients()
def train(
    writes: Float[Tensor, "vector d_model"] | Float[Tensor, "seed vector d_model"],
    settings: Settings | None = None,
    seeds: tuple[int, ...] = (0,),
) -> DiscreteSAE:
    """Train one autoencoder per seed; all at once, which costs little more than one.

    Args:
        writes: The vectors to be learned: one set for all seeds, or one set per seed.
        seeds: Seeds of the start. The training itself draws nothing: each step takes all vectors.
            The same seeds give the same weights up to rounding (1e-5 on one machine).

    Raises:
        LabError: vectors that are not finite, or not one set per seed.
    """
    settings = settings or Settings()
    vectors = outside(check(writes if writes.ndim == 3 else writes[None]))
    if writes.ndim == 3 and len(writes) != len(seeds):
        raise LabError(
            "expected one set of vectors for each seed",
            f"got {len(writes)} sets and {len(seeds)} seeds",
        )
    starts = [_start(vectors.shape[-1], settings.latents, seed) for seed in seeds]
    parameters = [torch.stack(parts).requires_grad_() for parts in zip(*starts, strict=True)]
    optimiser = torch.optim.Adam(parameters, lr=settings.rate)
    losses = [_step(vectors, parameters, optimiser, settings) for _ in range(settings.steps)]
    encoder, encoder_bias, decoder, bias = (
        parameter.detach() for parameter in _unit(parameters, settings.unit)
    )
    history = torch.stack(losses) if losses else torch.zeros(0, 2, len(seeds))
    return DiscreteSAE(encoder, encoder_bias, decoder, bias, history)


def _start(d_model: int, latents: int, seed: int) -> list[Tensor]:
    """Encoder, its bias, decoder and the tied bias, as the released code draws them."""
    generator = torch.Generator().manual_seed(seed)
    encoder = torch.randn(latents, d_model, generator=generator)
    decoder = torch.randn(d_model, latents, generator=generator)
    encoder_bias = (2 * torch.rand(1, latents, generator=generator) - 1) / d_model**0.5
    return [encoder, encoder_bias, decoder, torch.zeros(1, d_model)]


def _unit(parameters: list[Tensor], unit: Literal["columns", "rows"]) -> list[Tensor]:
    """The parameters with vectors of length 1 in encoder and decoder."""
    encoder, encoder_bias, decoder, bias = parameters
    axis = -2 if unit == "columns" else -1
    return [normalize(encoder, dim=-1), encoder_bias, normalize(decoder, dim=axis), bias]


def _step(
    vectors: Tensor,
    parameters: list[Tensor],
    optimiser: torch.optim.Optimizer,
    settings: Settings,
) -> Float[Tensor, "2 seed"]:
    with torch.no_grad():  # in place, as released: the learning rate is one of vectors of length 1
        for parameter, scaled in zip(parameters, _unit(parameters, settings.unit), strict=True):
            parameter.copy_(scaled)
    # scaled once more, so that the gradient has no part along the vectors
    encoder, encoder_bias, decoder, bias = _unit(parameters, settings.unit)
    z = torch.relu((vectors - bias) @ encoder.mT + encoder_bias)
    error = (z @ decoder.mT + bias - vectors).square().mean((1, 2))
    penalty = z.sum(-1).mean(-1)
    optimiser.zero_grad()
    loss = error + settings.sparsity * penalty
    loss.sum().backward()  # seeds share no parameter: the sum trains each by its own loss
    optimiser.step()
    return torch.stack([error, penalty]).detach()


def look(writes: Float[Tensor, "*shape d_model"]) -> Float[Tensor, "*shape d_model"]:
    """The vectors with their gradients, in float32 or better: means of fewer digits are rounding.

    Raises:
        LabError: a vector with NaN or infinity, or no vector.
    """
    hint = "look for the layer where they begin; a model in float16 may need float32"
    finite(torch.atleast_2d(writes).flatten(0, -2), "activations", "vector d_model", hint)
    return writes.to(torch.promote_types(writes.dtype, torch.float32))


def check(writes: Float[Tensor, "*shape d_model"]) -> Float[Tensor, "*shape d_model"]:
    """The vectors as float32 without gradients, for what learns or counts; else as `look`."""
    return look(writes).detach().float()


def outside(vectors: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Vectors that gradients can be taken with: those of torch's inference mode cannot."""
    return vectors.clone() if vectors.is_inference() else vectors
