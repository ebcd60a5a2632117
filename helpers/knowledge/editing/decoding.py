"""Is the new answer said when the model runs freely, or only when it is led to it?

Two ways to ask whether a model says a text of several tokens after a prompt:

teacher forcing
    the text itself is fed in, and at each of its tokens one looks whether it is the likeliest next
    one. What the model would have said before does not matter; where one token is wrong, the next
    is asked for as if it had been right.
free running
    the model is fed its own likeliest token, again and again.

A text that is right at *every* token under teacher forcing is also what the model says freely,
token by token: the two exact matches are one number. What differs is the share of tokens that are
right, which is what is often reported, and what is not asked: whether the answer ends there, and
whether the fact is still said after another text. (arXiv 2502.11177 finds 96.8 % led, 38.5 %
free.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import check_count, finite, token_ids
from helpers.knowledge.editing.memory import behind
from helpers.knowledge.editing.requests import Requests
from helpers.knowledge.editing.restricted import Edited
from helpers.knowledge.masks.blocks import Blocks
from helpers.stats import clopper_pearson


@dataclass(frozen=True)
class Counted:
    """A count of trials that came out right, with its exact 95 % interval.

    Attributes:
        facts: How many facts the trials are about; trials of one fact are not independent.
    """

    right: int
    trials: int
    facts: int

    @property
    def share(self) -> float:
        """The share that is right."""
        return self.right / self.trials

    @property
    def ci95(self) -> tuple[float, float]:
        """Clopper–Pearson interval of as many trials as there are facts.

        Where a fact has several trials, they may all come out alike: they count as one, and a share
        between two counts of facts has the lower end of one and the upper end of the other.
        """
        low, high = (
            self.right * self.facts // self.trials,
            -(-self.right * self.facts // self.trials),
        )
        return clopper_pearson(low, self.facts)[0], clopper_pearson(high, self.facts)[1]


@dataclass(frozen=True)
class Decoded:
    """What edited models say, fact by fact.

    Attributes:
        led: For each fact and token of its target, whether it is likeliest under teacher forcing.
        free: Whether the model's own text begins with the target.
        answers: The same for the first token of the target alone.
        after_text: For each fact and text put before the prompt, whether the target is said there.
        undisturbed: The same of the model without the edit and the old answer: what a text spoils
            by itself.
        said: Tokens of the model's own text after the prompt.
    """

    led: Bool[Tensor, "fact token"]
    free: Bool[Tensor, " fact"]
    answers: Bool[Tensor, " fact"]
    after_text: Bool[Tensor, "fact text"]
    undisturbed: Bool[Tensor, "fact text"]
    said: Int[Tensor, "fact said"]

    def shares(self) -> dict[str, Counted]:
        """Each count with its trials and facts."""
        return {
            "led, tokens": _share(self.led),
            "led, exact": _share(self.led.all(1)),
            "free, exact": _share(self.free),
            "free, first token": _share(self.answers),
        } | (
            {
                "free, after other text": _share(self.after_text),
                "old answer without the edit, after other text": _share(self.undisturbed),
            }
            if self.after_text.numel()
            else {}
        )


def _share(right: Bool[Tensor, "..."]) -> Counted:
    return Counted(int(right.sum()), right.numel(), len(right))


@torch.no_grad()
def continued(
    weights: Blocks,
    values: Float[Tensor, " weight"],
    prompt: Sequence[int],
    count: int,
) -> list[int]:
    """The likeliest next token, again and again.

    Args:
        prompt: Token ids, the beginning mark first.

    Raises:
        LabError: No prompt, tokens that are none, a prompt and tokens beyond the context, fewer
            than one token to say, or weights that are not finite.

    >>> from helpers import zoo
    >>> from helpers.knowledge.masks import blocks
    >>> from helpers.tinyworld.language import vocabulary
    >>> its, words = blocks.of(zoo.load("tinyworld", device="cpu")), vocabulary()
    >>> words.decode(continued(its, its.values, words.encode("the owl is a kind of"), 2))
    'bird .'
    """
    check_count("number of tokens to say", count, least=1)
    values = finite(values, "weights", "weight").to(weights.values)
    row = token_ids(torch.tensor([list(prompt)]))
    longest = getattr(getattr(weights.model, "cfg", None), "n_ctx", row.shape[1] + count)
    if row.shape[1] + count > longest:
        raise LabError(
            f"expected texts of at most {longest} tokens, the model's context",
            f"got a prompt of {row.shape[1]} and {count} more",
        )
    token_ids(row, weights.model)
    for _ in range(count):
        said = weights.run(values, row)[0, -1]
        if not said.isfinite().all():
            raise LabError(
                "expected weights with which the model computes numbers", "got NaN after a prompt"
            )
        row = torch.cat([row, said.argmax()[None, None]], dim=1)
    return row[0, -count:].tolist()


def decode(
    weights: Blocks,
    requests: Requests,
    edited: Edited,
    ending: Sequence[int] = (),
    texts: Sequence[Sequence[int]] = (),
    more: int = 0,
) -> Decoded:
    """What edited models say after the prompts of their facts.

    Args:
        ending: Tokens that must follow the new answer, such as the full stop: with it, an answer
            that runs on ("bird tree") is wrong.
        texts: Ordinary texts to put before the prompts, as token ids (see `memory.behind`).
        more: Tokens to let the model say beyond the target.

    Raises:
        LabError: Edits of other requests, a text that leaves no room for the prompt, or what
            `continued` refuses.
    """
    if len(edited.values) != len(requests):
        raise LabError(
            f"expected the edits of {len(requests)} requests", f"got {len(edited.values)}"
        )
    check_count("number of tokens to say", more)
    led, said, after, undisturbed = [], [], [], []
    for number, new in enumerate(requests.new.tolist()):
        values = edited.values[number]
        end = int(requests.asked.last[number]) + 1
        prompt = requests.asked.tokens[number, :end].tolist()
        target, old = [new, *ending], [int(requests.asked.answers[number]), *ending]
        led.append(forced(weights, values, prompt, target))
        said.append(continued(weights, values, prompt, len(target) + more))
        whole = [behind(text, prompt) for text in texts]
        after.append([continued(weights, values, each, len(target)) == target for each in whole])
        undisturbed.append(
            [continued(weights, weights.values, each, len(old)) == old for each in whole]
        )
    wanted = torch.tensor([[new, *ending] for new in requests.new.tolist()])
    found = torch.tensor(said)
    same = found[:, : wanted.shape[1]] == wanted
    return Decoded(
        torch.tensor(led),
        same.all(1),
        same[:, 0],
        torch.tensor(after, dtype=torch.bool).view(len(requests), len(texts)),
        torch.tensor(undisturbed, dtype=torch.bool).view(len(requests), len(texts)),
        found,
    )


@torch.no_grad()
def forced(
    weights: Blocks,
    values: Float[Tensor, " weight"],
    prompt: Sequence[int],
    target: Sequence[int],
) -> list[bool]:
    """For each token of a target whether it is the likeliest after the prompt and the target's own
    tokens before it.

    Raises:
        LabError: No prompt or target, or more tokens than the model's context.
    """
    prompt, target = list(prompt), list(target)
    check_count("number of tokens of a prompt", len(prompt), least=1)
    check_count("number of tokens to say", len(target), least=1)
    values = finite(values, "weights", "weight").to(weights.values)
    row = token_ids(torch.tensor([[*prompt, *target]]), weights.model)
    said = weights.run(values, row)[0].argmax(-1)
    first = len(prompt) - 1
    return (said[first : first + len(target)] == row[0, first + 1 :]).tolist()
