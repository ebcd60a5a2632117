"""Edits of different places at equal terms: at one length ‖Δw‖, and where the fact just changes.

A fixed number of steps compares gradients: −η‖g‖² is what a first step of SGD gains. Two fairer
questions are

equal norm
    how far is the new answer from being said when the weights have moved by a given ‖Δw‖?
equal efficacy
    how far do they have to move until p(new answer) = ½, and what else has changed there?

An edit's path is a chain of straight pieces, one a step. Both points lie inside a piece, and are
found there rather than read off a curve drawn through the ends: where ‖Δw‖ is given by solving a
quadratic equation, where p is ½ by halving the piece; the model is run at the point itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Real
from torch import Tensor

from helpers.inputs import positive_row
from helpers.knowledge.editing.requests import Requests
from helpers.knowledge.editing.restricted import NORMALISED, Edited, EditSettings, edit
from helpers.knowledge.masks.blocks import Blocks, weights_of

NORMS = (0.1, 0.3, 1.0)
HALF = math.log(2)
"""−log ½."""
HALVINGS = 16
"""Of a step: the point is known to a sixty-thousandth of it."""


@dataclass(frozen=True)
class Compared:
    """Edits of some facts in one place, at equal terms.

    Attributes:
        norms: Lengths ‖Δw‖ that were asked for.
        nll_at: −log p(new answer) where the path first has each length; NaN where it never has.
        first: Length of the gradient before the first step.
        needed: ‖Δw‖ where p(new answer) first is ½; NaN where it never is, 0 where it is more
            before any step.
        steps: Number of steps until then, with the fraction of the last one.
        edited: The whole path, as `edit` gives it.
        halfway: Weights of each fact where p is ½; at the end of the path where it never is.
        half_nll: −log p(new answer) there: log 2, less where it was said before any step; NaN where
            p never is ½.
    """

    norms: tuple[float, ...]
    nll_at: Float[Tensor, "norm fact"]
    first: Float[Tensor, " fact"]
    needed: Float[Tensor, " fact"]
    steps: Float[Tensor, " fact"]
    edited: Edited
    halfway: Float[Tensor, "fact weight"]
    half_nll: Float[Tensor, " fact"]

    @property
    def reached(self) -> Bool[Tensor, " fact"]:
        """Whether p(new answer) came to ½."""
        return self.needed.isfinite()

    @property
    def at_half(self) -> Edited:
        """The edits as they are where p is ½: what `effects` compares at equal efficacy.

        Told as edits of one step, from the start to that point; the gradient is not looked at
        there, and is NaN. So is everything of a fact whose p never is ½. For means, take the facts
        that came there: ``at_half.only(rows)`` and ``requests.only(rows)``, with the numbers of
        those that are `reached` as rows.
        """
        path, never = self.edited, ~self.reached
        unknown = torch.full_like(self.first, torch.nan)
        return Edited(
            torch.where(never[:, None], torch.nan, self.halfway),
            torch.stack([path.nll[0], self.half_nll]),
            torch.stack([self.first, unknown]),
            torch.stack([torch.where(never, torch.nan, 0.0), self.needed]),
            torch.where(never, -1, (self.needed > 0).long()),
            path.undone & never,
        )


def compare(
    weights: Blocks,
    requests: Requests,
    mask: Real[Tensor, " weight"] | Bool[Tensor, " weight"],
    norms: Sequence[float] = NORMS,
    settings: EditSettings = NORMALISED,
    start: Float[Tensor, " weight"] | None = None,
) -> Compared:
    """Edit facts in one place, and note the points at which places can be compared.

    Raises:
        LabError: What `edit` refuses, or lengths that are not positive.

    >>> from helpers import zoo
    >>> from helpers.knowledge.editing import request
    >>> from helpers.knowledge.masks import blocks
    >>> its = blocks.of(zoo.load("tinyworld", device="cpu"))
    >>> asked = request("kind", {"owl": "tree"}, "the {entity} is a kind of")
    >>> found = compare(its, asked, torch.ones(len(its)), (0.1,), EditSettings(steps=12))
    >>> bool(found.reached.all()), bool(found.needed[0] < 0.6)
    (True, True)
    """
    norms = tuple(positive_row(norms, "lengths of edits"))
    before = weights_of(weights, start)
    path = _Path(weights, requests, norms, before)
    edited = edit(weights, requests, mask, settings, start, watch=path.watch)
    never = path.needed.isnan()
    halfway = torch.where(never[:, None], edited.values, path.halfway)
    return Compared(
        norms,
        path.nll_at,
        edited.gradient[0],
        path.needed,
        path.steps,
        edited,
        halfway,
        path.half_nll,
    )


class _Path:
    """The pieces of some edits' paths, as they are walked."""

    def __init__(
        self, weights: Blocks, requests: Requests, norms: tuple[float, ...], before: Tensor
    ) -> None:
        self.weights, self.requests, self.norms, self.before = weights, requests, norms, before
        facts, where = len(requests), before.device
        self.nll_at = torch.full((len(norms), facts), torch.nan, device=where)
        self.needed, self.steps, self.half_nll = torch.full((3, facts), torch.nan, device=where)
        self.halfway = before.expand(facts, -1).clone()
        self.last: tuple[Tensor, Tensor] | None = None
        self.time = -1

    def watch(self, values: Tensor, nll: Tensor) -> None:
        """The next corner of the paths."""
        self.time += 1
        if self.last is None:
            said = nll <= HALF  # before any step
            self.needed[said] = self.steps[said] = 0
            self.half_nll[said] = nll[said]
        else:
            self._piece(*self.last, values, nll)
        self.last = values, nll

    def _piece(self, old: Tensor, old_nll: Tensor, new: Tensor, nll: Tensor) -> None:
        moved, step = old - self.before, new - old
        products = [
            (a * b).sum(1).tolist() for a, b in ((moved, moved), (moved, step), (step, step))
        ]
        for fact, product in enumerate(zip(*products, strict=True)):
            for row, norm in enumerate(self.norms):
                share = share_at(norm, *product)
                if share is not None and self.nll_at[row, fact].isnan():
                    self.nll_at[row, fact] = self._nll(fact, old[fact] + share * step[fact])
            if self.needed[fact].isnan() and float(old_nll[fact]) > HALF >= float(nll[fact]):
                self._half(fact, old[fact], new[fact], float(nll[fact]))

    def _half(self, fact: int, old: Tensor, new: Tensor, nll: float) -> None:
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            there = self._nll(fact, old + middle * (new - old))
            if there > HALF:
                low = middle
            else:
                high, nll = middle, there
        self.half_nll[fact] = nll
        self.halfway[fact] = old + high * (new - old)
        self.needed[fact] = (self.halfway[fact] - self.before).norm()
        self.steps[fact] = self.time - 1 + high

    @torch.no_grad()
    def _nll(self, fact: int, values: Tensor) -> float:
        asked, part = self.requests.asked, slice(fact, fact + 1)
        said = self.weights.logits(values, asked.tokens[part], asked.last[part])
        return -float(said.log_softmax(-1)[0, self.requests.new[fact]])


def share_at(norm: float, moved: float, along: float, step: float) -> float | None:
    """The share t of a step at which ‖d + t · s‖ is `norm`; None where it is in no part of it.

    Args:
        moved, along, step: d·d, d·s and s·s.

    >>> share_at(5.0, 9.0, 0.0, 64.0)
    0.5
    >>> share_at(50.0, 9.0, 0.0, 64.0) is None
    True
    """
    inside = along * along - step * (moved - norm * norm)
    if not (step > 0 and inside >= 0):
        return None
    shares = ((sign * math.sqrt(inside) - along) / step for sign in (-1, 1))
    return min((share for share in shares if 0 < share <= 1), default=None)
