"""An oracle is fitted: to the labels of the model's own texts, and to be consistent with itself."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers import runtime
from helpers.detox.networks import Plain
from helpers.detox.oracle import losses
from helpers.detox.oracle.losses import DIRECTIONS, Direction
from helpers.detox.oracle.network import LinearOracle, Oracle
from helpers.detox.oracle.samples import LabelledSamples
from helpers.errors import LabError
from helpers.inputs import at_least, check_count, token_ids, within

WARM_UP = 10
"""Steps over which the learning rate rises."""
LAST_SHARE = 0.05
"""Share of the learning rate that is left at the end of a straight fall."""
READ_AT_ONCE = 512


@dataclass(frozen=True)
class FitPlan:
    """How an oracle is fitted.

    Attributes:
        steps: Steps of AdamW.
        batch: Texts a step.
        rate: Its largest learning rate.
        consistency: Weight of the regulariser; 0 leaves it out.
        direction: Of its divergence; "expected first" is KL(Bern(e) ‖ Bern(a)).

    >>> FitPlan(steps=60).batch
    128
    """

    steps: int = 300
    batch: int = 128
    rate: float = 3e-3
    consistency: float = 1.0
    direction: Direction = "expected first"

    def check(self) -> None:
        """Refuse a plan that cannot be followed.

        Raises:
            LabError: No steps, no texts a step, a rate that is not positive, a weight below 0 or
                another direction.
        """
        check_count("number of steps of a fit", self.steps)
        check_count("batch size", self.batch, least=1)
        at_least(1e-12, self.rate, "learning rate of an oracle")
        at_least(0, self.consistency, "weight of consistency")
        if self.direction not in DIRECTIONS:
            raise LabError(
                f"expected a direction of {', '.join(DIRECTIONS)}", f"got {self.direction!r}"
            )

    def rate_at(self, step: int) -> float:
        """Learning rate of a step, from 0: it rises, then falls in a straight line."""
        rise = min(1.0, (step + 1) / WARM_UP)
        return self.rate * rise * max(LAST_SHARE, 1 - step / self.steps)


@dataclass(frozen=True)
class FitLoss:
    """The losses of one step, sums over the words of a text.

    Attributes:
        entropy: Cross-entropy of the label.
        consistency: The regulariser, without its weight; 0 where it is left out.
    """

    entropy: float
    consistency: float


def fit(
    oracle: Oracle,
    base: Plain,
    samples: LabelledSamples,
    plan: FitPlan,
    generator: torch.Generator,
) -> list[FitLoss]:
    """Train an oracle in place on samples of a base model.

    Args:
        base: The model that wrote the samples, whose chances p(v | x, y≤i) consistency needs.
        samples: What it wrote, labelled.
        generator: Draws the texts of each step.

    Returns:
        The losses of every step.

    Raises:
        LabError: A plan that cannot be followed, texts of another vocabulary or beyond the
            positions of a network, or a loss that is no number.

    >>> from helpers.detox.networks import PlainShape, fresh
    >>> from helpers.detox.oracle.network import blank
    >>> base = fresh(PlainShape(8, 8, 2, 1, 16, 6, 8), seed=0)
    >>> oracle = blank(base.shape, seed=1)
    >>> rows = torch.tensor([[1, 5, 2], [1, 6, 2]])
    >>> samples = LabelledSamples(rows, torch.tensor([True, False]), start=1, stop=2)
    >>> plan = FitPlan(steps=60, batch=8, rate=0.03)
    >>> _ = fit(oracle, base, samples, plan, torch.Generator().manual_seed(0))
    >>> oracle(rows)[0, 0, [5, 6]].sigmoid().round().tolist()
    [1.0, 0.0]
    """
    plan.check()
    _check_rows(oracle, base, samples)
    found = []
    with runtime.gradients():  # also where the caller has switched them off
        fitting = _Fitting(oracle, base, samples, plan)
        for step in range(plan.steps):
            rows = torch.randint(len(samples), (plan.batch,), generator=generator)
            found.append(fitting.step(step, rows))
    return found


def _check_rows(oracle: Oracle, base: Plain, samples: LabelledSamples) -> None:
    """Refuse texts that one of the networks cannot read, and networks of two vocabularies."""
    for network in (oracle.reader, base):
        token_ids(samples.tokens, network)
    sizes = (oracle.reader.shape.n_words, oracle.head.out_features)
    if set(sizes) != {base.shape.n_words}:
        raise LabError(
            f"expected an oracle over the base's {base.shape.n_words} words",
            f"got one that reads {sizes[0]} and judges {sizes[1]}",
            hint="make it anew with helpers.detox.oracle.separate, or linear",
        )
    if not losses.counted(samples.tokens, samples.start, samples.stop).any():
        raise LabError("expected texts with a word after the prompt", "got pads only")


class _Fitting:
    """A fit under way."""

    def __init__(
        self, oracle: Oracle, base: Plain, samples: LabelledSamples, plan: FitPlan
    ) -> None:
        self.oracle, self.base, self.samples, self.plan = oracle, base, samples, plan
        self.counts = losses.counted(samples.tokens, samples.start, samples.stop)
        self.states = _read(base, samples.tokens) if plan.consistency else None
        linear = isinstance(oracle, LinearOracle)  # reads the same at every step
        self.features = _read(oracle.reader, samples.tokens) if linear else None
        weights = [weight for weight in oracle.parameters() if weight.requires_grad]
        self.optimiser = torch.optim.AdamW(weights, lr=plan.rate, weight_decay=0.0)

    def step(self, step: int, rows: Int[Tensor, " text"]) -> FitLoss:
        """One step on these texts."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.plan.rate_at(step)
        entropy, consistency = self.losses(rows)
        loss = entropy + self.plan.consistency * consistency
        if not within(loss.detach().abs(), torch.finfo(torch.float32).max):
            raise LabError(
                "expected a loss of the oracle that is a number",
                f"got {float(loss.detach()):.4g} at step {step}",
                hint="take a smaller learning rate",
            )
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return FitLoss(float(entropy.detach()), float(consistency.detach()))

    def losses(self, rows: Int[Tensor, " text"]) -> tuple[Tensor, Tensor]:
        """The losses of these texts."""
        counts = self.counts[rows]
        width = int((counts * torch.arange(1, counts.shape[1] + 1)).max())
        tokens, counts = self.samples.tokens[rows, :width], counts[:, :width]
        going_on = counts & (tokens != self.samples.stop)
        own, expected = self.said(rows, tokens, counts, going_on)
        entropy = losses.entropy(own, self.samples.satisfied[rows].to(own.dtype), counts)
        if expected is None:
            return entropy, torch.zeros(())
        return entropy, losses.consistency(own, expected, going_on, self.plan.direction)

    def said(
        self,
        rows: Int[Tensor, " text"],
        tokens: Int[Tensor, "text pos"],
        counts: Bool[Tensor, "text pos"],
        going_on: Bool[Tensor, "text pos"],
    ) -> tuple[Tensor, Tensor | None]:
        """a_i and e_i at each token, 0 where they do not count.

        Words are many, so the oracle is asked only after tokens where its answer counts.
        """
        states = self.oracle.states(tokens) if self.features is None else self.features[rows]
        before = counts.roll(-1, 1)  # the first token is the prompt's, so it comes round as False
        asked = before | going_on
        logits = self.oracle.head(states[:, : tokens.shape[1]][asked])  # [asked word]
        chosen = logits.gather(1, tokens.roll(-1, 1)[asked][:, None])[:, 0]
        after = torch.zeros(tokens.shape, dtype=logits.dtype).masked_scatter(asked, chosen)
        own = after.roll(1, 1)  # what was said of a token after the one before
        if self.states is None:
            return own, None
        with torch.no_grad():
            p = self.base.unembed(self.states[rows, : tokens.shape[1]][going_on]).softmax(-1)
        expected = losses.expected_success(logits[going_on[asked]], p)
        return own, torch.zeros_like(own).masked_scatter(going_on, expected)


def _read(network: Plain, tokens: Int[Tensor, "text pos"]) -> Float[Tensor, "text pos d_model"]:
    """Last states of a network that is not trained here, of all texts."""
    with torch.no_grad():
        return torch.cat([network.states(rows) for rows in tokens.split(READ_AT_ONCE)])
