"""What an oracle learns from: texts of the model itself, each with the label of the whole text."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy import ndarray
from torch import Tensor

from helpers.detox.networks import Policy, sample
from helpers.detox.posts import PROMPT, STOP, PostLabel, check_network, labels, prompts
from helpers.errors import LabError, asked_of
from helpers.inputs import check_count, token_ids, yes_no

NEW = 16
"""Words that a model writes at most: the longest post of the grammar has 13."""

Scorer: TypeAlias = Callable[[Int[Tensor, "row pos"]], Any]
"""Says of each row whether it satisfies the constraint: True and False, or 1 and 0."""


@dataclass(frozen=True)
class LabelledSamples:
    """Texts with the label of each.

    Attributes:
        tokens: The prompt, what was written after it, and pads on the right.
        satisfied: Whether each text satisfies the constraint.
        start: Where what was written begins.
        stop: The token that ends a text.

    Raises:
        LabError: No texts, not one label for each, labels that do not say yes or no, or a prompt
            that fills the rows.

    >>> LabelledSamples(torch.tensor([[1, 9, 2]]), torch.tensor([True]), start=1, stop=2).share
    1.0
    """

    tokens: Int[Tensor, "row pos"]
    satisfied: Bool[Tensor, " row"]
    start: int = PROMPT
    stop: int = STOP

    def __post_init__(self) -> None:
        tokens = token_ids(self.tokens)
        check_count("length of the prompt", self.start, least=1)
        if int(self.start) >= tokens.shape[1]:
            raise LabError(
                f"expected texts that are longer than their prompt of {self.start} tokens",
                f"got rows of {tokens.shape[1]}",
            )
        satisfied = _truth(self.satisfied, "the labels of the texts", len(tokens))
        object.__setattr__(self, "tokens", tokens)
        object.__setattr__(self, "satisfied", satisfied)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def share(self) -> float:
        """Share of texts that satisfy the constraint."""
        return float(self.satisfied.double().mean())

    @property
    def accepted(self) -> Int[Tensor, "accepted pos"]:
        """The texts that satisfy the constraint: exact samples of q for the model that wrote them.

        There may be none.
        """
        return self.tokens[self.satisfied]


def labelled_samples(
    policy: Policy, count: int, generator: torch.Generator, scorer: Scorer | None = None
) -> LabelledSamples:
    """Posts that a policy writes after the prompts of all people in turn, each labelled.

    Args:
        count: How many posts.
        scorer: Says of each row whether it satisfies the constraint. Without one the grammar does:
            a post satisfies it if it is kind, and neither a rude nor a garbled one does.

    Raises:
        LabError: No posts, a model of another vocabulary, or a scorer that fails (`scored`).
    """
    check_count("number of samples", count, least=1)
    check_network(policy.network)
    people = prompts()
    after = people[torch.arange(int(count)) % len(people)]
    tokens = sample(policy, after, generator, new=NEW, stop=STOP)
    return LabelledSamples(tokens, scored(tokens, scorer or kind))


def kind(tokens: Int[Tensor, "row pos"]) -> Bool[ndarray, " row"]:
    """The scorer of the grammar: whether each row says a kind post."""
    return np.asarray(labels(tokens)) == PostLabel.KIND


def scored(tokens: Int[Tensor, "row pos"], scorer: Scorer) -> Bool[Tensor, " row"]:
    """What a scorer says of each row; what is no answer is never taken for one.

    Raises:
        LabError: A scorer that raises, answers for another number of rows, or says neither yes nor
            no: NaN, a share, a text.

    >>> rows = torch.tensor([[1, 5], [1, 6]])
    >>> scored(rows, lambda tokens: tokens[:, 1] == 5)
    tensor([ True, False])
    >>> scored(rows, lambda tokens: torch.tensor([1.0, torch.nan]))
    Traceback (most recent call last):
    helpers.errors.LabError: expected the scorer's answers as yes or no (True and False, 1 and 0, \
1 and -1, or two names); got 1.0, nan
      try: compare first, such as labels == 2; leave rows without a label out
    """
    tokens = token_ids(tokens)
    hint = "mend the scorer; a text without an answer counts neither as clean nor as rude"
    with asked_of("scorer", "text", hint):
        answers = scorer(tokens.clone())  # a scorer may change what it is given
    return _truth(answers, "the scorer's answers", len(tokens))


def _truth(answers: Any, of: str, count: int) -> Bool[Tensor, " row"]:
    """Answers for so many rows, as booleans."""
    if isinstance(answers, str) or any(isinstance(each, str) for each in _few(answers)):
        # of two names one would be taken for yes by its place in the alphabet
        raise LabError(f"expected {of} as yes or no", f"got the text {answers!r:.60}")
    truth = torch.from_numpy(yes_no(answers, of))
    if len(truth) != count:
        raise LabError(f"expected {of} for {count} texts", f"got {len(truth)}")
    return truth


def _few(answers: Any) -> list[Any]:
    """The answers one by one where they may be texts; none of a tensor, which holds numbers."""
    if isinstance(answers, Tensor):
        return []
    return list(answers) if hasattr(answers, "__iter__") else []
