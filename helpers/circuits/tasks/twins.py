"""Prompts and their corrupted twins: what every method of circuit discovery here works on.

A *clean* prompt has a next word that the model can know. Its *twin* has the same tokens except for
those that the answer depends on, so that the answer does not follow from it. Twins are aligned:
token by token they have the same length, so that an activation of the one can be written into the
other at the same position. The discrete SAE calls the clean prompts positive and the twins
negative.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.errors import LabError
from helpers.texts.prompts import Prompts, answers

Metric = Callable[[Float[Tensor, "prompt word"], Prompts], Float[Tensor, " prompt"]]


def log_ratio(logits: Float[Tensor, "prompt word"], prompts: Prompts) -> Float[Tensor, " prompt"]:
    """Log of the right words' probability over the wrong ones', in nats; for one word each, the logit difference."""
    return answers(logits, prompts).log_ratio


def probability_difference(
    logits: Float[Tensor, "prompt word"], prompts: Prompts
) -> Float[Tensor, " prompt"]:
    """Probability of the right words less that of the wrong ones."""
    return answers(logits, prompts).difference


def margin(logits: Float[Tensor, "prompt word"], prompts: Prompts) -> Float[Tensor, " prompt"]:
    """Logit of the likeliest right word less that of the likeliest wrong one."""
    best = [
        logits.masked_fill(~mask, -torch.inf).max(-1).values for mask in (prompts.good, prompts.bad)
    ]
    return best[0] - best[1]


METRICS: dict[str, Metric] = {
    "logit difference": log_ratio,
    "difference of probabilities": probability_difference,
    "log of the probability ratio": log_ratio,
    "margin": margin,
}
"""Name of a metric: what it gives for each prompt, from the logits of the word after it. Larger means more right."""


@dataclass(frozen=True)
class Twins:
    """Clean prompts and their twins, with the metric that the task is measured by.

    Attributes:
        clean: prompts with right and wrong answers.
        corrupted: row by row the twin of `clean`: same length, same answers (which do not follow
            from it).
        metric: a name of `METRICS`.
    """

    clean: Prompts
    corrupted: Prompts
    metric: str

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise LabError(f"expected a metric: {', '.join(METRICS)}", f"got {self.metric!r}")
        if len(self.clean) != len(self.corrupted):
            counts = f"{len(self.clean)} prompts and {len(self.corrupted)} twins"
            raise LabError("expected one twin a prompt", f"got {counts}")
        if self.clean.tokens.shape != self.corrupted.tokens.shape or not torch.equal(
            self.clean.last, self.corrupted.last
        ):
            raise LabError(
                "expected every prompt and its twin to have the same number of tokens",
                self._unequal(),
                hint="replace words by words that are as many tokens long",
            )

    def _unequal(self) -> str:
        differ = (self.clean.last != self.corrupted.last).nonzero()[:, 0].tolist()
        if not differ:
            return f"they are padded to {self.clean.tokens.shape[1]} and {self.corrupted.tokens.shape[1]}"
        row = differ[0]
        return f"prompt {row} has {int(self.clean.last[row]) + 1} and its twin {int(self.corrupted.last[row]) + 1}"

    def __len__(self) -> int:
        return len(self.clean)

    def behaviour(self, logits: Float[Tensor, "prompt word"]) -> Float[Tensor, " prompt"]:
        """The metric of each clean prompt's answers, from the logits of the word after the prompt."""
        return METRICS[self.metric](logits, self.clean)

    def rows(self, index: Int[Tensor, " row"] | slice) -> "Twins":
        """Some of the pairs."""
        return replace(self, clean=rows(self.clean, index), corrupted=rows(self.corrupted, index))


def rows(prompts: Prompts, index: Int[Tensor, " row"] | slice) -> Prompts:
    """Some of the prompts, padded as before."""
    chosen = torch.arange(len(prompts))[index].tolist()
    return Prompts(
        prompts.name,
        tuple(prompts.texts[row] for row in chosen),
        prompts.tokens[chosen],
        prompts.last[chosen],
        prompts.good[chosen],
        prompts.bad[chosen],
    )


def check_prompts(prompts: Prompts, words: int, positions: int) -> None:
    """Refuse prompts that a model cannot read.

    Args:
        words, positions: how many the model has.

    Raises:
        LabError: no prompts, tokens that the model does not have, or more tokens than it has
            positions.
    """
    if len(prompts) == 0:
        raise LabError("expected at least one prompt", "got none")
    if (largest := int(prompts.tokens.max())) >= words:
        hint = "make the prompts with the model's own tokenizer"
        raise LabError(
            f"expected tokens of the model, 0 to {words - 1}",
            f"the prompts have token {largest}",
            hint=hint,
        )
    if (length := prompts.tokens.shape[1]) > positions:
        raise LabError(
            f"expected prompts of at most {positions} tokens, as the model takes",
            f"they are padded to {length}",
        )


def real(prompts: Prompts):
    """Which tokens are not padding.

    Returns:
        Bool [prompt, pos].
    """
    return torch.arange(prompts.tokens.shape[1]) <= prompts.last[:, None]
