"""The one-column look-back rule: an adder that looks one column back for the carry, no further.

Quirke and Barez (arXiv 2310.13121) find it in their 1-layer model. The carry into column n is

    SC_(n-1)  or  (SS_(n-1) and SC_(n-2)),

so a carry may pass through one column that sums to nine, not through two. It therefore fails on
exactly the questions of class S3 and above, such as 77778 + 22222. How often that is follows from
the column types alone (`failure_rate`), so a trained model's failures can be held against it
question by question (`compare`).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from helpers.arithmetic.questions import Format, Questions, algorithm
from helpers.errors import LabError

P_LOW, P_NINE, P_CARRY = 0.45, 0.10, 0.45
"""Share of columns whose two uniform digits sum to at most 8, to 9, and to at least 10."""


def lookback_answer(questions: Questions) -> Int[Tensor, "question answer_digit"]:
    """Answer digits by the one-column look-back rule, units first, n + 1 of them.

    Raises:
        LabError: Subtractions among the questions.

    >>> from helpers.arithmetic.questions import parse
    >>> lookback_answer(parse("77778+22222")).tolist()  # the true answer is 100000
    [[0, 0, 0, 9, 9, 0]]
    """
    if questions.subtract.any():
        raise LabError(
            "expected additions only", "the look-back rule says nothing about subtraction"
        )
    first, second = questions.first, questions.second
    carry, nine = algorithm.sc(first, second), algorithm.ss(first, second)
    carry_out = carry.clone()
    carry_out[:, 1:] |= nine[:, 1:] & carry[:, :-1]
    zero = torch.zeros(len(questions), 1, dtype=torch.long)
    base = torch.cat([algorithm.sa(first, second), zero], dim=1)
    return (base + torch.cat([zero, carry_out], dim=1)) % 10


def failure_rate(n_digits: int) -> float:
    """Exact share of uniform questions on which the rule is wrong.

    It is computed by dynamic programming over the columns, with four states, from the units up: no
    carry to pass on; a carry made in this column; one passed through one nine; and failed, which a
    second nine leads to and nothing leaves.

    >>> [f"{failure_rate(n):.4f}" for n in (3, 4, 5, 6, 10)]
    ['0.0045', '0.0090', '0.0135', '0.0180', '0.0357']
    """
    none, made, passed, failed = 1.0, 0.0, 0.0, 0.0
    for _ in range(n_digits):
        alive = none + made + passed
        none, made, passed, failed = (
            P_LOW * alive + P_NINE * none,
            P_CARRY * alive,
            P_NINE * made,
            failed + P_NINE * passed,
        )
    return failed


@dataclass(frozen=True)
class Comparison:
    """The rule and a model on the same additions, question by question.

    Attributes:
        questions: The questions asked.
        rule, model: Answer digits of each, units first; the model's are -1 where it put no digit
            first.
        truth: The right digits.
    """

    questions: Questions
    rule: Int[Tensor, "question answer_digit"]
    model: Int[Tensor, "question answer_digit"]
    truth: Int[Tensor, "question answer_digit"]

    @property
    def rule_fails(self) -> Bool[Tensor, " question"]:
        return (self.rule != self.truth).any(1)

    @property
    def model_fails(self) -> Bool[Tensor, " question"]:
        return (self.model != self.truth).any(1)

    def contingency(self) -> Int[np.ndarray, "rule_fails model_fails"]:
        """Number of questions by verdict.

        Row 1 is where the rule fails, column 1 where the model fails. Agreement is the
        diagonal; a model that follows the rule has nothing off it.
        """
        cell = 2 * self.rule_fails.long() + self.model_fails.long()
        return torch.bincount(cell, minlength=4).view(2, 2).numpy()

    def by_class(self) -> dict[str, dict[str, int]]:
        """Per class: questions, failures of the rule and of the model, and equal verdicts."""
        names = np.array(self.questions.classes())
        rule, model = self.rule_fails.numpy(), self.model_fails.numpy()
        counts = {}
        for name in sorted(set(names.tolist())):
            rows = names == name
            counts[name] = {
                "questions": int(rows.sum()),
                "rule_fails": int(rule[rows].sum()),
                "model_fails": int(model[rows].sum()),
                "agree": int((rule == model)[rows].sum()),
            }
        return counts

    def same_mistake(self) -> tuple[int, int]:
        """Of the questions that both get wrong: how many with one answer, and how many in all."""
        both = self.rule_fails & self.model_fails
        same = (self.rule == self.model).all(1)
        return int((both & same).sum()), int(both.sum())

    def wrong_digits(self) -> Int[np.ndarray, "answer_digit verdict"]:
        """Questions on which only the rule, only the model, or both get an answer digit wrong.

        Digits are listed units first.
        """
        rule, model = self.rule != self.truth, self.model != self.truth
        return torch.stack(
            [(rule & ~model).sum(0), (model & ~rule).sum(0), (rule & model).sum(0)], dim=1
        ).numpy()


def compare(
    questions: Questions, answers: Int[Tensor, "question answer"], fmt: Format
) -> Comparison:
    """Hold a model's answers against the rule's.

    Args:
        answers: The model's answer tokens from `verify.predict` or `verify.greedy`. The rule knows
            only the question, so `greedy` is the fairer reading where a model may lean on the
            answer digits before.

    Raises:
        LabError: Subtractions among the questions.
    """
    largest = int(answers.max()) if len(answers) else 0
    digit_of = torch.full((max(largest + 1, fmt.d_vocab_needed),), -1)
    digit_of[torch.tensor(fmt.digit_ids)] = torch.arange(10)
    model = digit_of[answers[:, fmt.has_sign :].long()].flip(1)  # bytes would be a mask
    return Comparison(questions, lookback_answer(questions), model, questions.answer_digits())
