"""Many L2-regularised logistic regressions at once: the solver beneath
`helpers.trust.probes.linear`.

All fits of a site (one layer of one checkpoint) read the same activations. They differ in the rows
they train on (splits and folds of the cross-validation, as masks), in how these rows standardise
the features, and in the strength of the penalty. So one matrix product serves all of them: with A
the coefficients of all fits and X the activations, A Xᵀ are the scores and R X the gradients.
Standardising needs no copy of X: a penalty strength · scale² on the coefficients of the unscaled
features, with a free intercept, has the same optimum.

Each fit is minimised by the conjugate-gradient method (Polak–Ribière+) with a preconditioner and a
step that never overshoots: the loss falls at every iteration, every new direction points downhill,
and no line search is needed. For the logistic loss |f'''| ≤ R f'' along a direction that changes no
score of a training row by more than R, so the slope after a step t is at most
f' + f'' (exp(R t) − 1) / R (from Bach, Electronic Journal of Statistics 4, 2010); the step taken is
where this bound is 0. The preconditioner is the inverse Hessian that all rows would give if every
row had the mean weight p(1 − p): the eigenvectors of one covariance matrix per site.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

CONSTANT = 1e-10
"""A feature is constant if its variance on training rows is below this share of that on all."""
RANK = 512
"""Most directions that the preconditioner keeps: they set the number of steps, not the result."""
FLOOR = 1e-3
"""Smallest eigenvalue in the preconditioner, as a share of their mean."""


@dataclass(frozen=True)
class Design:
    """What all fits of some sites share.

    The dimension "feature" counts a last column of ones, for the intercept; d does not.

    Attributes:
        x: Activations, standardised over all rows of the site (a change of units that costs no
            information).
        mean, scale: Mean and scale of the features on the rows of each mask, in the units of `x`;
            the scale is 1 where they are constant.
        constant: Features that are constant on the rows of a mask.
        masks: 1 for the rows that a fit uses.
        basis: Eigenvectors of the covariance over all rows, as columns.
        spectrum: Their eigenvalues.
        rest: Mean eigenvalue of the directions that the basis leaves out.
        centre, unit: What was subtracted and divided by to get `x`.
    """

    x: Float[Tensor, "site item feature"]
    mean: Float[Tensor, "site mask d"]
    scale: Float[Tensor, "site mask d"]
    constant: Bool[Tensor, "site mask d"]
    masks: Float[Tensor, "mask item"]
    basis: Float[Tensor, "site d rank"]
    spectrum: Float[Tensor, "site rank"]
    rest: Float[Tensor, "site 1"]
    centre: Float[Tensor, "site 1 d"]
    unit: Float[Tensor, "site 1 d"]

    def to(self, dtype: torch.dtype) -> "Design":
        """The same in another floating-point precision."""
        values = {
            name: value if value.dtype == torch.bool else value.to(dtype)
            for name, value in vars(self).items()
        }
        return Design(**values)


def design(x: Float[Tensor, "site item d"], masks: Bool[Tensor, "mask item"]) -> Design:
    """Everything about the activations that does not depend on labels or strengths, in float64."""
    x, masks = x.double(), masks.to(x.device, torch.float64)
    centre, unit = x.mean(1, keepdim=True), x.std(1, keepdim=True, correction=0)
    unit = torch.where(unit > 1e-12 * centre.abs(), unit, 1.0)
    x = (x - centre) / unit
    weights = masks / masks.sum(1, keepdim=True)
    mean = weights @ x
    variance = weights @ (x * x) - mean**2
    constant = variance <= CONSTANT
    scale = torch.where(constant, 1.0, variance).sqrt()
    basis, spectrum, rest = _principal(x.float())
    x = torch.cat([x, torch.ones_like(x[..., :1])], dim=2)
    return Design(x, mean, scale, constant, masks, basis, spectrum, rest, centre, unit)


def _principal(x: Float[Tensor, "site item d"]) -> tuple[Tensor, Tensor, Tensor]:
    """Basis, spectrum and rest of a `Design`; they set the speed only, so float32 is enough."""
    n, d = x.shape[1:]
    if d <= min(n, RANK):
        squares, basis = torch.linalg.eigh(x.mT @ x)
    else:  # the directions of all rows, or of evenly spaced ones where they are too many
        rows = torch.linspace(0, n - 1, min(n, RANK), device=x.device).long()
        span = torch.linalg.qr(x[:, rows].mT).Q
        squares, turn = torch.linalg.eigh((x @ span).mT @ (x @ span))
        basis = span @ turn
    basis, spectrum = basis.double(), squares.double() / n
    # orthonormal to rounding
    basis = basis @ (1.5 * torch.eye(basis.shape[2]).to(basis) - 0.5 * basis.mT @ basis)
    # eigenvalues near 0 would make weak penalties ill-conditioned
    floor = FLOOR * (x.double() ** 2).mean((1, 2))[:, None]
    left_out = (x.double() ** 2).sum((1, 2))[:, None] / n - spectrum.sum(1, keepdim=True)
    rest = torch.maximum(left_out / max(1, d - spectrum.shape[1]), floor)
    return basis, torch.maximum(spectrum, floor), rest


def minimise(
    design: Design,
    labels: Bool[Tensor, "site item"],
    which: Int[Tensor, " fit"],
    strengths: Float[Tensor, "site fit"],
    tolerance: float,
    max_iterations: int,
    start: Float[Tensor, "site fit feature"] | None = None,
) -> tuple[Float[Tensor, "site fit feature"], float]:
    """The coefficients with the smallest penalised loss, for every fit.

    The loss is Σ log(1 + exp(∓score)) + strength / 2 · ‖standardised weights‖².

    Args:
        labels: Labels of the items, at every site.
        which: The mask of each fit, an index into ``design.masks``.
        strengths: Strengths of the penalty, at every site.
        tolerance: A fit has converged when no entry of the gradient, divided by the number of
            training rows, exceeds it (for standardised features; scikit-learn's criterion).
        start: Where to begin; zeros if left away.

    Returns:
        Coefficients on ``design.x`` (not yet standardised: see `standardised`), and the largest
        entry of a gradient of a fit that did not converge within `max_iterations`, or 0.
    """
    state = _State(design, labels, which, strengths, start)
    coefficients = state.coefficients.clone()
    for _ in range(max_iterations):
        errors = state.gradient()
        done = (errors <= tolerance).all(0)
        if done.any():
            coefficients[:, state.fits[done]] = state.coefficients[:, done]
            if done.all():
                return coefficients, 0.0
            state.keep(~done)
        state.step()
    coefficients[:, state.fits] = state.coefficients
    return coefficients, float(state.gradient().max())


class _State:
    """The fits still running: a fit leaves when it has converged at all sites."""

    def __init__(
        self, design: Design, labels: Tensor, which: Tensor, strengths: Tensor, start: Tensor | None
    ) -> None:
        x = design.x
        self.x, self.design, self.fits = x, design, torch.arange(len(which), device=x.device)
        self.labels = labels[:, None].to(x)
        self.mask = design.masks[which][None]
        self.rows = self.mask.sum(2)
        self.mean, self.scale = design.mean[:, which], design.scale[:, which]
        self.strength = strengths[..., None]
        free = torch.zeros_like(self.strength)  # no penalty on the intercept
        self.penalty = torch.cat([self.strength * self.scale**2, free], 2)
        shape = (len(x), len(which), x.shape[2])
        self.coefficients = x.new_zeros(shape) if start is None else start.clone()
        self.scores = self.coefficients @ x.mT
        self.direction, self.past_slope = x.new_zeros(shape), x.new_full(shape[:2], torch.inf)
        self.past_gradient = x.new_zeros(shape)

    def keep(self, kept: Bool[Tensor, " fit"]) -> None:
        """Go on with some of the fits only."""
        self.fits = self.fits[kept]
        self.mask, self.rows = self.mask[:, kept], self.rows[:, kept]
        self.mean, self.scale = self.mean[:, kept], self.scale[:, kept]
        self.strength, self.penalty = self.strength[:, kept], self.penalty[:, kept]
        self.coefficients, self.scores = self.coefficients[:, kept], self.scores[:, kept]
        self.curvature, self.slopes = self.curvature[:, kept], self.slopes[:, kept]
        self.standard, self.direction = self.standard[:, kept], self.direction[:, kept]
        self.past_slope = self.past_slope[:, kept]
        self.past_gradient = self.past_gradient[:, kept]

    def gradient(self) -> Float[Tensor, "site fit"]:
        """Set the gradient at the coefficients; its largest entry, divided by the training rows."""
        chance = torch.sigmoid(self.scores)
        self.curvature = torch.addcmul(chance, chance, chance, value=-1) * self.mask
        self.slopes = torch.addcmul(
            (chance - self.labels) * self.mask @ self.x, self.penalty, self.coefficients
        )
        weights, intercept = self.slopes[..., :-1], self.slopes[..., -1:]
        self.standard = torch.addcmul(weights, self.mean, intercept, value=-1) / self.scale
        return torch.maximum(self.standard.abs().amax(2), intercept[..., 0].abs()) / self.rows

    def _preconditioned(self) -> Float[Tensor, "site fit feature"]:
        """The gradient times an approximate inverse Hessian, in the units of x.

        The Hessian is that of the standardised problem.
        """
        of = self.design
        total = self.curvature.sum(2, keepdim=True).clamp(min=1e-6)
        outside = 1 / (total * of.rest[:, None] + self.strength)
        inside = 1 / (total * of.spectrum[:, None] + self.strength) - outside
        weights = (
            torch.addcmul((self.standard @ of.basis * inside) @ of.basis.mT, outside, self.standard)
            / self.scale
        )
        intercept = self.slopes[..., -1:] / total - (self.mean * weights).sum(2, keepdim=True)
        return torch.cat([weights, intercept], 2)

    def step(self) -> None:
        """Move the coefficients, and the scores with them."""
        dot, tiny = torch.linalg.vecdot, torch.finfo(self.x.dtype).tiny
        ahead = self._preconditioned()
        slope, past_slope = dot(self.slopes, ahead), self.past_slope.clamp(min=tiny)
        conjugate = ((slope - dot(self.past_gradient, ahead)) / past_slope).clamp(min=0)
        self.direction = torch.addcmul(-ahead, conjugate[..., None], self.direction)
        self.past_gradient, self.past_slope = self.slopes, slope
        change = self.direction @ self.x.mT
        bend = dot(self.curvature * change, change)
        bend = bend + dot(self.penalty * self.direction, self.direction)
        newton = -dot(self.slopes, self.direction) / bend.clamp(min=tiny)
        newton = newton.clamp(min=0)  # below 0 by rounding only
        reach = (change * self.mask).abs().amax(2).clamp(min=tiny)
        length = (torch.log1p(reach * newton) / reach)[..., None]
        self.coefficients = torch.addcmul(self.coefficients, length, self.direction)
        self.scores = torch.addcmul(self.scores, length, change)


def standardised(
    design: Design, which: Int[Tensor, " fit"], coefficients: Float[Tensor, "site fit feature"]
) -> tuple[Float[Tensor, "site fit d"], Float[Tensor, "site fit"]]:
    """Weights on standardised features, and the intercept that belongs to them.

    The features are standardised by the rows of each fit's mask. A feature that is constant on
    those rows gets the weight 0: what it adds there is part of the intercept.
    """
    weights = coefficients[..., :-1]
    intercept = coefficients[..., -1] + (weights * design.mean[:, which]).sum(2)
    return torch.where(design.constant[:, which], 0.0, weights * design.scale[:, which]), intercept
