"""The auxiliary model on the tokens of a real one: how likely a clean text is after every token.

It is the transformer of `helpers.detox.oracle`, over the model's own tokens, and its losses are
those of that room: the label of the whole text at every token that the model wrote, and consistency
with what the model says next. Its output layer is zero at first, but for the bias, which has the
share of clean samples: so q is p before it has learned anything.

Continuations are cut after so many tokens. The last one therefore ends the text, whether or not it
is an end of text: R of the whole is the label, and consistency asks nothing there.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers import runtime
from helpers.detox.networks import PlainShape
from helpers.detox.oracle import FitLoss, FitPlan, SuccessOracle, losses
from helpers.detox.oracle.network import blank
from helpers.detox.real.plan import check_share
from helpers.detox.real.writing import Rows, before
from helpers.errors import LabError
from helpers.inputs import within

Chances = Callable[[Int[Tensor, "row pos"]], Float[Tensor, "row pos word"]]
"""Log-probabilities of the model that wrote the samples."""
HEADS = 4
KEPT = 0.02
"""The first chance of success is kept this far from 0 and 1."""


@dataclass(frozen=True)
class LabelledRows:
    """Samples of a model, each with the label of the whole text.

    Raises:
        LabError: Not one label for each, or no clean text among them.
    """

    rows: Rows
    clean: Bool[Tensor, " row"]

    def __post_init__(self) -> None:
        if self.clean.shape != (len(self.rows),) or self.clean.dtype is not torch.bool:
            raise LabError(
                f"expected a truth value for each of {len(self.rows)} samples",
                f"got {self.clean.dtype} of shape {list(self.clean.shape)}",
            )
        if not self.clean.any():
            raise LabError(
                "expected samples of which some are clean",
                f"the labeller calls all {len(self.clean)} toxic, so R = 0 and there is no target",
                hint="draw more samples, or take milder prompts or another labeller",
            )

    @property
    def share(self) -> float:
        """Share of clean samples."""
        return float(self.clean.double().mean())

    @property
    def accepted(self) -> Rows:
        """The clean samples: exact samples of the target for the model that wrote them."""
        return self.rows.at(self.clean.nonzero()[:, 0])


def new_auxiliary(
    words: int, width: int, layers: int, longest: int, share: float, seed: int
) -> SuccessOracle:
    """An auxiliary model that has learned nothing but the share of clean samples.

    Raises:
        LabError: A share outside of 0 to 1, or sizes that no network has.
    """
    check_share("share of clean samples", share)
    heads = next(heads for heads in range(HEADS, 0, -1) if width % heads == 0)
    shape = PlainShape(words, width, heads, layers, 2 * width, longest, words)
    return blank(shape, seed, min(1 - KEPT, max(KEPT, share)))


def fit_auxiliary(
    oracle: SuccessOracle,
    chances: Chances,
    samples: LabelledRows,
    plan: FitPlan,
    generator: torch.Generator,
    device: str = "cpu",
) -> list[FitLoss]:
    """Train an auxiliary model in place on samples.

    Args:
        chances: What the model that wrote them says next, for consistency.
        generator: Draws the texts of each step, on the CPU.

    Returns:
        The losses of every step, sums over the tokens of a text.

    Raises:
        LabError: A plan that cannot be followed, or a loss that is no number.
    """
    plan.check()
    found = []
    with runtime.gradients():
        oracle.to(device)
        optimiser = torch.optim.AdamW(oracle.parameters(), lr=plan.rate, weight_decay=0.0)
        for step in runtime.progress(range(plan.steps), "auxiliary model"):
            places = torch.randint(len(samples.rows), (plan.batch,), generator=generator)
            batch = samples.rows.at(places)
            for group in optimiser.param_groups:
                group["lr"] = plan.rate_at(step)
            entropy, apart = _losses(oracle, chances, batch, samples.clean[places], plan, device)
            loss = entropy + plan.consistency * apart
            if not within(loss.detach().abs(), torch.finfo(torch.float32).max):
                raise LabError(
                    "expected a loss of the oracle that is a number",
                    f"got {float(loss.detach()):.4g} at step {step}",
                    hint="take a smaller learning rate",
                )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            found.append(FitLoss(float(entropy.detach()), float(apart.detach())))
    return found


def _losses(
    oracle: SuccessOracle,
    chances: Chances,
    batch: Rows,
    clean: Bool[Tensor, " row"],
    plan: FitPlan,
    device: str,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the labels, and consistency, of some texts."""
    tokens, counts = batch.tokens.to(device), batch.counts.to(device)
    at = before(counts)
    going_on = counts & at  # the last token ends the text
    logits = oracle.head(oracle.states(tokens)[at])  # [asked word]
    chosen = logits.gather(1, tokens.roll(-1, 1)[at][:, None])[:, 0]
    own = torch.zeros(tokens.shape, dtype=logits.dtype, device=device)
    own = own.masked_scatter(at, chosen).roll(1, 1)  # what was said after the token before
    entropy = losses.entropy(own, clean.to(device, own.dtype), counts)
    if not plan.consistency or not going_on.any():
        return entropy, torch.zeros((), device=device)
    with torch.no_grad():
        p = chances(tokens)[going_on].exp()
    expected = losses.expected_success(logits[going_on[at]], p)
    spread = torch.zeros_like(own).masked_scatter(going_on, expected)
    return entropy, losses.consistency(own, spread, going_on, plan.direction)
