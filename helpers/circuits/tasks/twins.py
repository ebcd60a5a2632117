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
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers.errors import LabError
from helpers.model import Model
from helpers.texts import Prompts, answers

Index = Int[Tensor, " row"] | Bool[Tensor, " prompt"] | slice
"""Which prompts: their numbers, yes or no for each, or a slice."""
Metric = Callable[[Float[Tensor, "prompt word"], Prompts], Float[Tensor, " prompt"]]


def log_ratio(logits: Float[Tensor, "prompt word"], prompts: Prompts) -> Float[Tensor, " prompt"]:
    """Log of the right words' probability over that of the wrong ones, in nats.

    With one right and one wrong word this is the logit difference.
    """
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
"""Metrics by name. Each gives one number per prompt, from the logits of the word after it; larger
means more right."""


@dataclass(frozen=True)
class Twins:
    """Clean prompts and their twins, with the metric that the task is measured by.

    Attributes:
        clean: Prompts with right and wrong answers.
        corrupted: Row by row the twin of `clean`, of the same length and with the same answers,
            which do not follow from it.
        metric: A name of `METRICS`.

    Raises:
        LabError: another metric, or twins that are not those of the prompts: another number,
            length or answer.
    """

    clean: Prompts
    corrupted: Prompts
    metric: str

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise LabError(f"expected a metric: {', '.join(METRICS)}", f"got {self.metric!r}")
        if len(self.clean) != len(self.corrupted):
            counts = f"{len(self.clean)} prompts and {len(self.corrupted)} twins"
            raise LabError("expected one twin per prompt", f"got {counts}")
        if self.clean.tokens.shape != self.corrupted.tokens.shape or not torch.equal(
            self.clean.last, self.corrupted.last
        ):
            raise LabError(
                "expected every prompt and its twin to have the same number of tokens",
                self._unequal(),
                hint="replace words by words that are as many tokens long",
            )
        sides = ((self.clean.good, self.corrupted.good), (self.clean.bad, self.corrupted.bad))
        if not all(torch.equal(ours, theirs) for ours, theirs in sides):
            raise LabError(
                "expected every twin to have the answers of its prompt",
                self._other_answers(),
                hint="the metric asks the twin for the prompt's answer: it does not follow there",
            )

    def _unequal(self) -> str:
        differ = (self.clean.last != self.corrupted.last).nonzero()[:, 0].tolist()
        if not differ:
            lengths = (side.tokens.shape[1] for side in (self.clean, self.corrupted))
            return "they are padded to {} and {}".format(*lengths)
        row = differ[0]
        lengths = (int(side.last[row]) + 1 for side in (self.clean, self.corrupted))
        return f"prompt {row} has " + "{} and its twin {}".format(*lengths)

    def _other_answers(self) -> str:
        words = self.clean.good.shape[1], self.corrupted.good.shape[1]
        if words[0] != words[1]:
            return "they have vocabularies of {} and {} words".format(*words)
        differ = (self.clean.good != self.corrupted.good) | (self.clean.bad != self.corrupted.bad)
        return f"pair {int(differ.any(1).nonzero()[0, 0])} has others"

    def __len__(self) -> int:
        return len(self.clean)

    def behaviour(self, logits: Float[Tensor, "prompt word"]) -> Float[Tensor, " prompt"]:
        """The metric of each clean prompt, from the logits of the word after it.

        Raises:
            LabError: logits of other prompts or words, or with NaN or infinity.
        """
        if logits.shape != self.clean.good.shape:
            raise LabError(
                f"expected logits [prompt, word] of shape {list(self.clean.good.shape)}",
                f"got {list(logits.shape)}",
            )
        if not (logits < torch.inf).all():  # a word may be ruled out by -infinity
            raise LabError(
                "expected finite logits of the model",
                "got NaN or infinity",
                hint="check its weights",
            )
        return METRICS[self.metric](logits, self.clean)

    def rows(self, index: Index) -> "Twins":
        """Some of the pairs."""
        return replace(self, clean=rows(self.clean, index), corrupted=rows(self.corrupted, index))

    @property
    def differs(self) -> Bool[Tensor, "prompt pos"]:
        """At which positions a twin has another token than its prompt."""
        return self.clean.tokens != self.corrupted.tokens

    def of_length(self, length: int) -> "Twins":
        """The pairs of that many tokens, without padding.

        Raises:
            LabError: there are none.
        """
        chosen = self.rows(self.clean.last == length - 1)
        if not len(chosen):
            there = sorted({int(last) + 1 for last in self.clean.last})
            raise LabError(f"expected a length of the pairs: {there}", f"got {length}")
        sides = (chosen.clean, chosen.corrupted)
        clean, corrupted = (replace(side, tokens=side.tokens[:, :length]) for side in sides)
        return replace(self, clean=clean, corrupted=corrupted)


def rows(prompts: Prompts, index: Index) -> Prompts:
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
        words, positions: How many words and positions the model has.

    Raises:
        LabError: no prompts, tokens that the model does not have, or more tokens than it has
            positions.
    """
    if len(prompts) == 0:
        raise LabError("expected at least one prompt", "got none")
    smallest, largest = int(prompts.tokens.min()), int(prompts.tokens.max())
    if smallest < 0 or largest >= words:
        raise LabError(
            f"expected tokens of the model, 0 to {words - 1}",
            f"the prompts have token {smallest if smallest < 0 else largest}",
            hint="make the prompts with the model's own tokenizer",
        )
    if (length := prompts.tokens.shape[1]) > positions:
        raise LabError(
            f"expected prompts of at most {positions} tokens, as the model takes",
            f"they are padded to {length}",
        )


def check_readable(model: Model, prompts: Prompts) -> None:
    """Refuse prompts that a model cannot read as they are.

    Raises:
        LabError: as `check_prompts`; padding, for a model that would read it.
    """
    check_prompts(prompts, model.cfg.d_vocab, model.cfg.n_ctx)
    both_ways = getattr(model.cfg, "attention_dir", "causal") == "bidirectional"
    if both_ways and not real(prompts).all():
        lengths = f"{int(prompts.last.min()) + 1} to {int(prompts.last.max()) + 1} tokens"
        raise LabError(
            "expected prompts of one length for a model that reads in both directions",
            f"got prompts of {lengths}, padded: it would read the padding",
            hint="take the pairs of one length, without padding: `twins.of_length(tokens)`",
        )


def check_pairs(model: Model, twins: Twins) -> None:
    """Refuse pairs that a model cannot read, or whose answers are none of its words.

    Raises:
        LabError: as `check_readable`; another number of words.
    """
    for prompts in (twins.clean, twins.corrupted):
        check_readable(model, prompts)
    n_words = model.cfg.d_vocab_out if model.cfg.d_vocab_out > 0 else model.cfg.d_vocab
    if (words := twins.clean.good.shape[1]) != n_words:
        raise LabError(
            f"expected prompts whose answers are among the {n_words} words of the model",
            f"got {words}",
            hint="pass the model itself to `twins_from_text`: it may have more words than its "
            "tokenizer; tasks of GPT-2 take their number: .twins(…, d_vocab=model.cfg.d_vocab)",
        )


def real(prompts: Prompts) -> Bool[Tensor, "prompt pos"]:
    """Which tokens are not padding."""
    return torch.arange(prompts.tokens.shape[1]) <= prompts.last[:, None]
