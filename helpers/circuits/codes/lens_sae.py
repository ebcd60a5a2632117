"""The same codes from autoencoders that sae-lens trains: the standard one with an L1 penalty, and
TopK with k = 1.

sae-lens sums the squared error over dimensions where the paper takes its mean, so the penalty that
corresponds to the paper's λ is d_model · λ. It also differs in its start (decoder vectors of length
0.1, the encoder their transpose), clips gradients at norm 1, weighs each latent by the length of
its decoder vector, and holds no vector at length 1. TopK with k = 1 keeps one latent per vector
while it trains, which is what an arg max reads out afterwards.

The package is the extra ``sae``; its versions so far need a transformer-lens below 4.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers import runtime
from helpers.circuits.codes.discrete_sae import DEAD, Settings, check, largest, outside
from helpers.errors import LabError

Kind = Literal["standard", "topk"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class LensSAE:
    """An autoencoder of sae-lens, asked for codes."""

    model: Any

    @torch.no_grad()
    def encode(self, writes: Float[Tensor, "*shape d_model"]) -> Float[Tensor, "*shape latent"]:
        """Activations of the latents, without gradients; `model.encode` lets them through."""
        return self.model.encode(check(writes).flatten(0, -2)).unflatten(0, writes.shape[:-1])

    @torch.no_grad()
    def reconstruct(
        self, writes: Float[Tensor, "*shape d_model"]
    ) -> Float[Tensor, "*shape d_model"]:
        """What the decoder makes of the latents."""
        return self.model.decode(self.encode(writes))

    def codes(
        self, writes: Float[Tensor, "*shape d_model"], dead: int = DEAD
    ) -> Int[Tensor, "*shape"]:
        """The largest latent of each vector; `dead` where none is active."""
        return largest(self.encode(writes), dead)


@runtime.gradients()
def train(
    writes: Float[Tensor, "vector d_model"],
    kind: Kind = "standard",
    settings: Settings | None = None,
    seed: int = 0,
) -> LensSAE:
    """Train with sae-lens on vectors held in memory, all of them at each step.

    Args:
        kind: "standard", with the penalty d_model · `settings.sparsity`; or "topk", with k = 1 and
            no penalty.
        settings: Latents, sparsity, steps and rate; what `unit` says has no counterpart in
            sae-lens.
        seed: Seed of the start. Afterwards the global random state is what it was before.

    Raises:
        LabError: an unknown kind, vectors that are not finite, or no usable sae-lens.
    """
    if kind not in KINDS:
        raise LabError(f"expected a kind of autoencoder: {', '.join(KINDS)}", f"got {kind!r}")
    settings, vectors = settings or Settings(), outside(check(writes))
    lens = library()
    from sae_lens.config import LoggingConfig, SAETrainerConfig

    with torch.random.fork_rng(devices=[]), _quiet():
        torch.manual_seed(seed)
        model = _untrained(lens, kind, vectors.shape[-1], settings)
        configuration = SAETrainerConfig(
            total_training_samples=settings.steps * len(vectors),
            train_batch_size_samples=len(vectors),
            lr=settings.rate,
            lr_end=settings.rate,  # has to be given although the rate is constant
            device="cpu",
            logger=LoggingConfig(log_to_wandb=False),
        )
        return LensSAE(
            lens.SAETrainer(configuration, model, data_provider=_always(vectors)).fit().eval()
        )


def library() -> ModuleType:
    """The package sae-lens.

    Raises:
        LabError: it is not installed, or does not work with this transformer-lens.
    """
    try:
        import sae_lens
    except ImportError as fault:
        raise LabError(
            "expected sae-lens, beside a transformer-lens below 4",
            f"its import says: {fault}",
            hint='pip install "trustworthy-circuits[sae]"; '
            "helpers.circuits.codes.discrete_sae needs neither",
        ) from None
    return sae_lens


def _untrained(lens: ModuleType, kind: Kind, d_model: int, settings: Settings) -> Any:
    shape = {"d_in": d_model, "d_sae": settings.latents, "apply_b_dec_to_input": True}
    if kind == "topk":
        return lens.TopKTrainingSAE(lens.TopKTrainingSAEConfig(**shape, k=1))
    return lens.StandardTrainingSAE(
        lens.StandardTrainingSAEConfig(**shape, l1_coefficient=d_model * settings.sparsity)
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """sae-lens without its progress bar: half a second is no work to watch."""
    from sae_lens.training import sae_trainer

    bar = sae_trainer.tqdm
    sae_trainer.tqdm = partial(bar, disable=True)
    try:
        yield
    finally:
        sae_trainer.tqdm = bar


def _always(vectors: Tensor) -> Iterator[Tensor]:
    while True:
        yield vectors
