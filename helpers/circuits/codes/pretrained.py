"""Pretrained sparse autoencoders, by sae-lens: loaded from the hub or a folder, and never used
before they reconstruct.

The autoencoders of GPT-2's attention (release `RELEASE`) work on a whole layer, all heads' ``z``
side by side, and have tens of thousands of latents: a contrast to the discrete SAE's 200 latents a
head's write.

They were trained on *processed* weights (`real_models`), in which value biases are folded away. On
raw weights z is shifted, and sae-lens's own table of the release, made on raw ones, has shares of
explained variance of at most 0.43, and from layer 6 on of 0 to -7.55. So an autoencoder is handed
out only together with the activations that it is meant for, and only if it explains enough of them.
The release's files are pickles, of which torch from 2.6 on reads nothing but tensors.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from helpers.circuits.codes import lens_sae
from helpers.circuits.tasks import twins
from helpers.errors import LabError
from helpers.interventions import collect
from helpers.model import Model
from helpers.texts.prompts import Prompts

RELEASE = "gpt2-small-hook-z-kk"
LEAST = 0.5
"""Share of the variance below which an autoencoder is refused. The mean alone has 0; the release
has less on raw weights. What it has on processed ones was not measured here."""


@dataclass(frozen=True)
class Pretrained:
    """An autoencoder that was checked.

    Attributes:
        sae: of sae-lens, with ``encode`` and ``decode``; takes vectors, not heads.
        explained: share of the variance of the activations it was checked on.
        hook: the hook point of the model that it was trained on, as it says itself.
    """

    sae: Any
    explained: float
    hook: str | None

    @torch.no_grad()
    def encode(self, activations: Float[Tensor, "*shape d_in"]) -> Float[Tensor, "*shape latent"]:
        """Activations of the latents."""
        return self.sae.encode(activations)


def attention_z(model: Model, prompts: Prompts, layer: int) -> Float[Tensor, "token d_in"]:
    """All heads' ``z`` of a layer side by side, at every real token: what autoencoders of `RELEASE` are for."""
    z = collect(model, prompts.tokens, batch_size=32)[0].z[layer]
    return z[twins.real(prompts)].flatten(1)


@torch.no_grad()
def explained_variance(sae, activations: Float[Tensor, "vector d_in"]) -> float:
    """1 less the squared error over the squared distance from the mean, summed over all dimensions:
    1 is perfect, the mean has 0.

    Raises:
        LabError: vectors of another width, fewer than two, all alike, or with NaN.
    """
    if activations.ndim != 2 or activations.shape[1] != sae.cfg.d_in:
        raise LabError(
            f"expected vectors of {sae.cfg.d_in} dimensions, as the autoencoder has",
            f"got {list(activations.shape)}",
        )
    spread = (activations - activations.mean(0)).pow(2).sum()
    if not activations.isfinite().all() or not spread > 0:
        raise LabError(
            "expected activations that differ, without NaN",
            f"got {len(activations)} with squared deviation {spread:.3g}",
        )
    return float(1 - (sae.decode(sae.encode(activations)) - activations).pow(2).sum() / spread)


def from_hub(
    activations: Float[Tensor, "vector d_in"],
    sae_id: str = "blocks.5.hook_z",
    release: str = RELEASE,
    least: float = LEAST,
) -> Pretrained:
    """An autoencoder of sae-lens's list, from the Hugging Face hub.

    Args:
        activations: of the model and hook point in question; see `attention_z`.
        sae_id: which of the release.
        least: share of the variance that it has to explain.

    Raises:
        LabError: sae-lens is missing, the hub does not answer, there is no such autoencoder, or it
            explains too little.
    """
    lens = lens_sae.library()
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        sae = lens.SAE.from_pretrained(release=release, sae_id=sae_id, device="cpu")
    except (
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
    ) as fault:
        raise LabError(
            f"expected the autoencoder {sae_id} of {release} from the Hugging Face hub",
            f"it did not come: {(str(fault).strip() or type(fault).__name__).splitlines()[0][:300]}",
            hint="check both names and the network; an autoencoder trained here needs neither (helpers.circuits.codes.lens_sae)",
        ) from None
    return checked(sae, activations, least)


def from_folder(
    folder: Path, activations: Float[Tensor, "vector d_in"], least: float = LEAST
) -> Pretrained:
    """An autoencoder that sae-lens saved (``save_inference_model``), checked in the same way.

    Raises:
        LabError: sae-lens is missing, the folder has no autoencoder, or it explains too little.
    """
    lens = lens_sae.library()
    try:
        sae = lens.SAE.load_from_disk(folder)
    except (OSError, ValueError, KeyError, RuntimeError) as fault:
        raise LabError(
            f"expected an autoencoder saved by sae-lens in {folder}",
            f"it says: {type(fault).__name__}: {str(fault).strip()[:300]}",
            hint="save_inference_model writes cfg.json and sae_weights.safetensors",
        ) from None
    return checked(sae, activations, least)


def checked(sae, activations: Float[Tensor, "vector d_in"], least: float = LEAST) -> Pretrained:
    """The autoencoder with its share of explained variance.

    Raises:
        LabError: the share is below `least`.
    """
    metadata = getattr(sae.cfg, "metadata", None)
    hook = getattr(metadata, "hook_name", None)
    if getattr(sae, "hook_z_reshaping_mode", False):
        sae.turn_off_forward_pass_hook_z_reshaping()  # vectors come with their heads side by side already
    sae = sae.eval()
    explained = explained_variance(sae, activations)
    if not explained >= least:
        raise LabError(
            f"expected an autoencoder that explains at least {least:.0%} of the variance of these activations",
            f"it explains {explained:.0%}",
            hint="take activations of the model and hook point it was trained on"
            + (f", {hook}," if hook else "")
            + ' with processed weights: real_models.load(name, "processed")',
        )
    return Pretrained(sae, explained, hook)
