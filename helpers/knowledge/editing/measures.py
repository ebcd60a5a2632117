"""What an edit did: to the fact, to its paraphrases, to what follows from it, and to all the rest.

=============  =====================================================================================
efficacy       P(new answer) on the prompt that was edited
above_uniform  its NLL less ln|V|, in nats: 0 is what a model has that knows nothing and says so
rank           how many words are likelier than it
entropy        of what is said there, in nats
paraphrase     P(new answer) in frames that were not edited
unseen         the same in frames in which training never has the fact, where a world knows them
siblings       share of entities of the same old kind whose kind is still what it was; a model that
               says NaN of one does not say that
others         the same for entities of other kinds
chain          share of frames that now name the realm of the new kind rather than of the old one: a
               bird that is said to be a fish stays an animal, one that is said to be a tree should
               become a plant
denied         how much P(new answer) rose in frames that deny it: an edit of words, not of what is
               held true, raises it there as well
verdict_new    P(true) against P(false), or yes against no, as the model's own verdict on the new
               claim
verdict_old    the same on the old claim
*_before       chain and verdicts of the model without the edit
text           how much the mean loss on ordinary text rose, in nats a token
perplexity     of ordinary text
=============  =====================================================================================

An edit that only teaches a phrase has efficacy without paraphrase; one that breaks the model has
both, and no siblings.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import token_ids
from helpers.knowledge.editing import questions
from helpers.knowledge.editing.questions import EditQuestions
from helpers.knowledge.editing.requests import Requests
from helpers.knowledge.editing.restricted import Edited
from helpers.knowledge.facts.tinyworld import Facts
from helpers.knowledge.masks.blocks import Blocks

SOME = (
    *("paraphrase", "unseen", "siblings", "others", "chain", "denied"),
    *("verdict_new", "verdict_old", "chain_before", "verdict_new_before", "verdict_old_before"),
)
"""What not every fact has."""
MOST = 700.0
"""Loss whose exponential is still a number."""


@dataclass(frozen=True)
class EditEffects:
    """What the edit of each fact did, as the table above says.

    NaN stands for what a fact does not have, and for an edited model that says NaN there: `has`
    tells them apart.

    Attributes:
        has: For each of `SOME`, which facts have it.
    """

    efficacy: Float[Tensor, " fact"]
    above_uniform: Float[Tensor, " fact"]
    rank: Float[Tensor, " fact"]
    entropy: Float[Tensor, " fact"]
    paraphrase: Float[Tensor, " fact"]
    unseen: Float[Tensor, " fact"]
    siblings: Float[Tensor, " fact"]
    others: Float[Tensor, " fact"]
    chain: Float[Tensor, " fact"]
    denied: Float[Tensor, " fact"]
    verdict_new: Float[Tensor, " fact"]
    verdict_old: Float[Tensor, " fact"]
    chain_before: Float[Tensor, " fact"]
    verdict_new_before: Float[Tensor, " fact"]
    verdict_old_before: Float[Tensor, " fact"]
    text: Float[Tensor, " fact"]
    perplexity: Float[Tensor, " fact"]
    has: dict[str, Bool[Tensor, " fact"]]

    def means(self) -> dict[str, float]:
        """The mean of each over the facts that have it: some have no sibling, or a realm that
        stays. A mean is NaN if the edited model says NaN for one of them."""
        means = {}
        for field in fields(self):
            if field.name != "has":
                values = getattr(self, field.name)
                means[field.name] = float(values[self.has.get(field.name, slice(None))].mean())
        return means


@torch.no_grad()
def effects(
    weights: Blocks,
    requests: Requests,
    edited: Edited,
    frame: str,
    rows: Int[Tensor, "row pos"],
    seed: int = 0,
    ask: Callable[[str, int], EditQuestions] | None = None,
) -> EditEffects:
    """What edits did.

    Args:
        frame: The frame of the requests; siblings and others are asked in it.
        rows: Ordinary text, such as `helpers.tinyworld.language.documents.rows` gives.
        seed: Seed of which siblings and others are asked.
        ask: What is asked about a subject and its new answer; without it, what
            `questions.of_tinyworld` asks about kinds.

    Raises:
        LabError: Requests of another relation than kind, without questions of one's own; no text;
            or edits of other requests.
    """
    if len(edited.values) != len(requests):
        raise LabError(
            f"expected the edits of {len(requests)} requests", f"got {len(edited.values)}"
        )
    rows = texts(rows, weights)
    plain, measured, has = text_loss(weights, weights.values, rows), [], []
    for number, subject in enumerate(requests.asked.subjects):
        values, new = edited.values[number], int(requests.new[number])
        given = ask(subject, new) if ask else questions.of_tinyworld(subject, new, frame, seed)
        loss = text_loss(weights, values, rows)
        after, before = (_beliefs(weights, part, given, new) for part in (values, weights.values))
        measured.append(
            (
                *_said(weights, values, requests.asked, number, new),
                _probability(weights, values, given.paraphrases, new),
                _probability(weights, values, given.unseen, new),
                kept(weights, values, given.siblings),
                kept(weights, values, given.others),
                after.chain,
                after.denied - before.denied,
                *after.verdicts,
                before.chain,
                *before.verdicts,
                loss - plain,
                math.inf if loss >= MOST else math.exp(loss),
            )
        )
        has.append(_had(given))
    which = {name: torch.tensor([each[name] for each in has]) for name in SOME}
    return EditEffects(*torch.tensor(measured, dtype=torch.float64).T, has=which)


def _had(given: EditQuestions) -> dict[str, bool]:
    """Which of `SOME` can be measured."""
    judged = given.verdicts is not None and given.yes is not None and given.no is not None
    follows = given.realms is not None and given.realm is not None
    return dict.fromkeys(SOME, judged) | {
        "paraphrase": given.paraphrases is not None,
        "unseen": given.unseen is not None,
        "siblings": given.siblings is not None,
        "others": given.others is not None,
        "chain": follows,
        "chain_before": follows,
        "denied": given.denials is not None,
    }


def log_p(weights: Blocks, values: Tensor, asked: Facts) -> Float[Tensor, "prompt word"]:
    """Log-probabilities after each prompt with these weights."""
    return weights.logits(values, asked.tokens, asked.last).log_softmax(-1)


def _said(
    weights: Blocks, values: Tensor, asked: Facts, number: int, new: int
) -> tuple[float, float, float, float]:
    """P(new), its NLL less ln|V|, its rank and the entropy, on the prompt that was edited."""
    part = slice(number, number + 1)
    said = weights.logits(values, asked.tokens[part], asked.last[part]).log_softmax(-1)[0]
    return (
        float(said[new].exp()),
        -float(said[new]) - math.log(len(said)),
        math.nan if said.isnan().any() else float((said > said[new]).sum()),
        float(torch.special.entr(said.exp()).sum()),
    )


def _probability(weights: Blocks, values: Tensor, asked: Facts | None, new: int) -> float:
    """Mean P(new answer); NaN where nothing is asked."""
    if asked is None:
        return float("nan")
    return float(log_p(weights, values, asked)[:, new].exp().mean())


@torch.no_grad()
def kept(weights: Blocks, values: Float[Tensor, " weight"], asked: Facts | None) -> float:
    """Share of prompts to which the edited model says what the model says; NaN for no prompt, or
    for weights that are NaN throughout: there is no such edit (`Compared.at_half`).

    To a prompt after which it computes NaN it does not say it.
    """
    if asked is None or values.isnan().all():
        return float("nan")
    now, before = (log_p(weights, part, asked) for part in (values, weights.values))
    fine = ~now.isnan().any(-1)  # of NaN the first would count as the likeliest
    return float((fine & (now.argmax(-1) == before.argmax(-1))).float().mean())


class _Beliefs(NamedTuple):
    """What weights say that follows from a fact, denies it, or judges it; NaN where not asked."""

    chain: float
    denied: float
    verdicts: list[float]


def _beliefs(weights: Blocks, values: Tensor, given: EditQuestions, new: int) -> _Beliefs:
    return _Beliefs(
        _chain(weights, values, given),
        _probability(weights, values, given.denials, new),
        _verdicts(weights, values, given),
    )


def _chain(weights: Blocks, values: Tensor, given: EditQuestions) -> float:
    """Share of frames whose likelier realm is that of the new kind; NaN where the realm stays."""
    if given.realms is None or given.realm is None:
        return float("nan")
    old, new = given.realm
    return likelier(log_p(weights, values, given.realms), new, old)


def likelier(said: Float[Tensor, "prompt word"], one: int, other: int) -> float:
    """Share of prompts after which one word is likelier than another; NaN after a model's NaN."""
    if said.isnan().any():  # nothing is above NaN: it would count as "never"
        return float("nan")
    return float((said[:, one] > said[:, other]).float().mean())


