"""The losses of constrained tuning, each a mean over the places that count.

    L(θ)  =  CE(other text)  +  w · CE(posts)  +  λ · KL(q ‖ p_θ)  +  ρ · KL(base ‖ p_θ, other text)

q ∝ p · R is the closest distribution that satisfies the constraint, from a frozen snapshot of the
model and its oracle. The KL is a sum over the whole vocabulary at every place, so it needs no
samples of the next word: this is its closed form (arXiv 2410.05559). As q is frozen, the gradient
by the logits at a place is p_θ − q. Cross-entropy and KL have the same weight per word of a post;
the floor τ/(1 + λ) of what stays rude follows from that.

In other text every continuation satisfies the constraint, so q is the base itself: ρ is the part of
λ that belongs to that domain.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import within

NORMALISED = 0.02
"""How far the chances of a place may be from a sum of 1: half precision rounds as much."""


def closed_form_kl(
    log_q: Float[Tensor, "*at word"], log_p: Float[Tensor, "*at word"], mask: Bool[Tensor, "*at"]
) -> Float[Tensor, ""]:
    """KL(q ‖ p) over the vocabulary, in nats: the mean over the places that count.

    The gradient flows to both; stop it in q (`torch.no_grad`) where q is a target.

    Args:
        log_q: Log-probabilities; −∞ is a word that q never says.
        mask: Places that count: neither the prompt nor padding.

    Raises:
        LabError: Other shapes, numbers that are no log-probabilities, or no place that counts.

    >>> q, p = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]])
    >>> round(float(closed_form_kl(q.log(), p.log(), torch.tensor([True]))), 4)
    0.6931
    """
    log_q, log_p = _log_probabilities(log_q, "q"), _log_probabilities(log_p, "p")
    _check_mask(mask, log_q.shape[:-1])
    if log_q.shape != log_p.shape:
        raise LabError(
            "expected log-probabilities of the same words at the same places",
            f"got shapes {list(log_q.shape)} and {list(log_p.shape)}",
        )
    log_q, log_p = log_q[mask], log_p[mask]
    never = log_q == -torch.inf
    if (~never & (log_p == -torch.inf)).any():
        raise LabError(
            "expected a model that can say what its target says",
            "got a word that q says and p never does: the divergence is infinite",
        )
    apart = log_q.masked_fill(never, 0.0) - log_p.masked_fill(never, 0.0)
    return (log_q.exp() * apart).sum(-1).mean()


def cross_entropy(
    log_p: Float[Tensor, "*at word"], wanted: Int[Tensor, "*at"], mask: Bool[Tensor, "*at"]
) -> Float[Tensor, ""]:
    """−log p of the words that do stand there, in nats: the mean over the places that count.

    Raises:
        LabError: As `closed_form_kl`, or words that p does not have.

    >>> log_p = torch.tensor([[0.25, 0.75]]).log()
    >>> round(float(cross_entropy(log_p, torch.tensor([0]), torch.tensor([True]))), 4)
    1.3863
    """
    log_p = _log_probabilities(log_p, "p")
    _check_mask(mask, log_p.shape[:-1])
    words = log_p.shape[-1]
    whole = isinstance(wanted, Tensor) and wanted.shape == mask.shape
    whole = whole and not (wanted.is_floating_point() or wanted.is_complex())
    if not whole or not bool(((wanted >= 0) & (wanted < words)).all()):
        raise LabError(
            f"expected the word at each of {list(mask.shape)} places, 0 to {words - 1}",
            f"got {_described(wanted)}",
        )
    return -log_p[mask].gather(-1, wanted[mask].long()[:, None]).mean()


def _log_probabilities(x: Any, whose: str) -> Float[Tensor, "..."]:
    """Log-probabilities with their gradient, of single precision at least."""
    if isinstance(x, Tensor) and x.is_floating_point() and x.ndim and x.numel():
        x = x if x.dtype in (torch.float32, torch.float64) else x.float()
        if within((x.detach().exp().sum(-1) - 1).abs(), NORMALISED):
            return x
    raise LabError(
        f"expected log-probabilities of {whose}, which add up to 1 at every place",
        f"got {_described(x)}",
        hint="log_softmax makes them of logits",
    )


def _check_mask(mask: Any, shape: torch.Size) -> None:
    if not isinstance(mask, Tensor) or mask.dtype is not torch.bool or mask.shape != shape:
        raise LabError(
            f"expected a truth value for each of {list(shape)} places", f"got {_described(mask)}"
        )
    if not mask.any():
        raise LabError("expected a place that counts", "the mask leaves none")


def _described(x: Any) -> str:
    return f"{x.dtype} of shape {list(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
