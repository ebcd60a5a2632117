"""Every skill of TinyWorld, one by one: a mean hides the one that a method has spoilt.

The prompts and the way to score are those of `tinyworld.sets.tasks`; here a policy is asked, which
is no bridge and may be guided.
"""

from collections.abc import Sequence
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from helpers.detox.networks import Policy
from helpers.errors import LabError
from helpers.inputs import check_right_padding
from helpers.texts import Answers, Prompts, answers
from helpers.tinyworld.sets import tasks


def final_log_probs(policy: Policy, asked: Prompts) -> Float[Tensor, "prompt word"]:
    """Log-probabilities of the word after each prompt.

    Raises:
        LabError: Prompts of another vocabulary or longer than the network reads, or padded on the
            left.
    """
    shape = policy.network.shape
    if asked.good.shape[1] != shape.n_outputs or asked.tokens.shape[1] > shape.n_positions:
        raise LabError(
            f"expected prompts of at most {shape.n_positions} tokens, with answers among "
            f"{shape.n_outputs} words",
            f"got {asked.tokens.shape[1]} tokens and {asked.good.shape[1]} words for {asked.name}",
        )
    check_right_padding(asked.tokens, asked.last + 1, asked.name)
    said = policy.log_probs(asked.tokens)
    return said[torch.arange(len(asked)), asked.last]


def policy_answers(policy: Policy, asked: Prompts) -> Answers:
    """What a policy answers to some prompts (`texts.answers`).

    Raises:
        LabError: As `final_log_probs`.
    """
    return answers(final_log_probs(policy, asked), asked)


@cache
def _asked(name: str, count: int, seed: int) -> Prompts:
    return tasks.prompts(name, count, seed)


def skill_shares(
    policy: Policy, count: int = 100, seed: int = 0, names: Sequence[str] = tasks.NAMES
) -> dict[str, float]:
    """The share of prompts that a policy answers rightly, of each skill.

    Args:
        count: Number of prompts of each skill; even, as judgements come in pairs.
        seed: Seed of the prompts.

    Raises:
        LabError: No such skill, or an odd number of prompts.
    """
    asked = {name: _asked(name, count, seed) for name in names}
    return {
        name: float(policy_answers(policy, questions).right.double().mean())
        for name, questions in asked.items()
    }