def _verdicts(weights: Blocks, values: Tensor, given: EditQuestions) -> list[float]:
    """P(yes) / (P(yes) + P(no)) after the new claim, and after the old one."""
    if given.verdicts is None or given.yes is None or given.no is None:
        return [float("nan")] * 2
    said = log_p(weights, values, given.verdicts)
    apart = said[:, given.yes].logsumexp(-1) - said[:, given.no].logsumexp(-1)
    return apart.sigmoid().tolist()


def texts(rows: Int[Tensor, "row pos"], weights: Blocks | None = None) -> Int[Tensor, "row pos"]:
    """Rows of ordinary text, as the model takes them: two tokens or more, or nothing is predicted.

    Raises:
        LabError: No token ids of the model, or rows of one token.
    """
    rows = token_ids(rows, None if weights is None else weights.model)
    if rows.shape[1] < 2:
        raise LabError("expected rows of ordinary text of two tokens or more", "got one")
    return rows


@torch.no_grad()
def text_loss(
    weights: Blocks, values: Float[Tensor, " weight"], rows: Int[Tensor, "row pos"]
) -> float:
    """Mean loss of the next token of ordinary text, in nats."""
    said = weights.run(values, rows[:, :-1])
    return float(torch.nn.functional.cross_entropy(said.flatten(0, 1), rows[:, 1:].flatten()))
